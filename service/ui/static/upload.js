// Adding documents: files chosen or dropped anywhere on the page, and how far their job has come.

import * as api from "./api.js";
import { byId, el, plural } from "./dom.js";
import { problemView } from "./notices.js";

const POLL_MS = 400;

export class Upload {
  /** `added` is called after a job that may have changed the corpus. */
  constructor({ added }) {
    this.added = added;
    this.panel = byId("upload");
    this.status = byId("upload-status");
    this.toggle = byId("open-upload");
    this.toggle.addEventListener("click", () => this.show(this.panel.hidden));
    const input = byId("files");
    input.addEventListener("change", () => {
      this.send([...input.files]);
      input.value = "";
    });
    this.#acceptDrops();
  }

  show(open, { focus = true } = {}) {
    this.panel.hidden = !open;
    this.toggle.setAttribute("aria-expanded", String(open));
    if (open && focus) byId("upload-title").focus();
  }

  #acceptDrops() {
    const cover = byId("dropping");
    let depth = 0; // dragenter and dragleave come for every element that is crossed
    const withFiles = (event) => event.dataTransfer?.types.includes("Files");
    const over = (change) => {
      depth = change === 0 ? 0 : depth + change;
      cover.hidden = depth <= 0;
    };
    addEventListener("dragenter", (event) => withFiles(event) && over(1));
    addEventListener("dragleave", (event) => withFiles(event) && over(-1));
    addEventListener("dragover", (event) => withFiles(event) && event.preventDefault());
    addEventListener("drop", (event) => {
      if (!withFiles(event)) return;
      event.preventDefault();
      over(0);
      this.show(true, { focus: false });
      this.send([...event.dataTransfer.files]);
    });
  }

  async send(files) {
    if (!files.length) return;
    const names = files.length === 1 ? files[0].name : plural(files.length, "file");
    const bar = el("progress", { "aria-label": "Progress" });
    const line = el("p", {}, `Sending ${names} …`);
    this.status.replaceChildren(line, bar);
    try {
      const { job_id: id } = await api.upload(files);
      // Without a job there was nothing to do: every file is there already.
      const job = id ? await this.#follow(id, line, bar) : { state: "succeeded", total: files.length };
      this.status.replaceChildren(...summary(job));
    } catch (error) {
      this.status.replaceChildren(problemView(error, "The files could not be added"));
      if (error.status === 401) dispatchEvent(new CustomEvent("plumbline:key-needed"));
    }
    this.added();
  }

  async #follow(id, line, bar) {
    for (;;) {
      const job = await api.job(id);
      if (!["queued", "running"].includes(job.state)) return job;
      line.textContent = `Indexing: ${job.done} of ${job.total}`;
      bar.max = job.total || 1;
      bar.value = job.done;
      await new Promise((resolve) => { setTimeout(resolve, POLL_MS); });
    }
  }
}

function summary(job) {
  const failures = job.failures ?? [];
  const fine = Math.max(0, job.total - failures.length);
  const words = {
    cancelled: "The job was cancelled.",
    failed: failures.length ? "None of the files could be added." : job.detail || "The job failed.",
  }[job.state] ?? `${plural(fine, "document")} can be searched now.`;
  const list = failures.map((failure) =>
    el("li", {}, el("strong", {}, (failure.uri ?? "").split("/").at(-1)), `: ${failure.detail || failure.code}`));
  return [el("p", { class: "done" }, words), ...(list.length ? [el("ul", { class: "failures" }, list)] : [])];
}
