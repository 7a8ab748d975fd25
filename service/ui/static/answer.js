// An answer as it arrives: each sentence with its sources and its verdict, then the verdict on the whole.

import * as api from "./api.js";
import { copy, el, plural, shortUri, spoken } from "./dom.js";
import { Later, helpView, opened } from "./feedback.js";
import { nearestView } from "./notices.js";
import { readEvents } from "./sse.js";
import { render, tidy } from "./text.js";
import { GROUNDING, SUPPORT, costOf, degradedIn, reasonsOf, withheldIn } from "./words.js";

/** Asks, and fills `into` until the answer is whole, which `answered` is told. Returns a line for the status. Raises Problem. */
export async function showAnswer(question, { collection, unsupported, turns, signal, into, reader, status, answered }) {
  const view = new AnswerView(into, reader);
  status("Looking for passages …");
  const stream = await api.answer(question, { collection, unsupported, turns, signal });
  for await (const { event, data } of readEvents(stream)) {
    const told = JSON.parse(data);
    view.learn(told);
    if (event === "retrieval") {
      view.understood(question, told.question);
      status("Reading what was found …");
    }
    else if (event === "sentence") view.addSentence(told.sentence ?? told);
    else if (event === "grounding") view.setGrounding(told.grounding ?? told);
    else if (event === "error") throw new api.Problem({ title: "The answer broke off", ...told, requestId: told.request_id });
    else if (event === "done") {
      const answer = told.answer ?? told;
      view.finish(answer);
      answered(answer);
      if (answer.answered) return "";
      const found = await api.search(question, { collection, signal, limit: 5, grouped: true }).catch(() => ({ hits: [] }));
      view.offer(nearestOf(answer, found.hits), found.query_id);
      return "";
    }
  }
  throw new api.Problem({ title: "The answer broke off", detail: "The connection ended before the answer did." });
}

/** The documents that the refusal names, at the passages that the search found in them; without a name, those that it found. */
function nearestOf(answer, hits) {
  const named = answer.refusal?.nearest ?? [];
  const known = new Map(hits.map((hit) => [hit.document.id, hit]));
  return named.length ? named.map((document) => known.get(document.id) ?? { document }) : hits;
}

class AnswerView {
  constructor(into, reader) {
    this.reader = reader;
    this.citations = new Map();
    this.clicks = new Later();
    this.sentences = 0;
    this.top = el("div", { class: "answer-top" });
    this.claims = el("ol", { class: "claims", "aria-live": "polite", "aria-relevant": "additions", "aria-busy": "true" });
    this.end = el("div", { class: "answer-end" });
    this.root = el("article", { class: "answer", "aria-label": "Answer" }, this.top, this.claims, this.end);
    into.replaceChildren(this.root);
  }

  /** Remember every citation that an event brings, whichever field it comes in. */
  learn(told) {
    const lists = Object.values(told.answer ?? told).filter(Array.isArray);
    for (const citation of lists.flat()) {
      if (citation?.document && citation.span && Number.isInteger(citation.n)) this.citations.set(citation.n, citation);
    }
  }

  /** The conversation may have added to the question: what it came to is shown. */
  understood(asked, question) {
    const words = (text) => (text ?? "").split(/\s+/).filter(Boolean).join(" ");
    if (!question || words(question) === words(asked)) return;
    const lines = question.split("\n").map(words).filter(Boolean).join(" · ");
    this.top.append(el("p", { class: "understood" }, "Understood as ", el("q", {}, lines)));
  }

