// The page: what its address asks for is shown, and what is asked for becomes its address.

import * as api from "./api.js";
import { showAnswer } from "./answer.js";
import { aboutConversation, turns, turnsAfter } from "./conversation.js";
import { byId, el, plural, shortUri } from "./dom.js";
import { permitAgain } from "./feedback.js";
import { askForKey, takeKeys } from "./key.js";
import { problemView } from "./notices.js";
import { Reader } from "./reader.js";
import { showResults } from "./search.js";
import { Upload } from "./upload.js";

// Shown only where their document is: they belong to the sample documents.
const EXAMPLES = [
  ["oncall/on-call-guide.md", "How do I swap an on-call shift?"],
  ["runbooks/ledgerd-invoice-run-stuck.md", "What does error code LDG-1107 mean?"],
  ["policies/refunds-and-claims.md", "How many days does a shipper have to claim for a late parcel?"],
];
const POLICIES = ["mark", "withhold", "strict"];
const LOOK_AT = 200; // documents that the start page knows about

const input = byId("q");
const results = byId("results");
const reader = new Reader(byId("reader"));
const upload = new Upload({ added: () => refreshCorpus() });
let running = null;
let answered = null; // the question that is shown, and its answer once it is whole

function status(text) {
  byId("status").textContent = text;
  document.body.classList.toggle("busy", Boolean(text));
}

function address() {
  const query = new URLSearchParams(location.search);
  return {
    q: (query.get("q") ?? "").trim(),
    view: query.get("view") === "search" ? "search" : "ask",
    collection: query.get("collection") ?? "",
    unsupported: POLICIES.find((policy) => policy === query.get("unsupported")) ?? "",
  };
}

/** Make this the page's address and show it. Asking the same again replaces the entry instead of adding one. */
function go(q, view) {
  const query = new URLSearchParams(q ? { q, view } : {});
  const collection = byId("collection").value;
  if (q && collection) query.set("collection", collection);
  if (q && byId("unsupported").value) query.set("unsupported", byId("unsupported").value);
  const url = q ? `/?${query}` : "/";
  const state = { turns: q && view === "ask" ? turnsBefore(q) : [] };
  if (url === location.pathname + location.search) history.replaceState(state, "", url);
  else history.pushState(state, "", url);
  show();
}

/** A question after an answer follows it; the same one again has the turns that it had. */
function turnsBefore(q) {
  return !answered || answered.q === q ? turns() : turnsAfter(answered.q, answered.answer);
}

function tellConversation() {
  const text = address().view === "ask" ? aboutConversation(answered !== null) : "";
  byId("conversation-about").textContent = text;
  byId("conversation").hidden = !text;
}

/** Show what the address asks for. */
async function show() {
  running?.abort();
  const { q, view, collection, unsupported } = address();
  answered = null;
  if (reader.isOpen) reader.close();
  input.value = q;
  fitInput();
  byId("collection").value = collection;
  byId("unsupported").value = unsupported;
  tellConversation();
  document.body.dataset.state = q ? view : "home";
  document.title = q ? `${q.slice(0, 80)} · Plumbline` : "Plumbline";
  for (const [id, its] of [["do-ask", "ask"], ["do-search", "search"]]) byId(id).toggleAttribute("data-current", Boolean(q) && view === its);
  byId("welcome").hidden = Boolean(q);
  byId("hero").hidden = Boolean(q);
  results.replaceChildren();
  status("");
  if (!q) return;
  upload.show(false);
  const mine = (running = new AbortController());
  const told = (text) => mine === running && status(text);
  const whole = (answer) => {
    if (mine !== running) return;
    answered = { q, answer };
    tellConversation();
  };
  const display = view === "search" ? showResults : showAnswer;
  try {
    const asked = { collection, unsupported, turns: turns(), signal: mine.signal };
    told(await display(q, { ...asked, into: results, reader, status: told, answered: whole }));
  } catch (error) {
    if (error.name === "AbortError" || mine !== running) return;
    status("");
    fail(error);
  }
}

