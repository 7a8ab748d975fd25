// The panel that shows a passage in its document: the whole text, its headings, and the passage marked to the character.

import * as api from "./api.js";
import { blocksOf, stylesOf } from "./blocks.js";
import { byId, el, shortDate, shortUri } from "./dom.js";
import { problemView } from "./notices.js";
import { unitSpans } from "./spans.js";

const NARROW = matchMedia("(max-width: 60rem)");

export class Reader {
  constructor(panel) {
    this.panel = panel;
    this.opener = null;
    this.turn = 0; // a document that arrives after the next one was asked for is dropped
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.isOpen) {
        event.preventDefault();
        this.close();
      }
    });
    NARROW.addEventListener("change", () => this.#cover());
  }

  get isOpen() {
    return !this.panel.hidden;
  }

  /** Show a document with these spans (code points) marked. Focus goes to the panel, and back to `opener` on close. */
  async open(doc, spans, opener) {
    const turn = (this.turn += 1);
    this.#point(opener);
    this.title = el("h2", { id: "reader-title", tabindex: "-1" }, doc.title || shortUri(doc.uri));
    this.body = el("div", { class: "reader-body", tabindex: "0", role: "document", "aria-label": "Text of the document" });
    this.body.append(el("p", { class: "loading" }, "Opening the document …"));
    this.panel.replaceChildren(this.#head(doc), this.body);
    this.panel.hidden = false;
    document.body.classList.add("reading");
    this.#cover();
    this.title.focus({ preventScroll: true });
    try {
      const content = await api.content(doc.id, doc.collection);
      if (turn === this.turn) this.#show(content, spans);
    } catch (error) {
      if (turn === this.turn) this.body.replaceChildren(problemView(error, "The document could not be opened"));
    }
  }

  close() {
    if (!this.isOpen) return;
    this.turn += 1;
    this.panel.hidden = true;
    this.panel.replaceChildren();
    document.body.classList.remove("reading");
    this.#cover();
    const opener = this.opener;
    this.#point(null);
    if (opener?.isConnected) opener.focus();
    else (byId("q") ?? byId("main")).focus();
  }

  #point(opener) {
    this.opener?.removeAttribute("aria-current");
    this.opener = opener;
    opener?.setAttribute("aria-current", "true");
  }

  /** On a small screen the panel covers the page, so the page behind it takes no focus. */
  #cover() {
    const covers = this.isOpen && NARROW.matches;
    byId("main").inert = covers;
    document.querySelector(".bar").inert = covers;
    this.panel.setAttribute("role", covers ? "dialog" : "complementary");
    if (covers) this.panel.setAttribute("aria-modal", "true");
    else this.panel.removeAttribute("aria-modal");
  }

  #head(doc) {
    const close = el(
      "button",
      { type: "button", class: "close", id: "reader-close", onclick: () => this.close(), "aria-label": "Close the document" },
      el("span", { "aria-hidden": "true" }, "Close"),
      el("kbd", { "aria-hidden": "true" }, "Esc"),
    );
    this.facts = el("p", { title: doc.uri }, factsOf(doc));
    this.tools = el("div", { class: "reader-tools" });
    return el("header", { class: "reader-head" }, el("div", { class: "reader-titles" }, this.title, this.facts), close, this.tools);
  }

  #show({ document: doc, text, outline = [] }, spans) {
    this.facts.replaceChildren(...factsOf(doc));
    const headings = unitSpans(text, outline.map((entry) => entry.span)).map((span, index) => ({
      ...span,
      level: outline[index]?.level ?? 2,
      title: outline[index]?.title ?? text.slice(span.start, span.end),
    }));
    const marks = unitSpans(text, spans);
    const blocks = blocksOf(text, headings);
    const anchors = new Map();
    const nodes = blocks.map((block) => {
      const node = blockNode(text, block, marks);
      if (block.heading && !anchors.has(block.heading)) anchors.set(block.heading, node);
      return node;
    });
    this.body.replaceChildren(...nodes);
    const first = this.body.querySelector("mark");
    this.tools.replaceChildren(...this.#outline(headings, anchors), ...this.#passageButton(first));
    if (first) this.#scrollTo(first);
    else this.body.scrollTop = 0;
  }

  #outline(headings, anchors) {
    const listed = headings.filter((heading) => anchors.has(heading));
    if (listed.length < 2) return [];
    const top = Math.min(...listed.map((heading) => heading.level));
    const details = el("details", { class: "outline" }, el("summary", {}, `${listed.length} headings`));
    const go = (heading) => {
      details.open = false;
      const node = anchors.get(heading);
      this.#scrollTo(node);
      node.focus({ preventScroll: true });
    };
    const items = listed.map((heading) =>
      el(
        "li",
        { class: `depth-${Math.min(3, heading.level - top)}` },
        el("button", { type: "button", onclick: () => go(heading) }, heading.title),
      ),
    );
    details.append(el("nav", { "aria-label": "Headings of the document" }, el("ol", {}, items)));
    return [details];
  }

  #passageButton(mark) {
    if (!mark) return [];
    return [el("button", { type: "button", class: "quiet", onclick: () => this.#scrollTo(mark) }, "Back to the passage")];
  }

  #scrollTo(node) {
    const box = this.body.getBoundingClientRect();
    const place = node.getBoundingClientRect();
    const above = node.matches("mark") ? Math.max(32, Math.min(box.height / 3, (box.height - place.height) / 2)) : 16;
    this.body.scrollTop += place.top - box.top - above;
  }
}

function factsOf(doc) {
  const facts = [shortUri(doc.uri), shortDate(doc.updated_at)].filter(Boolean);
  return facts.flatMap((fact, index) => (index ? [" · ", fact] : [fact]));
}

/** One block with its marks and styles. The text content of all blocks together is the document's text. */
function blockNode(text, block, marks) {
  const more = [block.gap && "gap", block.wrapped && "wrapped", block.depth && `depth-${block.depth}`].filter(Boolean);
  const attributes = { class: ["block", block.kind, ...more].join(" ") };
  if (block.kind === "code" || block.kind === "table") attributes.tabindex = "0";
  if (block.kind === "heading") {
    Object.assign(attributes, { role: "heading", "aria-level": String(block.level + 2), tabindex: "-1", "data-level": block.level });
  }
  const node = el("div", attributes);
  const styles = stylesOf(text, block);
  const edges = new Set([block.start, block.end]);
  for (const { start, end } of [...styles, ...marks]) {
    if (start > block.start && start < block.end) edges.add(start);
    if (end > block.start && end < block.end) edges.add(end);
  }
  const cuts = [...edges].sort((one, other) => one - other);
  const covering = (ranges, at) => ranges.find((range) => range.start <= at && at < range.end);
  let inside = null;
  let mark = null;
  cuts.slice(0, -1).forEach((start, index) => {
    const piece = text.slice(start, cuts[index + 1]);
    const style = covering(styles, start)?.style;
    const shown = style ? el("span", { class: style }, piece) : piece;
    const range = covering(marks, start);
    if (!range) {
      inside = null;
      node.append(shown);
      return;
    }
    if (range !== inside) {
      inside = range;
      mark = el("mark");
      node.append(mark);
    }
    mark.append(shown);
  });
  return node;
}
