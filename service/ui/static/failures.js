// Documents that failed, and why: of uploads, and of the last sync of each source that has any.

import * as api from "./api.js";
import { el, plural, shortUri } from "./dom.js";
import { Keyed, fromNow, setText } from "./steady.js";

const SHOWN = 30;
const OVER = ["succeeded", "partial", "failed", "cancelled"];

class FailureEntry {
  constructor({ failure, job }, { act }) {
    this.when = el("span", { class: "fine" });
    const quarantined = failure.code === "quarantined";
    const from = job.source ?? "upload";
    const head = [el("strong", { title: failure.uri }, shortUri(failure.uri)), el("code", {}, failure.code ?? job.state), el("span", { class: "fine" }, from), this.when];
    if (quarantined && job.source) {
      const again = el("button", { type: "button", class: "quiet" }, "Try again");
      again.setAttribute("aria-label", `Try the quarantined documents of ${job.source} again`);
      again.addEventListener("click", () => act(() => retried(job.source), (count) => `${plural(count, "document")} of ${job.source} tried again`).catch(() => {}));
      head.push(again);
    }
    this.element = el("li", {}, el("div", { class: "failed-head" }, head), el("p", {}, failure.detail ?? ""));
  }

  show({ job }, now) {
    setText(this.when, fromNow(job.finished_at, now));
  }
}

async function retried(source) {
  const { documents } = await api.act(source, "retry");
  await api.act(source, "sync");
  return documents;
}

export class FailureList {
  constructor(list, context) {
    this.list = list;
    this.entries = new Keyed(list, (item) => new FailureEntry(item, context));
  }

  /** Whether there are any. */
  show(jobs, sources, now) {
    const items = failed(jobs, sources).slice(0, SHOWN);
    this.entries.show(items, ({ failure, job }) => `${job.id} ${failure.id} ${failure.uri}`, (entry, item) => entry.show(item, now));
    return items.length > 0;
  }
}

/** Newest first. A source whose last sync had no failure has none, whatever an earlier one had. */
function failed(jobs, sources) {
  const inTrouble = new Set(sources.filter(({ counts }) => (counts.failed ?? 0) + (counts.quarantined ?? 0)).map(({ id }) => id));
  const told = new Set();
  const found = [];
  for (const job of jobs) {
    if (!OVER.includes(job.state) || !job.failures.length) continue;
    if (job.source !== null) {
      if (!inTrouble.has(job.source) || told.has(job.source)) continue;
      told.add(job.source);
    }
    found.push(...job.failures.map((failure) => ({ failure, job })));
  }
  return found;
}