function fail(problem) {
  if (problem.status === 401) {
    askForKey();
    return;
  }
  if (!(problem instanceof api.Problem)) console.error(problem);
  results.append(problemView(problem, "That did not work", () => show()));
}

takeKeys(() => {
  permitAgain();
  refreshCorpus();
  show();
});

/** What the corpus holds decides how the start page helps. */
async function refreshCorpus() {
  let page;
  try {
    page = await api.documents(LOOK_AT);
  } catch (error) {
    if (error.status === 401) askForKey();
    else if (!address().q) byId("welcome").replaceChildren(problemView(error, "The documents could not be listed"));
    return;
  }
  const items = page.documents.filter((item) => item.version !== null);
  const more = Boolean(page.next_cursor);
  byId("corpus-note").textContent = items.length ? `${more ? `more than ${items.length} documents` : plural(items.length, "document")}` : "";
  offerCollections(items);
  welcome(items);
}

function offerCollections(items) {
  const names = [...new Set(items.map((item) => item.collection).filter(Boolean))].sort();
  const { collection } = address();
  if (collection && !names.includes(collection)) names.push(collection);
  const select = byId("collection");
  select.replaceChildren(el("option", { value: "" }, "all collections"), ...names.map((name) => el("option", { value: name }, name)));
  select.value = collection;
  byId("collection-field").hidden = names.length < 2 && !collection;
}

function welcome(items) {
  if (!items.length) {
    byId("upload-title").textContent = "There are no documents yet";
    byId("welcome").replaceChildren();
    if (!address().q) upload.show(true, { focus: false });
    return;
  }
  byId("upload-title").textContent = "Add documents";
  const examples = EXAMPLES.filter(([uri]) => items.some((item) => (item.uri ?? "").endsWith(uri)));
  byId("welcome").replaceChildren(...(examples.length ? exampleList(examples) : documentList(items)));
}

function exampleList(examples) {
  const ask = (question) => () => go(question, "ask");
  const rows = examples.map(([, question]) => el("li", {}, el("button", { type: "button", class: "example", onclick: ask(question) }, question)));
  return [el("h2", {}, "For example"), el("ul", { class: "examples" }, rows)];
}

function documentList(items) {
  const rows = items.slice(0, 5).map((item) => {
    const button = el("button", { type: "button", class: "example" }, item.title || shortUri(item.uri));
    button.addEventListener("click", () => reader.open(item, [], button));
    return el("li", {}, button);
  });
  return [el("h2", {}, "Some of the documents"), el("ul", { class: "examples" }, rows)];
}

/** The box is as tall as its text, up to a limit that the style sheet sets. */
function fitInput() {
  input.style.height = "auto";
  input.style.height = `${input.scrollHeight}px`;
}

byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  go(input.value.trim(), event.submitter?.value === "search" ? "search" : "ask");
});
input.addEventListener("input", fitInput);
input.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  go(input.value.trim(), "ask");
});
for (const id of ["collection", "unsupported"]) {
  byId(id).addEventListener("change", () => address().q && go(input.value.trim(), address().view));
}

/** The options lie over the page: they close when something else is looked at. */
function closeOptions(event) {
  const options = byId("options");
  if (!options.open) return;
  if (event.type === "pointerdown" && options.contains(event.target)) return;
  if (event.type === "keydown" && event.key !== "Escape") return;
  const inside = options.contains(document.activeElement);
  options.open = false;
  if (inside) options.querySelector("summary").focus();
}

for (const type of ["pointerdown", "keydown"]) addEventListener(type, closeOptions);

function beginAnew() {
  go("", "ask");
  input.focus();
}

byId("new-conversation").addEventListener("click", beginAnew);
byId("brand").addEventListener("click", (event) => {
  if (event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  beginAnew();
});
addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select");
  if (event.key !== "/" || typing || event.metaKey || event.ctrlKey || event.altKey) return;
  event.preventDefault();
  input.focus();
});
addEventListener("popstate", show);

refreshCorpus();
show();
if (!address().q) input.focus();
