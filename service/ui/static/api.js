// Every call to /v1: the key, problem+json as an error that can be shown, and the calls that the page makes.

const KEY = "plumbline.key";

/** What went wrong, in words for the person at the screen. */
export class Problem extends Error {
  constructor({ title, detail, status = 0, code = "", requestId = "", retryAfter = "" }) {
    super(detail || title);
    Object.assign(this, { title, detail, status, code, requestId, retryAfter });
  }
}

export const hasKey = () => Boolean(sessionStorage.getItem(KEY));
export const setKey = (key) => (key ? sessionStorage.setItem(KEY, key) : sessionStorage.removeItem(KEY));

/** The response of a call. Raises Problem for whatever is not a success, AbortError if it was called off. */
export async function request(path, { method = "GET", json, body, signal, keepalive = false, accept = "application/json" } = {}) {
  const headers = { Accept: accept };
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  if (json !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, signal, keepalive, body: json === undefined ? body : JSON.stringify(json) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ title: "The service cannot be reached", detail: "Is it running? Then try again." });
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function problemOf(response) {
  let told = {};
  try {
    told = await response.json();
  } catch { /* not JSON: the status has to do */ }
  return new Problem({
    title: told.title || `The service answered ${response.status}`,
    detail: [told.detail, ...(told.errors ?? []).map((error) => error.detail ?? error.msg)].filter(Boolean).join(" "),
    status: response.status,
    code: told.code,
    requestId: told.request_id || response.headers.get("X-Request-ID") || "",
    retryAfter: response.headers.get("Retry-After") || "",
  });
}

async function getJson(path, options) {
  return (await request(path, options)).json();
}

const inCollection = (collection) => (collection ? { collections: [collection] } : {});

/** `facets` are fields to count documents by, `only` is the values that documents must have, by field. */
export function search(query, { collection, signal, limit = 20, grouped = false, facets = [], only = {}, explain = false } = {}) {
  const must = Object.entries(only).map(([key, equals]) => ({ key, equals }));
  const json = { query, limit, explain, facets, ...inCollection(collection), ...(grouped ? { group_by: "document" } : {}) };
  if (must.length) json.filter = { must };
  return getJson("/v1/search", { method: "POST", json, signal });
}

/** The byte stream of an answer's events. `turns` are those before the question, `unsupported` what becomes of such sentences. */
export async function answer(question, { collection, unsupported, turns = [], signal }) {
  const json = { question, stream: true, ...inCollection(collection), ...(unsupported ? { unsupported } : {}) };
  if (turns.length) json.history = turns;
  return (await request("/v1/answers", { method: "POST", json, signal, accept: "text/event-stream" })).body;
}

/** Feedback on a result. It is sent even if the page is left at once. */
export const feedback = (json) => request("/v1/feedback", { method: "POST", json, keepalive: true });

export function content(id, collection) {
  const query = collection ? `?collection=${encodeURIComponent(collection)}` : "";
  return getJson(`/v1/documents/${encodeURIComponent(id)}/content${query}`);
}

export const documents = (limit) => getJson(`/v1/documents?limit=${limit}`);

export function upload(files) {
  const body = new FormData();
  for (const file of files) body.append("files", file, file.name);
  return getJson("/v1/documents", { method: "POST", body });
}

export const job = (id) => getJson(`/v1/jobs/${encodeURIComponent(id)}`);

const MOST_PAGES = 10;

/** All sources, by name. `more`: there are more than this page shows. */
export async function sources() {
  const found = [];
  let cursor = null;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const told = await getJson(`/v1/sources?limit=100${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
    found.push(...told.sources);
    cursor = told.next_cursor;
    if (!cursor) break;
  }
  return { sources: found.sort((one, other) => (one.id < other.id ? -1 : 1)), more: Boolean(cursor) };
}

const ofSource = (id, action) => `/v1/sources/${encodeURIComponent(id)}/${action}`;

/** `sync`, `pause`, `resume` or `retry`. */
export const act = (id, action) => getJson(ofSource(id, action), { method: "POST" });
export const reconcile = (id) => getJson(ofSource(id, "reconcile"));

/** The newest jobs, of one state if one is given. */
export async function jobs(limit, state = "") {
  return (await getJson(`/v1/jobs?limit=${limit}${state ? `&state=${state}` : ""}`)).jobs;
}

export const cancel = (id) => getJson(`/v1/jobs/${encodeURIComponent(id)}/cancel`, { method: "POST" });
