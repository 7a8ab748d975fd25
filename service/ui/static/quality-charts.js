// Which charts the page has, and how the numbers of `/v1/quality/series` become theirs.

import { Figure } from "./figure.js";
import { bucketTime, count, ms, share, short, usd } from "./numbers.js";
import { spaced } from "./tags.js";

const OPERATIONS = [["search", "Searches", "0"], ["context", "Context packs", "2"], ["answer", "Answers", "1"]];
const ABOUT = {
  queries: ["Queries", "How many searches, context packs and answers."],
  relevance: ["Relevance", "How well what was found fits what was asked, of every query."],
  grounding: ["Grounding", "Answers in which every sentence is supported by its source."],
  sentences: ["Sentences and citations", "Sentences that their source does not support, and citations that do."],
  refusals: ["Refused", "Answers that said the documents do not tell, by reason."],
  degraded: ["Degraded", "Answers made without the model that was meant to, by reason."],
  latency: ["Latency", "Of whole operations; each step up is ten times as long."],
  tokens: ["Tokens", "Read and written by models, by model and prompt."],
  cost: ["Cost", "Of calls whose price is known, by model and prompt."],
};
const NO_MODEL = "No model was called in this window. With PLUMBLINE_LLM__BASE_URL a model writes the answers.";

export class Charts {
  constructor(place) {
    this.figures = Object.fromEntries(Object.entries(ABOUT).map(([id, [title, about]]) => [id, new Figure({ id, title, about })]));
    place.replaceChildren(...Object.values(this.figures).map(({ element }) => element));
  }

  show(series, quality) {
    const all = chartsOf(series, quality);
    for (const [id, figure] of Object.entries(this.figures)) figure.show({ ...timesOf(series), ...all[id] });
  }
}

/** From when to when each bucket reaches, as times and in words. */
function timesOf({ points, since, until }) {
  const edges = [...points.map(({ at }) => Date.parse(at)), Date.parse(until)];
  return {
    since: Date.parse(since), until: edges.at(-1),
    moments: points.map((_, at) => bucketTime(new Date(edges[at]), new Date(edges[at + 1]))),
  };
}

/** By id of the chart: its kind, its series with what they come to over the whole window, and how numbers are said. */
export function chartsOf({ points }, quality) {
  return {
    queries: { kind: "columns", format: count, axis: short, whole: true, series: operations(points), empty: "Nothing was asked." },
    relevance: { kind: "share", format: share, series: parts(points, [["Strong", "0", strong], ["Weak", "1", (point) => point.weak], ["None", "bad", (point) => point.none]]), empty: "No query was judged." },
    grounding: { kind: "share", format: share, series: parts(points, [["Grounded", "0", (point) => point.grounded], ["Not wholly", "bad", (point) => point.graded - point.grounded]]), empty: "No answer was checked." },
    sentences: { kind: "lines", format: share, most: 1, zeros: true, series: sentences(points), empty: "No answer was checked." },
    refusals: { kind: "columns", format: count, axis: short, whole: true, series: byReason(points, "refusals", "refused"), empty: "No answer was refused." },
    degraded: { kind: "columns", format: count, axis: short, whole: true, series: byReason(points, "degradations", "degraded"), empty: "No answer was degraded." },
    latency: { kind: "log", format: ms, series: latency(points, quality.latency), empty: "Nothing was asked." },
    tokens: { kind: "columns", format: count, axis: short, whole: true, series: byModel(points, (one) => one.prompt_tokens + one.completion_tokens), empty: NO_MODEL },
    cost: { kind: "columns", format: usd, series: byModel(points, (one) => one.cost_usd), empty: "No call had a known price in this window. Prices are settings: PLUMBLINE_LLM__PROMPT_USD_PER_MTOK and its fellows." },
  };
}

const strong = (point) => point.judged - point.weak - point.none;
const sum = (values) => values.reduce((all, value) => all + (value ?? 0), 0);
const ratio = (part, of) => (of ? part / of : null);

function operations(points) {
  return OPERATIONS.filter(([name]) => points.some((point) => point.operations[name])).map(([name, label, tone]) => {
    const values = points.map((point) => point.operations[name] ?? 0);
    return { name: label, tone, values, total: sum(values) };
  });
}

