// The tables of a trace: what was found, all candidates with the score of every leg, the calls to models.

import { el, shortUri } from "./dom.js";
import { count, ms, score, usd } from "./numbers.js";
import { spaced } from "./tags.js";

export const GONE = "The index does not have this passage any more";

const LEGS = [
  ["dense", "Dense", "cosine of the embeddings"],
  ["sparse", "Sparse", "BM25 of the words"],
  ["fused", "Fused", "both together; without one: an exact hit behind the ranking"],
  ["rerank", "Reranked", "as the second look scores it"],
  ["score", "Score", "calibrated, of what was shown"],
];
const EXCERPT = 150; // characters of a candidate

/** Passages as they were shown. `openerOf(passage)` as for the trace. */
export function passagesTable(passages, citations, openerOf) {
  const cited = citedBy(citations);
  const rows = passages.map((passage, index) => row(String(passage.n ?? index + 1),
    [linked(passage, openerOf(passage)), cited.has(passage.chunk_id) && el("span", { class: "fine" }, ` cited as ${cited.get(passage.chunk_id)}`), el("span", { class: "fine where" }, shortUri(passage.uri))],
    [el("td", {}, el("meter", { min: 0, max: 1, value: passage.score ?? 0, "aria-hidden": "true" }), score(passage.score))]));
  return table("Passages", ["#", "Document", "Score"], rows);
}

function linked(passage, open) {
  const title = passage.title || shortUri(passage.uri) || "a document";
  if (!open) return el("span", { title: GONE }, title);
  const button = el("button", { type: "button", class: "link" }, title);
  button.addEventListener("click", () => open(button));
  return button;
}

/** All candidates that are kept. Legs that scored none of them are left out. `chunks` are those that the index has. */
export function candidatesTable(candidates, { passages, citations, chunks }) {
  const shown = new Map(passages.map((passage, index) => [passage.chunk_id, { ...passage, place: index + 1 }]));
  const cited = citedBy(citations);
  const legs = LEGS.filter(([name]) => candidates.some((one) => Number.isFinite(one[name])));
  const best = Object.fromEntries(legs.map(([name]) => [name, Math.max(...candidates.map((one) => one[name] ?? -Infinity))]));
  const rows = candidates.map((one, index) => {
    const passage = shown.get(one.chunk_id);
    const notes = [passage && `shown as ${passage.place}`, cited.has(one.chunk_id) && `cited as ${cited.get(one.chunk_id)}`, one.exact && "exact"].filter(Boolean);
    return row(String(index + 1), named(one.chunk_id, passage, chunks[one.chunk_id], notes),
      legs.map(([name]) => el("td", { class: one[name] === best[name] ? "best" : null }, score(one[name]))), passage ? "was-shown" : null);
  });
  return table("Candidates", ["#", "Passage", ...legs.map(([, label, about]) => [label, about])], rows);
}

function named(id, passage, chunk, notes) {
  const title = chunk?.document.title || passage?.title || shortUri(passage?.uri);
  const path = (chunk?.heading_path ?? []).join(" › ");
  const words = (chunk?.text ?? "").split(/\s+/).join(" ").trim();
  return [
    title || el("code", { title: GONE }, id.slice(0, 8)),
    notes.length ? el("span", { class: "fine noted" }, ` ${notes.join(", ")}`) : null,
    path ? el("span", { class: "fine where" }, path) : null,
    words ? el("span", { class: "fine where excerpt" }, words.length > EXCERPT ? `${words.slice(0, EXCERPT - 2)} …` : words) : null,
  ];
}

/** The calls to models that were made for an answer, first to last. */
export function callsTable(calls) {
  const rows = calls.map((call, index) => row(String(index + 1),
    [spaced(call.purpose), el("span", { class: "fine where" }, [call.model, call.tier, call.prompt_version].filter(Boolean).join(" · "))],
    [spaced(call.outcome), ...[[call.prompt_tokens, count], [call.completion_tokens, count], [call.cost_usd, usd], [call.duration_ms, ms]]
      .map(([value, say]) => (Number.isFinite(value) ? say(value) : "–"))].map((cell) => el("td", {}, cell))));
  return table("Calls to models", ["#", "For", "Outcome", "Read", "Written", "Cost", "Time"], rows);
}

/** The numbers under which a chunk is cited, by its id. */
function citedBy(citations) {
  const numbers = new Map();
  for (const { chunk_id: chunk, n } of citations) numbers.set(chunk, numbers.has(chunk) ? `${numbers.get(chunk)}, ${n}` : String(n));
  return numbers;
}

function row(rank, name, cells, kind = null) {
  return el("tr", { class: kind }, el("td", { class: "rank" }, rank), el("th", { scope: "row" }, name.filter(Boolean)), cells);
}

/** `heads` are the columns' names, or their names with what they mean. */
function table(name, heads, rows) {
  const columns = heads.map((head) => el("th", { scope: "col", title: Array.isArray(head) ? head[1] : null }, Array.isArray(head) ? head[0] : head));
  return el("div", { class: "numbers-box tall", tabindex: "0", role: "region", "aria-label": name },
    el("table", { class: "numbers ranked" }, el("thead", {}, el("tr", {}, columns)), el("tbody", {}, rows)));
}
