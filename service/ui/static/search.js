// Search results: what was found, how sure the service is of it, and where in its document it stands.

import * as api from "./api.js";
import { el, plural, shortDate, shortUri } from "./dom.js";
import { opened } from "./feedback.js";
import { nearestView, problemView } from "./notices.js";
import { unitSpans } from "./spans.js";
import { marked, tidy } from "./text.js";

const RELEVANCE = {
  strong: "Good matches",
  weak: "Weak matches: check that they are about what you meant",
};

/** Searches and fills `into`. Returns a line for the status. Raises Problem. `only`: values chosen among the facets. */
export async function showResults(query, { collection, signal, into, reader, status, only = {}, explain = false }) {
  status("Searching …");
  const result = await api.search(query, { collection, signal, facets: FACETS, only, explain });
  const { hits, relevance } = result;
  const show = (doc, spans, opener, chunkId) => {
    reader.open(doc, spans, opener);
    opened({ query_id: result.query_id }, chunkId);
  };
  const again = async (changes) => {
    const told = { collection, signal, into, reader, status, only, explain, ...changes };
    try {
      status(await showResults(query, told));
    } catch (error) {
      if (error.name === "AbortError") return;
      status("");
      into.append(problemView(error, "That did not work"));
    }
  };
  if (!hits.length || relevance.label === "none") {
    const nearest = nearestView(hits, reader, "The documents that come nearest", (hit) => opened({ query_id: result.query_id }, hit.chunk_id));
    const words = el("p", {}, "No document is about ", el("q", {}, query.length > 120 ? `${query.slice(0, 118)} …` : query),
      ". Try other words, an error code, or a part of a command.");
    const chosen = Object.keys(only).length ? [facetsView(result.facets, only, again)] : [];
    into.replaceChildren(...chosen, el("div", { class: "refusal" }, el("h2", {}, "Nothing relevant found"), words), ...(nearest ? [nearest] : []));
    return "";
  }
  const items = byDocument(hits).map((group) => documentView(group, show));
  const passages = result.total_is === "exact" && result.total > hits.length ? `${hits.length} of ${plural(result.total, "passage")}` : plural(hits.length, "passage");
  const counted = `${passages}, in ${plural(items.length, "document")}`;
  into.replaceChildren(
    el("p", { class: "relevance", "data-relevance": relevance.label }, el("strong", {}, RELEVANCE[relevance.label] ?? relevance.label), el("span", { class: "fine" }, counted)),
    ...correctionsView(result.corrections),
    facetsView(result.facets, only, again),
    el("ol", { class: "hits" }, items),
    el("p", { class: "fine timings" }, timings(result.timings_ms), " ",
      el("button", { type: "button", class: "link", "aria-pressed": String(explain), onclick: () => again({ explain: !explain }) }, explain ? "Hide why" : "Why these?")),
  );
  return "";
}

/** What no document has and what it was taken for, so that nobody wonders at the hits. */
function correctionsView(corrections) {
  if (!corrections?.length) return [];
  const pairs = corrections.flatMap(({ written, meant }, at) => [at ? ", " : "", el("strong", {}, meant), " for ", el("q", {}, written)]);
  return [el("p", { class: "fine corrections" }, "Also searched for ", ...pairs, ".")];
}

const FACETS = ["collection", "source"];
const FACET_NAMES = { collection: "Collection", source: "Source" };

/** Values to narrow the search by, where there is a choice; a chosen one is taken back the same way. */
function facetsView(facets, only, again) {
  const rows = Object.entries(facets ?? {}).filter(([name, values]) => values.length > 1 || only[name] !== undefined).map(([name, values]) => {
    const chosen = only[name];
    const shown = chosen === undefined || values.some(({ value }) => value === chosen) ? values : [{ value: chosen, count: 0 }, ...values];
    const buttons = shown.slice(0, 8).map(({ value, count }) => {
      const { [name]: _, ...others } = only;
      const pick = () => again({ only: value === chosen ? others : { ...only, [name]: value } });
      return el("button", { type: "button", class: "facet", "aria-pressed": String(value === chosen), onclick: pick }, value, el("span", { class: "fine" }, ` ${count.toLocaleString()}`));
    });
    return el("div", { class: "facets", role: "group", "aria-label": FACET_NAMES[name] ?? name }, el("span", { class: "fine" }, FACET_NAMES[name] ?? name), buttons);
  });
  return el("div", {}, rows);
}

