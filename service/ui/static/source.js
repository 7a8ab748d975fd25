// One source: where it is, how it is, and what can be done with it.

import * as api from "./api.js";
import { el, plural } from "./dom.js";
import { Progress } from "./jobs.js";
import { fromNow, setAttribute, setText } from "./steady.js";

const DIFFERENCES = [
  ["missing", "at the origin, not here"],
  ["stale", "here as another version"],
  ["orphaned", "here, no longer at the origin"],
  ["failed", "could not be read"],
  ["quarantined", "no longer tried"],
];

export class SourceCard {
  /** `act` carries a button's work out; `say` tells a screen reader. */
  constructor(source, { act, say }) {
    this.id = source.id;
    this.act = act;
    this.say = say;
    this.health = el("span", { class: "health" });
    this.place = el("p", { class: "place" });
    this.facts = Object.fromEntries(["documents", "synced", "next"].map((name) => [name, el("dd")]));
    this.error = el("p", { class: "origin-error", hidden: true });
    this.progress = new Progress(`Sync of ${source.id}`, { act });
    this.said = el("p", { class: "origin-error", role: "alert", hidden: true });
    this.compared = el("div", { class: "compared", hidden: true });
    this.buttons = this.#makeButtons();
    const name = el("h2", { id: `origin-${source.id}` }, source.id);
    this.element = el("li", { class: "panel origin", "aria-labelledby": name.id },
      el("div", { class: "origin-head" }, name, this.health, el("div", { class: "origin-buttons" }, Object.values(this.buttons))),
      this.place,
      el("dl", { class: "facts" },
        el("div", {}, el("dt", {}, "Documents"), this.facts.documents),
        el("div", {}, el("dt", {}, "Last sync"), this.facts.synced),
        el("div", {}, el("dt", {}, "Next sync"), this.facts.next)),
      this.progress.element, this.error, this.said, this.compared);
  }

  #makeButtons() {
    const button = (text, work) => {
      const made = el("button", { type: "button", class: "second" }, text);
      made.addEventListener("click", () => made.getAttribute("aria-disabled") || this.#run(made, work));
      return made;
    };
    return {
      sync: button("Sync now", () => this.act(() => api.act(this.id, "sync"), () => `${this.id}: sync asked for`)),
      pause: button("Pause", () => this.#pauseOrResume()),
      compare: button("Compare", () => this.#compare()),
    };
  }

  /** While it works a button can't be pressed again; it keeps the focus. */
  async #run(button, work) {
    const what = button.textContent;
    button.setAttribute("aria-disabled", "true");
    this.said.hidden = true;
    try {
      await work();
    } catch (error) {
      if (error.status !== 401) {
        this.said.textContent = `${what}: ${error.detail || error.message}`;
        this.said.hidden = false;
      }
    } finally {
      button.removeAttribute("aria-disabled");
      if (button === this.buttons.sync && this.syncing) button.setAttribute("aria-disabled", "true");
    }
  }

  #pauseOrResume() {
    const action = this.paused ? "resume" : "pause";
    return this.act(() => api.act(this.id, action), () => `${this.id} is ${action}d`);
  }

  async #compare() {
    const button = this.buttons.compare;
    setText(button, "Comparing …");
    try {
      const found = await this.act(() => api.reconcile(this.id));
      this.compared.replaceChildren(...comparison(found));
      this.compared.dataset.equal = found.equal;
      this.compared.hidden = false;
      this.say(`${this.id}: ${this.compared.firstElementChild.textContent}`);
    } finally {
      setText(button, "Compare");
    }
  }

  show(source, job, now) {
    this.paused = source.paused;
    if (this.syncing && !job) {
      this.say(`${source.id}: the sync has ended`);
      this.compared.hidden = true; // it tells of what was before
    }
    this.syncing = Boolean(job);
    setText(this.health, source.health.replace("_", " ") + (source.failures > 1 ? ` ${source.failures}×` : ""));
    setAttribute(this.health, "data-health", source.health);
    setText(this.place, `${kindOf(source.origin)} ${placeOf(source.origin)}`);
    setText(this.facts.documents, documents(source.counts));
    setText(this.facts.synced, fromNow(source.succeeded_at, now) || "never");
    setAttribute(this.facts.synced, "title", source.succeeded_at);
    setText(this.facts.next, job ? "now" : next(source, now));
    setText(this.error, source.error ? `${source.error.code}: ${source.error.detail}` : "");
    this.error.hidden = !source.error;
    this.progress.show(job);
    setText(this.buttons.pause, source.paused ? "Resume" : "Pause");
    setText(this.buttons.sync, job ? "Syncing …" : "Sync now");
    setAttribute(this.buttons.sync, "aria-disabled", job ? "true" : null);
  }
}

function comparison(found) {
  const documents = plural(found.documents, "document");
  const at = new Date().toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  if (found.equal) {
    return [el("p", {}, el("strong", {}, "Equal. "), `${documents}, the same at the origin and here, compared at ${at}.`)];
  }
  const rows = DIFFERENCES.filter(([name]) => found[name].count).map(([name, meaning]) =>
    el("li", {}, el("strong", {}, `${found[name].count.toLocaleString()} ${name}`), ` ${meaning}`, named(found[name])));
  if (found.index_differs) rows.push(el("li", {}, el("strong", {}, plural(found.index_differs, "chunk")), " not in both of catalogue and index"));
  if (!found.complete) rows.push(el("li", {}, "Not everything at the origin could be looked at."));
  return [el("p", {}, el("strong", {}, "Not equal. "), `${documents} here, compared at ${at}.`), el("ul", {}, rows)];
}

const NAMED = 10;

function named({ uris, count }) {
  const shown = uris.slice(0, NAMED).map((uri) => el("li", { class: "fine", title: uri }, uri));
  if (count > shown.length) shown.push(el("li", { class: "fine" }, `and ${(count - shown.length).toLocaleString()} more`));
  return el("ul", {}, shown);
}

function documents(counts) {
  if (counts.seen === undefined) return "–";
  const failed = (counts.failed ?? 0) + (counts.quarantined ?? 0);
  return counts.seen.toLocaleString() + (failed ? ` (${failed.toLocaleString()} failed)` : "");
}

function next(source, now) {
  if (source.paused) return "paused";
  if (source.due_at) return Date.parse(source.due_at) > now ? fromNow(source.due_at, now) : "soon";
  return source.origin.watch ? "when something changes" : "on demand";
}

const kindOf = (origin) => ({ folder: "Folder", git: "Git repository", web: "Web site", sql: "Database" })[origin.kind] ?? origin.kind;

function placeOf(origin) {
  if (origin.kind === "folder") return origin.path;
  if (origin.kind === "sql") return `${origin.database}, ${origin.table ?? "a query"}`;
  return origin.url + (origin.branch ? `, branch ${origin.branch}` : "") + (origin.subpath ? `, ${origin.subpath}` : "");
}
