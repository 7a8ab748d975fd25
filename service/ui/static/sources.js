// The page of sources: how each is, what is under way, what failed. It asks again and again, and changes only what is new.

import * as api from "./api.js";
import { byId, copy, el, plural } from "./dom.js";
import { FailureList } from "./failures.js";
import { JobList } from "./jobs.js";
import { askForKey, takeKeys } from "./key.js";
import { problemView } from "./notices.js";
import { SourceCard } from "./source.js";
import { Keyed, setText } from "./steady.js";

const BUSY_MS = 1500;
const CALM_MS = 5000;
const WORST_FIRST = ["failing", "stalled", "never_synced", "paused", "ok"];
const RECENT = 50; // jobs whose failures are looked at

const origins = new Keyed(byId("origins"), (source) => new SourceCard(source, { act, say }));
const jobs = new JobList(byId("jobs"), { act });
const failures = new FailureList(byId("failed"), { act });
let timer = null;
let asked = 0;

const say = (text) => { byId("told").textContent = text; };

/** Do something that a button asks for, say how it went, and look at once what came of it. */
async function act(work, done) {
  try {
    const found = await work();
    if (done) say(done(found));
    return found;
  } catch (error) {
    if (error.status === 401) askForKey();
    throw error;
  } finally {
    refresh();
  }
}

async function refresh() {
  clearTimeout(timer);
  const mine = (asked += 1);
  let busy = false;
  try {
    const [{ sources, more }, running, queued, recent] = await Promise.all([
      api.sources(), api.jobs(100, "running"), api.jobs(100, "queued"), api.jobs(RECENT),
    ]);
    if (mine !== asked) return;
    const underWay = [...running, ...queued];
    show(sources, more, underWay, recent);
    busy = underWay.length > 0;
  } catch (error) {
    if (mine !== asked) return;
    fail(error);
  }
  if (!document.hidden) timer = setTimeout(refresh, busy ? BUSY_MS : CALM_MS);
}

function show(sources, more, underWay, recent) {
  byId("trouble").replaceChildren();
  byId("key-form").hidden = true;
  const now = Date.now();
  const syncs = new Map(underWay.filter((job) => job.kind === "sync").map((job) => [job.source, job]));
  origins.show(sources, (source) => source.id, (card, source) => card.show(source, syncs.get(source.id), now));
  setText(byId("summary"), summary(sources, more));
  byId("empty").hidden = sources.length > 0;
  const shown = new Set(sources.map(({ id }) => id));
  byId("work").hidden = !jobs.show(underWay.filter((job) => !shown.has(job.source)));
  byId("failures").hidden = !failures.show(recent, sources, now);
  document.title = sources.some((source) => source.error) ? "⚠ Sources · Plumbline" : "Sources · Plumbline";
}

function summary(sources, more) {
  if (!sources.length) return "";
  const counts = new Map();
  for (const { health } of sources) counts.set(health, (counts.get(health) ?? 0) + 1);
  const told = WORST_FIRST.filter((health) => counts.has(health)).map((health) => `${counts.get(health)} ${health.replace("_", " ")}`);
  return `${more ? "More than " : ""}${plural(sources.length, "source")}: ${told.join(", ")}`;
}

function fail(error) {
  if (error.status === 401) {
    askForKey();
    return;
  }
  if (!(error instanceof api.Problem)) console.error(error);
  // What was shown stays: it is the last that is known.
  if (byId("trouble").dataset.shown === String(error.message) && byId("trouble").childElementCount) return;
  byId("trouble").dataset.shown = String(error.message);
  const title = error.status === 403 ? "This key may not see sources" : "The sources could not be listed";
  const detail = error.status === 403 ? "It needs the scope “ingest”." : error.detail || error.message;
  byId("trouble").replaceChildren(problemView({ ...error, title, detail }, title, refresh));
}

function examples() {
  byId("example-cli").textContent = `plumbline source add folder handbook /srv/handbook --watch --url ${location.origin}`;
  const key = api.hasKey() ? " -H 'Authorization: Bearer KEY'" : "";
  const body = '{"id": "handbook", "origin":\n    {"kind": "folder", "path": "/srv/handbook", "watch": true}}';
  byId("example-curl").textContent = `curl ${location.origin}/v1/sources${key} \\\n  -H 'Content-Type: application/json' \\\n  -d '${body}'`;
  for (const pre of document.querySelectorAll("#empty pre")) {
    const button = el("button", { type: "button", class: "copy" }, "Copy");
    button.addEventListener("click", () => copy(pre.textContent, button));
    pre.after(button);
  }
}

takeKeys(refresh);
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
examples();
refresh();
