// The tables of a trace: what was found, and all candidates with the score of every leg.

import { el, shortUri } from "./dom.js";
import { score } from "./numbers.js";

const LEGS = [
  ["dense", "Dense", "cosine of the embeddings"],
  ["sparse", "Sparse", "BM25 of the words"],
  ["fused", "Fused", "both together; without one: an exact hit behind the ranking"],
  ["rerank", "Reranked", "as the second look scores it"],
  ["score", "Score", "calibrated, of what was shown"],
];

/** Passages as they were shown. `open(passage, button)` opens one in its document. */
export function passagesTable(passages, citations, open) {
  const cited = citedBy(citations);
  const rows = passages.map((passage, index) => {
    const button = el("button", { type: "button", class: "link" }, passage.title || shortUri(passage.uri) || "a document");
    button.addEventListener("click", () => open(passage, button));
    return el("tr", {},
      el("td", { class: "rank" }, String(passage.n ?? index + 1)),
      el("th", { scope: "row" }, button, cited.has(passage.chunk_id) && el("span", { class: "fine" }, ` cited as ${cited.get(passage.chunk_id)}`),
        el("span", { class: "fine where" }, shortUri(passage.uri))),
      el("td", {}, el("meter", { min: 0, max: 1, value: passage.score ?? 0, "aria-hidden": "true" }), score(passage.score)));
  });
  return box("Passages", el("table", { class: "numbers ranked" },
    el("thead", {}, el("tr", {}, ["#", "Document", "Score"].map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, rows)));
}

/** All candidates that are kept. Legs that scored none of them are left out. */
export function candidatesTable(candidates, passages, citations) {
  const shown = new Map(passages.map((passage, index) => [passage.chunk_id, { ...passage, place: index + 1 }]));
  const cited = citedBy(citations);
  const legs = LEGS.filter(([name]) => candidates.some((one) => Number.isFinite(one[name])));
  const best = Object.fromEntries(legs.map(([name]) => [name, Math.max(...candidates.map((one) => one[name] ?? -Infinity))]));
  const rows = candidates.map((one, index) => {
    const passage = shown.get(one.chunk_id) ?? one;
    const notes = [shown.has(one.chunk_id) && `shown ${shown.get(one.chunk_id).place}.`, cited.has(one.chunk_id) && `cited as ${cited.get(one.chunk_id)}`, one.exact && "exact"].filter(Boolean);
    return el("tr", { class: shown.has(one.chunk_id) ? "was-shown" : null },
      el("td", { class: "rank" }, String(index + 1)),
      el("th", { scope: "row", title: one.chunk_id }, passage.title || shortUri(passage.uri) || el("code", {}, one.chunk_id.slice(0, 8)),
        notes.length ? el("span", { class: "fine where" }, notes.join(", ")) : null),
      legs.map(([name]) => el("td", { class: one[name] === best[name] ? "best" : null }, score(one[name]))));
  });
  const names = legs.map(([, label, about]) => el("th", { scope: "col", title: about }, label));
  return box("Candidates", el("table", { class: "numbers ranked" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "#"), el("th", { scope: "col" }, "Passage"), names)), el("tbody", {}, rows)));
}

const citedBy = (citations) => new Map(citations.map(({ chunk_id: chunk, n }) => [chunk, n]));

const box = (name, table) => el("div", { class: "numbers-box tall", tabindex: "0", role: "region", "aria-label": name }, table);