/** Parts of a whole as shares of it; the whole is all of them together. */
function parts(points, wanted) {
  const patterns = wanted.length === 2 ? ["solid", "slant"] : ["solid", "slant", "dots"];
  const wholes = points.map((point) => sum(wanted.map(([, , of]) => of(point))));
  return wanted.map(([name, tone, of], index) => ({
    name, tone, pattern: patterns[index],
    values: points.map((point, at) => ratio(of(point), wholes[at])),
    total: ratio(sum(points.map(of)), sum(wholes)),
  }));
}

function sentences(points) {
  const graded = points.filter((point) => Number.isFinite(point.citation_precision));
  return [
    { name: "Citation precision", tone: "0", dash: 0, values: points.map((point) => point.citation_precision), total: ratio(sum(graded.map((point) => point.citation_precision * point.graded)), sum(graded.map((point) => point.graded))) },
    { name: "Unsupported sentences", tone: "bad", dash: 1, mark: 2, values: points.map((point) => ratio(point.unsupported, point.sentences)), total: ratio(sum(points.map((point) => point.unsupported)), sum(points.map((point) => point.sentences))) },
  ].filter(({ total }) => total !== null);
}

/** `reasons` is the field with counts by reason, `all` the one with their sum. */
function byReason(points, reasons, all) {
  if (!points.some((point) => point[reasons])) return [{ name: "Any reason", tone: "1", values: points.map((point) => point[all]), total: sum(points.map((point) => point[all])) }];
  const names = new Set(points.flatMap((point) => Object.keys(point[reasons] ?? {})));
  return largest([...names].map((name) => ({ name: spaced(name), values: points.map((point) => point[reasons]?.[name] ?? 0) })));
}

function byModel(points, of) {
  const names = new Map();
  const nameOf = ({ model, prompt_version: prompt }) => [model ?? "no model", prompt].filter(Boolean).join(" · ");
  points.forEach((point, at) => {
    for (const one of point.models ?? []) {
      const values = names.get(nameOf(one)) ?? points.map(() => 0);
      values[at] += of(one) ?? 0;
      names.set(nameOf(one), values);
    }
  });
  return largest([...names].map(([name, values]) => ({ name, values })));
}

const MOST = 5;

/** The series that come to most, the others as one. */
function largest(series) {
  const sorted = series.map((one) => ({ ...one, total: sum(one.values) })).filter(({ total }) => total > 0).sort((one, other) => other.total - one.total);
  const rest = sorted.slice(MOST);
  if (!rest.length) return sorted;
  const values = rest[0].values.map((_, at) => sum(rest.map((one) => one.values[at])));
  return [...sorted.slice(0, MOST), { name: `${rest.length} others`, tone: "none", values, total: sum(values) }];
}

function latency(points, whole) {
  const over = (name) => whole.find(({ operation, stage }) => operation === name && stage === "total");
  const wanted = OPERATIONS.filter(([name]) => points.some((point) => point.latency[name]));
  return wanted.flatMap(([name, label, tone], index) => ["p50_ms", "p95_ms"].map((field) => ({
    name: `${label} ${field.slice(0, 3)}`, tone, dash: field === "p50_ms" ? 0 : 1, mark: index,
    values: points.map((point) => point.latency[name]?.[field] ?? null), total: over(name)?.[field].now,
  })));
}

/** Numbers by bucket for the small lines of the tiles, by the tile's id. */
export function sparksOf({ points }) {
  const of = (say) => points.map(say);
  return {
    queries: of((point) => point.queries),
    zero: of((point) => ratio(point.zero_results, point.judged)),
    weak: of((point) => ratio(point.weak, point.judged)),
    "search-p95": of((point) => point.latency.search?.p95_ms ?? null),
    "answer-p95": of((point) => point.latency.answer?.p95_ms ?? null),
    cost: of((point) => point.cost_usd ?? 0),
    grounded: of((point) => ratio(point.grounded, point.graded)),
    unsupported: of((point) => ratio(point.unsupported, point.sentences)),
    precision: of((point) => point.citation_precision),
    refused: of((point) => ratio(point.refused, point.answers)),
    degraded: of((point) => ratio(point.degraded, point.answers)),
    ratings: of((point) => ratio(point.rated_up, (point.rated_up ?? 0) + (point.rated_down ?? 0))),
  };
}
