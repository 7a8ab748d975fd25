// One trace: everything that is kept about one search, context pack or answer, in an order that a person reads it in.
// Its tables are in trace-tables.js.

import { steps } from "./charts.js";
import { copy, el, plural, shortUri, spoken } from "./dom.js";
import { count, moment, ms, score, share, usd } from "./numbers.js";
import { tag } from "./tags.js";
import { render } from "./text.js";
import { GONE, callsTable, candidatesTable, passagesTable } from "./trace-tables.js";
import { SUPPORT, degradedIn, reasonsOf, withheldIn } from "./words.js";

const KINDS = { search: "Search", context: "Context pack", answer: "Answer", triage: "Triage card" };
const SIGNALS = [
  ["confidence", "Confidence", "that the best passage is relevant, calibrated"],
  ["top_score", "Best score", "of the first passage"],
  ["margin", "Margin", "of the first passage over those after it"],
  ["lexical_coverage", "Words found", "share of the question's words that the best passages hold"],
];
const REFUSALS = {
  nothing_relevant: "Nothing in the documents was close enough to the question.",
  not_in_sources: "Passages were near, but none of them says it.",
  unsafe: "The question asks for what is not answered here.",
};

/**
 * The trace as an element's children. `openerOf(passage)` is what shows a passage in its document when it is called with
 * the button, or nothing where the document is not as it was.
 */
export function traceView(trace, { back, openerOf }) {
  const parts = [head(trace, back), grid(trace, openerOf), raw(trace)];
  return parts.flat().filter(Boolean);
}

function head(trace, back) {
  const { body } = trace;
  const asked = trace.query ?? (trace.query_hash ? "A question whose words are not kept" : "Without words");
  const understood = body.standing && words(body.standing) !== words(asked) ? body.standing : null;
  return el("header", { class: "trace-head" },
    el("p", {}, el("a", { class: "back", href: back }, "← Quality")),
    el("p", { class: "trace-kind" }, `${KINDS[trace.operation] ?? trace.operation}, `, el("time", { datetime: trace.at }, moment(trace.at))),
    el("h1", { id: "trace-title", tabindex: "-1", class: trace.query ? null : "unsaid" }, short(asked)),
    asked.length > LONGEST && el("details", { class: "more" }, el("summary", {}, "All of it"), el("pre", { class: "whole" }, asked)),
    understood && el("p", { class: "understood" }, "Understood as ", el("q", {}, words(understood))),
    body.queries?.length > 0 && el("p", { class: "understood" }, "Searched for ", joined(body.queries.map((query) => el("q", {}, query)))),
    el("p", { class: "tags" }, tags(trace)));
}

const LONGEST = 240;
const words = (text) => (text ?? "").split(/\s+/).filter(Boolean).join(" ");
const short = (text) => (words(text).length > LONGEST ? `${words(text).slice(0, LONGEST - 2)} …` : words(text));
const joined = (nodes) => nodes.flatMap((node, index) => (index ? [", ", node] : [node]));

function tags(trace) {
  return [
    trace.outcome !== "ok" && tag("outcome", trace.outcome),
    trace.relevance && tag("relevance", trace.relevance),
    trace.grounding && tag("grounding", trace.grounding),
    trace.degraded && tag("degraded", trace.degraded),
    trace.collection && el("span", { class: "fine" }, `in ${trace.collection}`),
  ].filter(Boolean).flatMap((node) => [node, " "]);
}

function grid(trace, openerOf) {
  const main = [answered(trace, openerOf), cited(trace, openerOf), found(trace, openerOf), candidates(trace), decisions(trace), modelCalls(trace)];
  const side = [relevance(trace), timings(trace), costs(trace), versions(trace), feedback(trace), ids(trace)];
  return el("div", { class: "trace-grid" },
    el("div", { class: "trace-main" }, main.filter(Boolean)), el("div", { class: "trace-side" }, side.filter(Boolean)));
}

function section(id, title, ...children) {
  return el("section", { class: "panel", "aria-labelledby": `trace-${id}`, "data-part": id }, el("h2", { id: `trace-${id}` }, title), children.flat(2));
}

