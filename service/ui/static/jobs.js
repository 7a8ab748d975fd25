// Jobs that are not over: what each is at, how far it has come, how long it takes still.

import * as api from "./api.js";
import { el } from "./dom.js";
import { Keyed, setAttribute, setText, span } from "./steady.js";

/** A bar with what a job is at, and a button that stops it; hidden while there is none. */
export class Progress {
  constructor(what, { act }) {
    this.bar = el("progress", { "aria-label": `Progress: ${what}` });
    this.line = el("p", { class: "fine" });
    const stop = el("button", { type: "button", class: "quiet", "aria-label": `Stop: ${what}` }, "Stop");
    stop.addEventListener("click", () => act(() => api.cancel(this.id), () => `${what}: it stops before its next document`).catch(() => {}));
    this.element = el("div", { class: "job-progress", hidden: true }, this.bar, el("div", { class: "job-line" }, this.line, stop));
  }

  show(job) {
    this.element.hidden = !job;
    this.id = job?.id;
    if (!job) return;
    // A sync counts what it meets: without an estimate there is no telling how much there is.
    const known = job.total > 0 && (job.kind === "upload" || job.eta_s !== null);
    setAttribute(this.bar, "max", known ? job.total : null);
    setAttribute(this.bar, "value", known ? job.done : null);
    setText(this.line, line(job, known));
  }
}

function line(job, known) {
  const done = known ? `${job.done.toLocaleString()} of ${job.total.toLocaleString()}` : job.done.toLocaleString();
  const counts = Object.entries(job.counts).filter(([, count]) => count).map(([name, count]) => `${count.toLocaleString()} ${name}`);
  const told = [job.state === "queued" ? "waiting for its turn" : job.stage || "starting", `${done} documents`];
  if (counts.length) told.push(counts.join(", "));
  if (job.eta_s !== null) told.push(`${span(job.eta_s)} left`);
  return told.join(" · ");
}

class JobEntry {
  constructor(job, context) {
    const title = job.kind === "sync" ? `Sync of ${job.source}` : { upload: "Upload", rebuild: "New index" }[job.kind] ?? job.kind;
    this.progress = new Progress(title, context);
    this.element = el("li", { class: "job" }, el("strong", {}, title), this.progress.element);
  }
}

export class JobList {
  constructor(list, context) {
    this.jobs = new Keyed(list, (job) => new JobEntry(job, context));
  }

  /** Whether there are any. */
  show(jobs) {
    this.jobs.show(jobs, (job) => job.id, (entry, job) => entry.progress.show(job));
    return jobs.length > 0;
  }
}
