// What is shown when there is nothing to show: problems, refusals, the documents that come nearest.

import { el, shortUri } from "./dom.js";

/** A problem in words, with the id that finds it in the log, and a way to try again. */
export function problemView(problem, fallback, retry = null) {
  const children = [
    el("h3", {}, problem.title || fallback),
    el("p", {}, problem.detail || problem.message || fallback),
  ];
  if (problem.retryAfter) children.push(el("p", {}, `It may be tried again in ${problem.retryAfter} s.`));
  if (problem.requestId) children.push(el("p", { class: "fine" }, "Request ", el("code", {}, problem.requestId)));
  if (retry) children.push(el("button", { type: "button", class: "second", onclick: retry }, "Try again"));
  return el("div", { class: "panel problem", role: "alert" }, children);
}

/** The documents of some hits, best first, each once, as buttons that open them at their best passage, which `tell` is told. */
export function nearestView(hits, reader, title, tell = () => {}) {
  const seen = new Set();
  const items = [];
  for (const hit of hits) {
    if (seen.has(hit.document.id) || seen.size === 5) continue;
    seen.add(hit.document.id);
    const button = el("button", { type: "button", class: "nearest-item" },
      el("span", { class: "nearest-title" }, hit.document.title || shortUri(hit.document.uri)),
      el("span", { class: "fine" }, shortUri(hit.document.uri)));
    button.addEventListener("click", () => {
      reader.open(hit.document, hit.span ? [hit.span] : [], button);
      tell(hit);
    });
    items.push(el("li", {}, button));
  }
  if (!items.length) return null;
  return el("div", { class: "nearest" }, el("h3", {}, title), el("ul", {}, items));
}
