// The page of quality: what its address asks for is shown, and asked for again while somebody looks. Lists are asked for
// by themselves: one that is not there, or fails, leaves the rest as it is.

import { byId, el } from "./dom.js";
import { askForKey, takeKeys } from "./key.js";
import { problemView } from "./notices.js";
import * as api from "./quality-api.js";
import { Charts, sparksOf } from "./quality-charts.js";
import { Lists } from "./quality-lists.js";
import { ModelTable } from "./quality-models.js";
import { emptyIn, problemIn } from "./quality-states.js";
import { summaryOf, tilesOf } from "./quality-tiles.js";
import { fromNow, setText } from "./steady.js";
import { Tiles } from "./tiles.js";
import { TracePage } from "./trace-page.js";

const EVERY_MS = { "1h": 10_000, "24h": 30_000, "7d": 60_000, "30d": 120_000 };
const USUAL = "24h";
const TICK_MS = 5000;

const tiles = new Tiles(byId("tiles"));
const charts = new Charts(byId("charts"));
const models = new ModelTable(byId("models"));
const lists = new Lists(byId("lists"), { addressOf: (trace) => urlOf({ ...address(), trace }), find: (trace) => go({ trace }) });
const page = new TracePage(byId("trace"), byId("reader"), { back: () => urlOf({ ...address(), trace: "" }) });

let running = new AbortController();
let timer = null;
let shown = { url: "", at: null }; // whose numbers these are, and of when
let paused = false;

function address() {
  const query = new URLSearchParams(location.search);
  const window = query.get("window");
  return { window: window in EVERY_MS ? window : USUAL, collection: query.get("collection") ?? "", trace: (query.get("trace") ?? "").trim() };
}

function urlOf({ window, collection, trace }) {
  const query = new URLSearchParams();
  if (window !== USUAL) query.set("window", window);
  if (collection) query.set("collection", collection);
  if (trace) query.set("trace", trace);
  return query.size ? `/quality?${query}` : "/quality";
}

function go(change) {
  const url = urlOf({ ...address(), ...change });
  if (url !== location.pathname + location.search) history.pushState(null, "", url);
  show();
}

/** Show what the address asks for. */
function show() {
  const { window, collection, trace } = address();
  for (const choice of byId("choices").elements.window) choice.checked = choice.value === window;
  choose(collection);
  byId("trouble").replaceChildren();
  byId("overview").hidden = Boolean(trace);
  byId("trace").hidden = !trace;
  if (!trace) {
    page.close();
    document.title = "Quality · Plumbline";
    refresh();
    return;
  }
  stop();
  document.title = "Trace · Plumbline";
  page.show(trace, running.signal);
}

/** Call off what is under way. */
function stop() {
  clearTimeout(timer);
  running.abort();
  running = new AbortController();
}

async function refresh() {
  stop();
  const { signal } = running;
  const url = urlOf(address());
  document.body.classList.toggle("changing", shown.at !== null && shown.url !== url);
  try {
    const asked = { ...address(), signal };
    const [quality, series] = await Promise.all([api.quality(asked), api.series(asked)]);
    display(quality, series);
    shown = { url, at: Date.now() };
    tellAge();
    await lists.refresh(asked);
  } catch (error) {
    if (signal.aborted) return;
    refuse(error, refresh);
  }
  if (signal.aborted) return;
  document.body.classList.remove("changing");
  schedule();
}

function schedule() {
  clearTimeout(timer);
  if (!paused && !document.hidden && !address().trace) timer = setTimeout(refresh, EVERY_MS[address().window]);
}

function display(quality, series) {
  byId("trouble").replaceChildren();
  byId("key-form").hidden = true;
  const empty = emptyIn(quality, address());
  byId("empty").hidden = !empty;
  byId("numbers").hidden = Boolean(empty);
  byId("lists").hidden = Boolean(empty);
  setText(byId("summary"), empty ? "" : summaryOf(quality, address().window));
  if (empty) {
    byId("empty-title").textContent = empty.title;
    byId("empty-text").replaceChildren(...empty.children);
    return;
  }
  tiles.show(tilesOf(quality, sparksOf(series)));
  byId("findings").hidden = !quality.findings.length;
  byId("findings-list").replaceChildren(...quality.findings.map(({ detail }) => el("li", {}, detail)));
  charts.show(series, quality);
  models.show(quality.models);
}

/** What went wrong, in the place of what can't be shown. Numbers that were shown stay: they are the last that are known. */
function refuse(error, retry) {
  if (error.status === 401) {
    askForKey();
    return;
  }
  const problem = problemIn(error);
  if (!problem) console.error(error);
  byId("trouble").replaceChildren(problemView(problem ?? error, "That did not work", retry));
}

function tellAge() {
  const age = shown.at === null ? "" : `Updated ${fromNow(new Date(shown.at).toISOString(), Date.now())}`;
  setText(byId("fresh"), paused && age ? `${age}, paused` : age);
}

function choose(collection) {
  const select = byId("collection");
  if (![...select.options].some((option) => option.value === collection)) select.append(el("option", { value: collection }, collection));
  select.value = collection;
  byId("collection-field").hidden = select.options.length < 3 && !collection;
}

async function offerCollections() {
  const names = await api.collections().catch(() => []); // a key that may not search: all collections it is
  byId("collection").replaceChildren(byId("collection").options[0], ...names.map((name) => el("option", { value: name }, name)));
  choose(address().collection);
}

byId("choices").addEventListener("change", () => {
  const { window, collection } = byId("choices").elements;
  go({ window: window.value, collection: collection.value });
});
byId("choices").addEventListener("submit", (event) => event.preventDefault());
byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  setText(byId("pause"), paused ? "Go on" : "Pause");
  tellAge();
  if (paused) clearTimeout(timer);
  else refresh();
});
/** Links to traces and back stay on this page. */
byId("main").addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='/quality']");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  history.pushState(null, "", link.getAttribute("href"));
  show();
  scrollTo(0, 0);
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else if (!paused && !address().trace) refresh();
});
addEventListener("popstate", show);
setInterval(tellAge, TICK_MS);
takeKeys(() => {
  offerCollections();
  show();
});

offerCollections();
show();
