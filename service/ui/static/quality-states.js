// What the page says where there are no numbers: nothing asked yet, nothing kept, a key that may not see it.

import { Problem } from "./api.js";
import { copy, el } from "./dom.js";

/** What to say in the place of the numbers, or nothing where there are some. */
export function emptyIn(quality, { collection }) {
  if (!quality) return { title: "This service does not tell its quality", children: [el("p", {}, "It has no ", el("code", {}, "GET /v1/quality"), ": it is older than this page, or another service answers here.")] };
  if (quality.queries.now || quality.queries.before) return null;
  if (collection) return { title: `Nothing was asked in ${collection}`, children: [el("p", {}, "Neither in this window nor in the one before. Take a longer window, or all collections.")] };
  return { title: "Nothing was asked yet", children: [
    el("p", {}, "In this window and the one before there was no search and no answer. Take a longer window, or make some traffic: every question counts, whether it comes over HTTP, from ", el("a", { href: "/" }, "the search page"), " or from a shell:"),
    example("plumbline ask \"How do I swap an on-call shift?\""),
    example(`curl ${location.origin}/v1/search -H "Content-Type: application/json" -d '{"query": "gateway 502"}'`),
    el("p", {}, "If there was traffic, look whether the ledger is on: with ", el("code", {}, "PLUMBLINE_LEDGER__ENABLED=false"), " nothing is kept and nothing can be told."),
  ] };
}

function example(text) {
  const button = el("button", { type: "button", class: "copy" }, "Copy");
  button.addEventListener("click", () => copy(text, button));
  return el("div", { class: "code" }, el("pre", {}, text), button);
}

/** A problem as this page puts it; nothing for what is no answer of the service. */
export function problemIn(error) {
  if (!(error instanceof Problem)) return null;
  if (error.status === 403) {
    return new Problem({ ...error, title: "This key may not see the quality",
      detail: "Traces hold what other people asked, so the page wants a key with the scope admin: plumbline keys create NAME --scope admin" });
  }
  if (error.code === "not_found") return new Problem({ ...error, title: "There is no such trace" });
  return error;
}
