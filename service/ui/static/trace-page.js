// The place of one trace on the page: asks for it, shows it, and opens its passages in their documents.

import { el } from "./dom.js";
import { askForKey } from "./key.js";
import { problemView } from "./notices.js";
import * as api from "./quality-api.js";
import { problemIn } from "./quality-states.js";
import { Reader } from "./reader.js";
import { traceView } from "./trace.js";

export class TracePage {
  /** `back` tells the address of the page before. */
  constructor(element, panel, { back }) {
    this.element = element;
    this.reader = new Reader(panel);
    this.back = back;
  }

  async show(id, signal) {
    this.close();
    this.element.replaceChildren(this.#link(), el("p", { class: "loading" }, "Looking it up …"));
    try {
      const trace = await api.trace(id, signal);
      this.element.replaceChildren(...traceView(trace, { back: this.back(), openerOf: (passage) => this.#openerOf(passage, trace.chunks ?? {}) }));
      document.title = `${(trace.query ?? id).slice(0, 60)} · Trace · Plumbline`;
      this.element.querySelector("h1").focus({ preventScroll: true });
    } catch (error) {
      if (signal.aborted) return;
      this.element.replaceChildren(this.#link());
      if (error.status === 401) {
        askForKey();
        return;
      }
      const problem = problemIn(error);
      if (!problem) console.error(error);
      this.element.append(problemView(problem ?? error, "The trace could not be opened", () => this.show(id, signal)));
    }
  }

  close() {
    if (this.reader.isOpen) this.reader.close();
    this.element.replaceChildren();
  }

  #link() {
    return el("p", {}, el("a", { class: "back", href: this.back() }, "← Quality"));
  }

  /** Opens a passage's document at its span, as long as the index has the passage. */
  #openerOf(passage, chunks) {
    const chunk = chunks[passage.chunk_id];
    if (!chunk) return null;
    return (button) => this.reader.open(chunk.document, [passage.span ?? chunk.span], button);
  }
}
