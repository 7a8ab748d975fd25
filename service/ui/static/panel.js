// A part of the page that is asked for by itself: while it fails, or is not there, it says so and the rest goes on.

import { Problem } from "./api.js";
import { el } from "./dom.js";
import { problemView } from "./notices.js";

export class Panel {
  constructor(id, title, about) {
    this.id = id;
    const heading = el("h2", { id: `panel-${id}` }, title);
    this.body = el("div", { class: "panel-body" });
    this.element = el("section", { class: "panel", "data-panel": id, "aria-labelledby": heading.id }, heading, el("p", { class: "fine" }, about), this.body);
  }

  /** Show what `ask` finds, as elements. What is shown stays until then, with the focus where it was. */
  async load(ask, signal) {
    try {
      const found = await ask();
      if (signal.aborted) return;
      this.#show(found.filter(Boolean));
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      this.#show([error.status === 404 ? missing() : problemView(error, "That did not work", () => this.load(ask, signal))]);
    }
  }

  #show(children) {
    const at = this.body.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    const same = el("div", {}, children);
    // Times aside, the same list again: nothing moves under the reader's eyes.
    if (same.innerHTML === this.body.innerHTML) return;
    this.body.replaceChildren(...same.childNodes);
    if (at) [...this.body.querySelectorAll("a")].find((link) => link.getAttribute("href") === at)?.focus({ preventScroll: true });
  }
}

const missing = () => el("p", { class: "nothing" }, "Not available: this service does not tell it.");

export const nothing = (text) => el("p", { class: "nothing" }, text);