function answered({ operation, outcome, refusal, degraded, degraded_mode: mode, body }, openerOf) {
  if (operation !== "answer") return null;
  const children = [];
  if (degraded) {
    const [what, why] = degradedIn({ reason: degraded, mode });
    children.push(el("p", { class: "badge" }, el("strong", {}, what), why));
  }
  if (refusal) children.push(el("div", { class: "refusal" }, el("p", {}, el("strong", {}, "No answer. "), REFUSALS[refusal] ?? refusal)));
  else if (!body.sentences?.length) children.push(el("p", {}, outcome === "closed" ? "Whoever asked left before the end." : "There is no answer: the request ended in an error."));
  else children.push(el("ol", { class: "claims" }, body.sentences.map((one) => sentence(one, body.citations ?? [], openerOf))));
  const withheld = withheldIn(body);
  if (withheld) children.push(el("p", { class: "badge withheld" }, withheld));
  return section("answer", "Answer", children);
}

function sentence({ text, citations = [], support = {} }, known, openerOf) {
  const label = support.label ?? "unsupported";
  const chips = citations.map((n) => {
    const citation = known.find((one) => one.n === n);
    const open = citation && openerOf(citation);
    const chip = el("button", { type: "button", class: "cite", disabled: !open, "aria-label": `Source ${n}${citation ? `: ${citation.title}` : ""}${open ? ". Open the passage" : ""}` }, String(n));
    if (open) chip.addEventListener("click", () => open(chip));
    return chip;
  });
  const reasons = reasonsOf(support.checks ?? []);
  return el("li", { class: "claim", "data-support": label },
    el("div", { class: "claim-text" }, text === null ? el("p", { class: "unsaid" }, "Its words are not kept.") : render(text), el("span", { class: "cites" }, chips)),
    el("p", { class: label === "supported" ? "verdict fine-verdict" : "verdict" },
      el("strong", {}, SUPPORT[label] ?? label), Number.isFinite(support.score) ? ` (${share(support.score)})` : "", reasons.length ? `: ${reasons.join("; ")}` : ""),
    support.checks?.length ? el("p", { class: "checks fine" }, spoken("Checks: "), support.checks.flatMap((check) => [el("code", {}, check), " "])) : null);
}

function cited({ body }, openerOf) {
  if (!body.citations?.length) return null;
  const items = body.citations.map((citation) => {
    const open = openerOf(citation);
    const button = el("button", { type: "button", class: "source", disabled: !open, title: open ? null : GONE },
      el("span", { class: "source-n", "aria-hidden": "true" }, String(citation.n)),
      el("span", { class: "source-title" }, spoken(`Source ${citation.n}: `), citation.title || shortUri(citation.uri)),
      el("span", { class: "source-uri" }, shortUri(citation.uri)),
      citation.quote ? el("q", { class: "source-quote" }, words(citation.quote)) : null);
    if (open) button.addEventListener("click", () => open(button));
    return el("li", {}, button);
  });
  return section("citations", "Citations", el("ol", { class: "quotes" }, items));
}

function found({ operation, body }, openerOf) {
  if (!body.passages?.length) return null;
  const about = operation === "context"
    ? `${plural(body.passages.length, "passage")} in a pack of ${plural(body.tokens ?? 0, "token")}.`
    : `${plural(body.passages.length, "passage")} shown of ${count(body.total ?? body.passages.length)} found.`;
  return section("passages", "Passages", el("p", { class: "fine" }, about), passagesTable(body.passages, body.citations ?? [], openerOf), dropped(body.dropped));
}

function dropped(list) {
  if (!list?.length) return null;
  const reasons = new Map();
  for (const { reason } of list) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  return el("p", { class: "fine" }, `Left out: ${[...reasons].map(([reason, n]) => `${n} ${reason.replaceAll("_", " ")}`).join(", ")}.`);
}

function candidates({ body, chunks = {} }) {
  const searches = body.searches ?? [body];
  const some = searches.filter((one) => one.candidates?.length);
  if (!some.length) return null;
  return section("candidates", "Candidates", some.map((one, index) => [
    some.length > 1 && el("h3", {}, body.queries?.[index] ?? `Search ${index + 1}`),
    el("p", { class: "fine" }, weighed(one)),
    candidatesTable(one.candidates, { passages: body.passages ?? [], citations: body.citations ?? [], chunks }),
  ]).flat().filter(Boolean));
}

function weighed({ kind, weights }) {
  const told = "Best first, as the ranking had them before a second look.";
  if (!weights) return told;
  const of = weights.fitted ? `fitted to ${weights.fitted}` : "the same for every collection";
  return `${told} Taken as a ${kind ?? "plain"} query: dense weighs ${score(weights.dense)}, title ${score(weights.title)} (${of}).`;
}

