// Search results: what was found, how sure the service is of it, and where in its document it stands.

import * as api from "./api.js";
import { el, plural, shortDate, shortUri } from "./dom.js";
import { nearestView } from "./notices.js";
import { unitSpans } from "./spans.js";
import { marked, tidy } from "./text.js";

const RELEVANCE = {
  strong: "Good matches",
  weak: "Weak matches: check that they are about what you meant",
};

/** Searches and fills `into`. Returns a line for the status. Raises Problem. */
export async function showResults(query, { collection, signal, into, reader, status }) {
  status("Searching …");
  const result = await api.search(query, { collection, signal });
  const { hits, relevance } = result;
  if (!hits.length || relevance.label === "none") {
    const nearest = nearestView(hits, reader, "The documents that come nearest");
    const words = el("p", {}, "No document is about ", el("q", {}, query.length > 120 ? `${query.slice(0, 118)} …` : query),
      ". Try other words, an error code, or a part of a command.");
    into.replaceChildren(el("div", { class: "refusal" }, el("h2", {}, "Nothing relevant found"), words), ...(nearest ? [nearest] : []));
    return "";
  }
  const items = hits.map((hit) => hitView(hit, reader));
  const counted = result.total > hits.length ? `The best ${hits.length} of ${plural(result.total, "passage")}` : plural(hits.length, "passage");
  into.replaceChildren(
    el("p", { class: "relevance", "data-relevance": relevance.label }, el("strong", {}, RELEVANCE[relevance.label] ?? relevance.label), el("span", { class: "fine" }, counted)),
    el("ol", { class: "hits" }, items),
    el("p", { class: "fine timings" }, timings(result.timings_ms)),
  );
  return "";
}

function hitView(hit, reader) {
  const { document: doc } = hit;
  const button = el("button", { type: "button", class: "hit-open" }, doc.title || shortUri(doc.uri));
  button.addEventListener("click", () => reader.open(doc, [hit.span], button));
  const path = (hit.heading_path ?? []).filter((heading) => heading !== doc.title);
  const place = [...path, hit.page ? `page ${hit.page}` : null].filter(Boolean);
  const percent = Math.round(hit.score * 100);
  const meter = el("meter", { min: "0", max: "1", value: hit.score, "aria-hidden": "true" });
  const date = shortDate(doc.updated_at);
  return el("li", { class: "hit" },
    el("div", { class: "hit-head" }, el("h2", {}, button), el("span", { class: "score", title: "Estimated chance that this is relevant" }, meter, el("span", {}, `${percent}%`))),
    place.length ? el("p", { class: "crumbs" }, place.join(" › ")) : null,
    el("div", { class: "snippet" }, snippet(hit)),
    el("p", { class: "fine" }, shortUri(doc.uri), date ? " · " : null, date));
}

const SNIPPET = 420; // UTF-16 units around the first highlight
const LEAD = 80;

/** The part of a passage around its first highlight, cut at white space, with the highlights marked. */
function snippet(hit) {
  const spans = unitSpans(hit.text, hit.highlights ?? [], hit.span.start);
  const text = tidy(hit.text);
  let from = 0;
  if (spans.length && hit.text.length > SNIPPET && spans[0].start > LEAD) {
    const before = hit.text.slice(0, spans[0].start - LEAD);
    from = Math.max(before.lastIndexOf("\n"), before.lastIndexOf(" ")) + 1;
  }
  let until = Math.min(hit.text.length, from + SNIPPET);
  if (until < hit.text.length) {
    const space = hit.text.slice(from, until).search(/\s\S*$/);
    if (space > LEAD) until = from + space;
  }
  const inside = spans
    .filter((span) => span.end > from && span.start < until)
    .map((span) => ({ start: Math.max(span.start, from) - from, end: Math.min(span.end, until) - from }));
  return [from > 0 ? "… " : "", ...marked(text.slice(from, until), inside), until < hit.text.length ? " …" : ""];
}

function timings(times = {}) {
  const shown = Object.entries(times).filter(([stage, ms]) => stage !== "total" && ms > 0).map(([stage, ms]) => `${stage} ${ms.toFixed(1)} ms`);
  return times.total === undefined ? "" : `${times.total.toFixed(1)} ms${shown.length ? ` (${shown.join(", ")})` : ""}`;
}
