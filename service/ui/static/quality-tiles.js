// Which numbers the tiles tell, and the sentence above them.

import { plural } from "./dom.js";
import { count, share } from "./numbers.js";

/** [id, label, the field of `/v1/quality`, how it is said, what is good, colour, what it means] */
const TILES = [
  ["queries", "Queries", "queries", "count", null, "0", "Searches, context packs and answers"],
  ["zero", "Found nothing", "zero_result_rate", "share", "down", "bad", "Share of queries with no result at all"],
  ["weak", "Weak relevance", "weak_relevance_rate", "share", "down", "1", "Share of queries whose best passage may not be what was meant"],
  ["search-p95", "Search, p95", "search", "ms", "down", "2", "95 of 100 searches took no longer"],
  ["answer-p95", "Answers, p95", "answer", "ms", "down", "2", "95 of 100 answers took no longer"],
  ["cost", "Cost", "cost_usd", "usd", null, "5", "Of all calls to models whose price is known"],
  ["grounded", "Grounded answers", "grounded_rate", "share", "up", "0", "Share of answers in which every sentence is supported by its source"],
  ["unsupported", "Unsupported sentences", "unsupported_sentence_rate", "share", "down", "bad", "Share of sentences that their cited text does not support"],
  ["precision", "Citation precision", "citation_precision", "share", "up", "0", "Share of citations that support their sentence"],
  ["refused", "Refused", "refusal_rate", "share", null, "1", "Share of answers that said: the documents do not tell"],
  ["degraded", "Degraded", "degraded_rate", "share", "down", "3", "Share of answers made without the model that was meant to"],
  ["ratings", "Helped", "ratings", "share", "up", "4", "Share of ratings that said so"],
];

/** The tiles, each with its number, the one before, and its line over time; `sparks` are those lines by the tile's id. */
export function tilesOf(quality, sparks) {
  return TILES.map(([id, label, field, kind, good, tone, explains]) => {
    const { now, before, note } = pairOf(quality, field);
    return { id, label, kind, good, tone, explains, value: now, before, note, line: sparks[id] ?? [] };
  });
}

function pairOf(quality, field) {
  if (field === "search" || field === "answer") return quality.latency.find(({ operation, stage }) => operation === field && stage === "total")?.p95_ms ?? {};
  if (field === "ratings") return ratings(quality.feedback);
  return quality[field] ?? {};
}

function ratings(feedback) {
  const of = (value, time) => feedback.find((one) => one.kind === "rating" && one.value === value)?.[time] ?? 0;
  const rate = (time) => (of("up", time) + of("down", time) ? of("up", time) / (of("up", time) + of("down", time)) : null);
  const all = of("up", "now") + of("down", "now");
  return { now: rate("now"), before: rate("before"), note: all ? `of ${count(all)}` : "" };
}

const LENGTHS = { "1h": "hour", "24h": "24 hours", "7d": "7 days", "30d": "30 days" };

/** What the window is about, in a sentence. */
export function summaryOf(quality, window) {
  const { queries, answers, grounded_rate: grounded } = quality;
  const parts = [`${plural(queries.now, "query", "queries")} in the last ${LENGTHS[window] ?? window}`];
  if (answers?.now) parts.push(`${plural(answers.now, "answer")} among them`);
  const told = Number.isFinite(grounded?.now) ? `; ${share(grounded.now)} of the answers are grounded` : "";
  return `${parts.join(", ")}${told}.`;
}