function decisions({ body }) {
  if (!body.decisions?.length) return null;
  const items = body.decisions.map(({ step, choice, reasons = [] }) =>
    el("li", {}, el("strong", {}, `${step.replaceAll("_", " ")}: ${choice}`), reasons.length ? ` – ${reasons.join("; ")}` : ""));
  return section("decisions", "Decisions", el("ul", { class: "told-list" }, items));
}

function modelCalls({ model_calls: calls = [] }) {
  return calls.length ? section("calls", "Calls to models", callsTable(calls)) : null;
}

function relevance(trace) {
  if (!trace.relevance) return null;
  const rows = SIGNALS.filter(([name]) => Number.isFinite(trace[name])).map(([name, label, about]) =>
    el("div", {}, el("dt", { title: about }, label), el("dd", {}, el("meter", { min: 0, max: 1, value: trace[name], "aria-hidden": "true" }), score(trace[name]))));
  if (trace.legs_agree !== null && trace.legs_agree !== undefined) {
    rows.push(el("div", {}, el("dt", { title: "whether meaning and words put the same passages first" }, "Legs agree"), el("dd", {}, trace.legs_agree ? "yes" : "no")));
  }
  return section("relevance", "Relevance", el("p", {}, tag("relevance", trace.relevance)), el("dl", { class: "facts-list" }, rows));
}

function timings({ timings: stages = {}, total_ms: total }) {
  const parts = Object.entries(stages).filter(([name, value]) => name !== "total" && value > 0).map(([name, value]) => ({ name: name.replaceAll("_", " "), value }));
  const left = total - parts.reduce((sum, { value }) => sum + value, 0);
  if (parts.length && left > total * 0.02) parts.push({ name: "the rest", value: left });
  const about = parts.map(({ name, value }) => `${name} ${ms(value)}`).join(", ");
  return section("timings", "Time", el("p", { class: "figure-of" }, ms(total)),
    parts.length ? el("div", { class: "timing-chart" }, steps({ width: 320, parts, format: ms, title: "Time by stage", about })) : null);
}

function costs(trace) {
  if (!trace.model && !trace.prompt_tokens) return null;
  return section("cost", "Model", facts([
    ["Model", trace.model], ["Tier", trace.tier], ["Prompt", trace.prompt_version],
    ["Tokens read", trace.prompt_tokens, count], ["Tokens written", trace.completion_tokens, count], ["Cost", trace.cost_usd, usd],
  ]));
}

function versions(trace) {
  const rows = facts([
    ["Index", trace.index_version], ["Embedder", trace.embedder], ["Checked by", trace.body.method], ["Mode", trace.body.mode],
    ["Policy", trace.body.policy], ["Grounding", trace.grounding_score, score], ["Citation precision", trace.citation_precision, share],
    ["Citation recall", trace.citation_recall, share],
  ]);
  return rows.childElementCount ? section("versions", "Versions and measures", rows) : null;
}

function facts(rows) {
  return el("dl", { class: "facts-list" }, rows.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value, say]) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, say ? say(value) : String(value)))));
}

function feedback({ feedback: given }) {
  if (!given) return null;
  if (!given.length) return section("feedback", "Feedback", el("p", {}, "Nobody has said anything about it."));
  const items = given.map((one) => el("li", {}, el("strong", {}, said(one)), one.text ? el("q", { class: "said" }, one.text) : null,
    el("time", { class: "fine", datetime: one.at }, moment(one.at))));
  return section("feedback", "Feedback", el("ul", { class: "told-list" }, items));
}

function said({ kind, rating, outcome, rank }) {
  if (kind === "rating") return rating === "up" ? "▲ It helped" : "▼ It did not help";
  if (kind === "click") return Number.isFinite(rank) ? `Opened passage ${rank}` : "Opened a passage";
  return kind === "outcome" ? `Outcome: ${outcome}` : "Correction";
}

function ids(trace) {
  const rows = [["Trace", trace.id], ["Query", trace.query_id !== trace.id ? trace.query_id : null], ["Request", trace.request_id], ["Key", trace.key_id]];
  return section("ids", "Ids", el("dl", { class: "ids" }, rows.filter(([, id]) => id).map(([name, id]) => {
    const button = el("button", { type: "button", class: "quiet", "aria-label": `Copy the id of the ${name.toLowerCase()}` }, "Copy");
    button.addEventListener("click", () => copy(id, button));
    return el("div", {}, el("dt", {}, name), el("dd", {}, el("code", {}, id), button));
  })));
}

function raw(trace) {
  const { chunks, ...kept } = trace;
  return el("details", { class: "more raw" }, el("summary", {}, "As it is kept"), el("pre", { tabindex: "0" }, JSON.stringify(kept, null, 2)));
}