  addSentence(sentence) {
    this.sentences += 1;
    const label = sentence.support?.label ?? "unsupported";
    // Each claim is an item of a list here already: the dash of a single item would be a second mark.
    const single = (sentence.text.match(/^[ \t]*[-*+][ \t]/gm) ?? []).length < 2;
    const text = single ? sentence.text.replace(/^\s*[-*+][ \t]+/, "") : sentence.text;
    const body = el("div", { class: "claim-text" }, render(text));
    const numbers = (sentence.citations ?? []).map((citation) => citation.n ?? citation);
    const last = body.lastElementChild;
    const chips = el("span", { class: "cites" }, numbers.map((n) => this.#chip(n)));
    if (last?.classList.contains("prose")) attach(last, chips);
    else body.append(chips);
    const paragraph = (sentence.lead ?? "").includes("\n") && this.sentences > 1;
    const claim = el("li", { class: paragraph ? "claim apart" : "claim", "data-support": label }, body, this.#verdict(label, sentence.support));
    this.claims.append(claim);
  }

  #verdict(label, support) {
    if (label === "supported") return el("p", { class: "verdict quiet-verdict", title: SUPPORT.supported }, spoken(SUPPORT.supported));
    const reasons = reasonsOf(support?.checks ?? []);
    return el("p", { class: "verdict" }, el("strong", {}, SUPPORT[label] ?? label), reasons.length ? `: ${reasons.join("; ")}` : "");
  }

  #chip(n) {
    const label = () => {
      const title = this.citations.get(n)?.document.title;
      return `Source ${n}${title ? `: ${title}` : ""}. Open the passage`;
    };
    const chip = el("button", { type: "button", class: "cite", "data-n": n, "aria-label": label(), "aria-controls": "reader" }, String(n));
    chip.addEventListener("click", () => this.#open(n, chip));
    return chip;
  }

  #open(n, opener) {
    const citation = this.citations.get(n);
    if (!citation) return;
    this.reader.open(citation.document, [citation.span], opener);
    this.clicks.opened(citation.chunk_id);
  }

  setGrounding(grounding) {
    this.grounding = grounding;
  }

  finish(answer) {
    this.claims.setAttribute("aria-busy", "false");
    this.clicks.whole({ answer_id: answer.answer_id });
    if (answer.degraded) {
      const [what, why] = degradedIn(answer.degraded);
      this.top.append(el("p", { class: "badge" }, el("strong", {}, what), why));
    }
    if (!answer.answered) {
      this.#refuse(answer);
      return;
    }
    if (!this.sentences) for (const sentence of answer.sentences ?? []) this.addSentence(sentence);
    for (const chip of this.claims.querySelectorAll(".cite")) {
      const title = this.citations.get(Number(chip.dataset.n))?.document.title;
      if (title) chip.title = title;
    }
    this.end.append(...[this.#summary(answer), this.#withheld(answer), this.#sources(), this.#footer(answer), this.#help(answer)].filter(Boolean));
  }

  #refuse({ refusal, answer_id: id }) {
    this.root.classList.add("refused");
    this.claims.remove();
    const title = refusal?.reason === "unsafe" ? "This is not answered here" : "The documents do not answer this";
    const text = refusal?.message || "Nothing in them is close enough to the question to answer from.";
    this.end.append(el("div", { class: "refusal" }, el("h2", {}, title), el("p", {}, text)), ...[this.#help({ answer_id: id })].filter(Boolean));
  }

  offer(hits, queryId) {
    const tell = (hit) => opened({ query_id: queryId }, hit.chunk_id);
    const nearest = nearestView(hits, this.reader, "The documents that come nearest", tell);
    if (nearest) this.end.append(nearest);
  }

  #help(answer) {
    return helpView({ answer_id: answer.answer_id });
  }

  #summary(answer) {
    const grounding = answer.grounding ?? this.grounding;
    if (!grounding) return null;
    const sentences = answer.sentences?.length ?? this.sentences;
    const supported = this.claims.querySelectorAll('[data-support="supported"]').length;
    const label = GROUNDING[grounding.label] ?? grounding.label;
    return el("p", { class: "grounding", "data-grounding": grounding.label, role: "status" },
      el("strong", {}, label), " ",
      el("span", {}, `${supported} of ${plural(sentences, "sentence")} checked against the cited text and found in it.`));
  }

  #withheld(answer) {
    const text = withheldIn(answer.grounding ?? this.grounding);
    return text && el("p", { class: "badge withheld", role: "status" }, text);
  }

  #sources() {
    const citations = [...this.citations.values()].sort((one, other) => one.n - other.n);
    if (!citations.length) return null;
    const items = citations.map((citation) => {
      const excerpt = tidy(citation.quote).replace(/\u200c/g, "").replace(/\s+/g, " ").trim();
      const button = el("button", { type: "button", class: "source", "data-n": citation.n },
        el("span", { class: "source-n", "aria-hidden": "true" }, String(citation.n)),
        el("span", { class: "source-title" }, spoken(`Source ${citation.n}: `), citation.document.title || shortUri(citation.document.uri)),
        el("span", { class: "source-uri" }, shortUri(citation.document.uri)),
        el("q", { class: "source-quote" }, excerpt.length > 170 ? `${excerpt.slice(0, 168)} …` : excerpt));
      button.addEventListener("click", () => this.#open(citation.n, button));
      return el("li", {}, button);
    });
    return el("section", { class: "sources", "aria-label": "Sources" }, el("h2", {}, "Sources"), el("ol", {}, items));
  }

  #footer(answer) {
    const button = el("button", { type: "button", class: "quiet" }, "Copy the answer");
    button.addEventListener("click", () => copy(plainText(answer, this.citations), button));
    return el("p", { class: "answer-foot" }, button, el("span", { class: "fine" }, costOf(answer).join(" · ")));
  }
}

/** Puts the chips after a text so that they never begin a line alone: the last word goes with them. */
function attach(prose, chips) {
  const tail = prose.lastChild;
  const cut = tail.nodeType === Node.TEXT_NODE ? tail.data.trimEnd().lastIndexOf(" ") + 1 : 0;
  const word = cut > 0 && tail.data.length - cut < 24 ? tail.splitText(cut) : null;
  prose.append(el("span", { class: "last-word" }, word, "\u00a0", chips));
}

function plainText(answer, citations) {
  const body = answer.text || (answer.sentences ?? []).map((sentence) => sentence.text).join("\n");
  const sources = [...citations.values()].sort((one, other) => one.n - other.n);
  return [body, "", ...sources.map(({ n, document: doc }) => `[${n}] ${doc.title} (${doc.uri})`)].join("\n");
}
