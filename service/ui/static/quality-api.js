// The calls to /v1 that the page of quality makes.

import { request } from "./api.js";

async function get(path, { signal, ...query } = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = given.length ? `?${new URLSearchParams(given)}` : "";
  return (await request(path + text, { signal })).json();
}

/** What a call finds, or null where the service does not have it. */
async function ifThere(call) {
  try {
    return await call;
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** The numbers of a window beside those of the window before; null where the service does not tell them. */
export const quality = ({ window, collection, signal }) => ifThere(get("/v1/quality", { window, collection, signal }));

const BUCKETS = { "1h": 30, "24h": 48, "7d": 42, "30d": 30 };

/** The same over time, in as many parts as make a round length. */
export const series = ({ window, collection, signal }) => ifThere(get("/v1/quality/series", { window, collection, signal, buckets: BUCKETS[window] }));

export const gaps = ({ window, collection, signal }, limit) => get("/v1/quality/gaps", { window, collection, limit, signal });

/** Traces, the newest first. `only` are values that they must have, by field. */
export const traces = ({ signal }, only) => get("/v1/traces", { ...only, signal });

/** Answers of a window: what people complained about first, then the worst grounded. */
export const worst = ({ window, collection, signal }, limit) => traces({ signal }, { operation: "answer", outcome: "ok", sort: "worst", window, collection, limit });

export const trace = (id, signal) => get(`/v1/traces/${encodeURIComponent(id)}`, { signal });

const COMPLAINTS = [{ rating: "down" }, { kind: "correction" }, { kind: "outcome" }];

/** Ratings down, corrections and outcomes, the newest first. */
export async function complaints({ signal }, limit) {
  const pages = await Promise.all(COMPLAINTS.map((only) => get("/v1/feedback", { ...only, limit, signal })));
  return pages.flatMap((page) => page.feedback).sort((one, other) => (one.at < other.at ? 1 : -1)).slice(0, limit);
}

/** What is live, and the releases, the newest first. */
export const releases = ({ signal }, limit) => get("/v1/releases", { limit, signal });

const PAGES = 5;

/** The names of the collections that documents are in, as far as some hundreds of documents tell. */
export async function collections(signal) {
  const names = new Set();
  let cursor = null;
  for (let page = 0; page < PAGES; page += 1) {
    const told = await get("/v1/documents", { limit: 200, cursor, signal });
    for (const { collection } of told.documents) if (collection) names.add(collection);
    cursor = told.next_cursor;
    if (!cursor) break;
  }
  return [...names].sort();
}