/** Hits by document, each at the place of its best hit. */
function byDocument(hits) {
  const groups = new Map();
  for (const hit of hits) {
    const key = `${hit.document.collection}/${hit.document.id}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(hit);
  }
  return [...groups.values()];
}

const SHOWN = 2; // passages of one document before the rest folds away

function documentView(hits, show) {
  const [{ document: doc, score, chunk_id: chunkId }] = hits;
  const open = el("button", { type: "button", class: "hit-open" }, doc.title || shortUri(doc.uri));
  open.addEventListener("click", () => show(doc, [hits[0].span], open, chunkId));
  const meter = el("meter", { min: "0", max: "1", value: score, "aria-hidden": "true" });
  const date = shortDate(doc.updated_at);
  const passages = hits.map((hit, index) => passageView(hit, show, index));
  const rest = passages.slice(SHOWN);
  return el("li", { class: "hit" },
    el("div", { class: "hit-head" }, el("h2", {}, open), el("span", { class: "score", title: "Estimated chance that this is relevant" }, meter, el("span", {}, `${Math.round(score * 100)}%`))),
    el("p", { class: "fine" }, shortUri(doc.uri), date ? " · " : null, date),
    passages.slice(0, SHOWN),
    rest.length ? el("details", { class: "more" }, el("summary", {}, `${plural(rest.length, "more passage")} in this document`), rest) : null);
}

function passageView(hit, show, index) {
  const path = (hit.heading_path ?? []).filter((heading) => heading !== hit.document.title);
  const place = [...path, hit.page ? `page ${hit.page}` : null].filter(Boolean).join(" › ");
  const open = el("button", { type: "button", class: "crumbs" }, place || (index ? "Another passage" : "Beginning of the document"));
  open.addEventListener("click", () => show(hit.document, [hit.span], open, hit.chunk_id));
  return el("div", { class: "passage" }, open, el("div", { class: "snippet" }, snippet(hit)), copiesView(hit, show), whyView(hit.explanation));
}

/** The documents that say the same. */
function copiesView(hit, show) {
  if (!hit.duplicates?.length) return null;
  const buttons = hit.duplicates.map(({ document: doc, chunk_id: chunkId }) => {
    const button = el("button", { type: "button", class: "link" }, doc.title || shortUri(doc.uri));
    button.addEventListener("click", () => show(doc, [], button, chunkId));
    return button;
  });
  return el("p", { class: "fine copies" }, "The same in: ", buttons.flatMap((button, index) => (index ? [", ", button] : [button])));
}

/** Why a hit stands where it does, as a list of terms. */
function whyView(told) {
  if (!told) return null;
  const leg = ({ rank, score }) => `rank ${rank}, score ${score.toFixed(2)}`;
  const facts = [
    ["Meaning", told.dense && leg(told.dense)],
    ["Words", told.sparse && leg(told.sparse)],
    ["Literally", told.exact.join(", ")],
    ["Reranker", told.rerank && `score ${told.rerank.score.toFixed(2)}, rank ${told.rerank.rank_before} before`],
    ["Preferred", told.preference && told.preference.change.toFixed(3)],
    ["Superseded", told.superseded && "comes after what replaced it"],
    ["Has", told.terms.join(", ")],
    ["Has not", told.missing.join(", ")],
  ];
  return el("dl", { class: "why" }, facts.filter(([, value]) => value).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

const SNIPPET = 420; // UTF-16 units around the best sentence, or the first highlight
const LEAD = 80;

/** The part of a passage around its best sentence, cut at white space, with the highlights marked. */
function snippet(hit) {
  const spans = unitSpans(hit.text, hit.highlights ?? [], hit.span.start);
  const [best] = hit.best_sentence ? unitSpans(hit.text, [hit.best_sentence], hit.span.start) : spans;
  const text = tidy(hit.text);
  let from = 0;
  if (best && hit.text.length > SNIPPET && best.start > LEAD) {
    const before = hit.text.slice(0, best.start - LEAD);
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
