// The lists below the charts: what is missing in the documents, the worst answers, what people said, what is in force.
// Each is asked for by itself, and says so where the service has it not.

import { el, plural, shortUri } from "./dom.js";
import { share } from "./numbers.js";
import { Panel, nothing } from "./panel.js";
import * as api from "./quality-api.js";
import { fromNow } from "./steady.js";
import { spaced, tag } from "./tags.js";

const GAPS = 6;
const ANSWERS = 6;
const ANSWERS_READ = 50; // of which the same question is shown once
const FEEDBACK = 6;
const LATEST = 6;
const RELEASES = 3;

export class Lists {
  /** `addressOf(trace)` is where a trace is shown, `find(trace)` goes there. */
  constructor(place, { addressOf, find }) {
    this.addressOf = addressOf;
    const panels = [
      new Panel("gaps", "Top gaps", "Questions that the documents did not answer, grouped, most frequent first."),
      new Panel("worst", "Worst answers", "Answers with the weakest support in this window."),
      new Panel("feedback", "What people said", "Ratings down, corrections and outcomes, newest first."),
      new Panel("latest", "Latest queries", "Each opens its trace."),
      new Panel("releases", "Releases in force", "Index, prompt and model that answer now, and releases that ended."),
    ];
    this.panels = Object.fromEntries(panels.map((panel) => [panel.id, panel]));
    this.panels.latest.element.append(finder(find));
    const column = (...ids) => el("div", { class: "list-column" }, ids.map((id) => this.panels[id].element));
    place.replaceChildren(column("gaps", "feedback"), column("worst", "latest", "releases"));
  }

  /** Ask for all of them anew. */
  refresh(asked) {
    const { gaps, worst, feedback, latest, releases } = this.panels;
    return Promise.all([
      gaps.load(() => this.#gaps(asked), asked.signal),
      worst.load(() => this.#worst(asked), asked.signal),
      feedback.load(() => this.#feedback(asked), asked.signal),
      latest.load(() => this.#latest(asked), asked.signal),
      releases.load(() => this.#releases(asked), asked.signal),
    ]);
  }

  #trace(id, text, className = "row-title") {
    return el("a", { class: className, href: this.addressOf(id) }, text ?? el("span", { class: "unsaid" }, "words not kept"));
  }

  async #gaps(asked) {
    const { gaps, total } = await api.gaps(asked, GAPS);
    if (!gaps.length) return [nothing("No question of this window was left without an answer.")];
    const most = Math.max(...gaps.map(({ count }) => count));
    const rows = gaps.map((gap) => this.#gap(gap, most));
    return [el("ul", { class: "rows" }, rows), total > gaps.length ? el("p", { class: "fine" }, `and ${total - gaps.length} more: `, el("code", {}, "plumbline gaps")) : null];
  }

  #gap(gap, most) {
    const reasons = Object.entries(gap.shares).filter(([, part]) => part > 0).sort(([, one], [, other]) => other - one);
    const others = gap.examples.filter(({ text }) => text !== gap.label).slice(0, 3);
    const first = gap.examples.find(({ text }) => text === gap.label) ?? gap.examples[0];
    return el("li", {},
      el("div", { class: "row-head" }, first ? this.#trace(first.trace_id, gap.label) : el("span", { class: "row-title" }, gap.label), el("span", { class: "row-count" }, `${gap.count.toLocaleString("en-GB")}×`)),
      meter(gap.count, most),
      el("p", { class: "row-facts" }, reasons.map(([reason, part]) => el("span", {}, `${spaced(reason)} ${share(part)}`)), el("span", {}, `last ${fromNow(gap.last_seen, Date.now())}`)),
      others.length ? el("ul", { class: "examples-of" }, others.map(({ text, trace_id: id }) => el("li", {}, this.#trace(id, text, null)))) : null,
      gap.nearest?.length ? el("p", { class: "row-facts" }, `Nearest: ${gap.nearest.map(({ title, uri }) => title || shortUri(uri)).join(", ")}`) : null);
  }

  async #worst(asked) {
    const { traces } = await api.worst(asked, ANSWERS_READ);
    const bad = traces.filter((trace) => trace.unsupported > 0 || trace.grounding !== "grounded" || trace.citation_precision < 1);
    if (!bad.length) return [nothing("Every answer of this window was grounded.")];
    const questions = new Map();
    for (const trace of bad) questions.set(trace.query_hash ?? trace.id, [...(questions.get(trace.query_hash ?? trace.id) ?? []), trace]);
    return [el("ul", { class: "rows" }, [...questions.values()].slice(0, ANSWERS).map(([trace, ...others]) => el("li", {},
      el("div", { class: "row-head" }, this.#trace(trace.id, trace.query), el("span", { class: "row-count" }, fromNow(trace.at, Date.now()))),
      el("p", { class: "row-facts" }, tag("grounding", trace.grounding), trace.degraded && tag("degraded", trace.degraded),
        el("span", {}, `${trace.unsupported} of ${plural(trace.sentences, "sentence")} unsupported`), others.length > 0 && el("span", {}, `${others.length + 1} times`), trace.model && el("span", {}, trace.model)))))];
  }

  async #latest(asked) {
    const { traces } = await api.traces(asked, { limit: LATEST, collection: asked.collection });
    if (!traces.length) return [nothing("Nothing was asked.")];
    return [el("ul", { class: "rows tight" }, traces.map((trace) => el("li", {},
      el("div", { class: "row-head" }, this.#trace(trace.id, trace.query), el("span", { class: "row-count" }, fromNow(trace.at, Date.now()))),
      el("p", { class: "row-facts" }, el("span", {}, trace.operation), trace.outcome !== "ok" && tag("outcome", trace.outcome), trace.relevance && tag("relevance", trace.relevance), trace.grounding && tag("grounding", trace.grounding)))))];
  }

  async #feedback(asked) {
    const said = await api.complaints(asked, FEEDBACK);
    if (!said.length) return [nothing("Nobody has complained. Answers on the search page have buttons for it.")];
    return [el("ul", { class: "rows tight" }, said.map((one) => el("li", {},
      el("div", { class: "row-head" }, this.#trace(one.trace_id, words(one)), el("span", { class: "row-count" }, fromNow(one.at, Date.now()))))))];
  }

  async #releases(asked) {
    const { live, releases } = await api.releases(asked, RELEASES);
    const inForce = live.map(({ kind, value, released_at: at }) => el("li", {},
      el("div", { class: "row-head" }, el("span", { class: "row-title" }, `${kind}: ${value ?? "none"}`), el("span", { class: "row-count" }, at ? `released ${fromNow(at, Date.now())}` : "as set"))));
    const ended = releases.filter(({ state }) => state !== "active").map((release) => el("li", {},
      el("p", { class: "row-facts" }, el("span", {}, `${release.kind} ${release.value}: ${spaced(release.state)} ${fromNow(release.ended_at, Date.now())}`), release.reason && el("span", {}, release.reason))));
    return [el("ul", { class: "rows tight" }, [...inForce, ...ended])];
  }
}

/** How many of the most: a line beside which the number stands. */
function meter(count, most) {
  return el("meter", { class: "bar-of", min: 0, max: most, value: count, "aria-hidden": "true" });
}

/** What somebody said, in one line. */
function words({ kind, rating, outcome, text }) {
  const what = kind === "rating" ? (rating === "up" ? "It helped" : "It did not help") : kind === "outcome" ? `Outcome: ${spaced(outcome)}` : "Correction";
  return text ? `${what}: “${text}”` : what;
}

/** A form that opens a trace by its id. */
function finder(find) {
  const input = el("input", { id: "trace-id", name: "trace", autocomplete: "off", spellcheck: "false", placeholder: "Id of a trace, an answer or a query", "aria-label": "Id of a trace, an answer or a query", required: true });
  const form = el("form", { class: "find", action: "/quality" }, input, el("button", { type: "submit", class: "second" }, "Open"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    find(input.value.trim());
  });
  return form;
}
