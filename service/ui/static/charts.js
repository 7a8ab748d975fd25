// Charts as SVG, from numbers alone: nothing here asks the service, and nothing listens. Sizes are in CSS pixels.
// Colours come from classes (`tone-…`), and never alone: fills differ by pattern too, lines by dashes and marks.

import { axisTime } from "./numbers.js";

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { top: 8, right: 10, bottom: 22, left: 52 };
const PATTERNS = ["solid", "slant", "dots", "back", "cross", "bars"];
const DASHES = [null, "6 3", "2 3", "8 3 2 3", "1 4", "12 4"];
const MARKS = ["circle", "square", "diamond", "triangle"];
const MARKED = 32; // points of a line up to which each has its mark
const LABEL_PX = 58; // room that a label of the time axis takes
const MINUTE = 60_000;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7200, 10_080, 20_160].map((minutes) => minutes * MINUTE);

let made = 0; // ids of titles and patterns are the page's, so each chart has its own

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined));
  return element;
}

/** About three round numbers from 0 to at least `most`; whole ones if asked for. */
export function ticks(most, { whole = false } = {}) {
  if (!(most > 0)) return [0, 1];
  const raw = Math.max(most / 3, whole ? 1 : 0);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, whole && power === 1 ? 3 : 2.5, 5, 10].find((factor) => factor * power >= raw * 0.999) * power;
  const upto = Math.ceil(most / step - 1e-9);
  return Array.from({ length: upto + 1 }, (_, index) => Number((index * step).toPrecision(12)));
}

/** Powers of ten that enclose the numbers; at least two. */
export function powers(least, most) {
  const from = Math.floor(Math.log10(Math.max(least, 1e-9)));
  const upto = Math.max(Math.ceil(Math.log10(Math.max(most, 1e-9))), from + 1);
  return Array.from({ length: upto - from + 1 }, (_, index) => 10 ** (from + index));
}

/** Round moments between two, at most `most` of them: full hours, days, as the reader's clock shows them. */
export function roundTimes(since, until, most) {
  const step = STEPS.find((size) => (until - since) / size <= most) ?? STEPS.at(-1);
  const offset = new Date(since).getTimezoneOffset() * MINUTE;
  const first = Math.ceil((since - offset) / step) * step + offset;
  return Array.from({ length: Math.max(0, Math.floor((until - first) / step) + 1) }, (_, index) => first + index * step);
}

/** The known numbers among these. */
const known = (values) => values.filter((value) => Number.isFinite(value));

/** Columns of one bucket each, its series stacked. With `share` each column is the whole, and a number its part. */
export function columns({ width, height, moments, since, until, series, format, share = false, whole = false, title, about }) {
  const sums = moments.map((_, at) => known(series.map(({ values }) => values[at])).reduce((sum, value) => sum + value, 0));
  const marks = share ? [0, 0.5, 1] : ticks(Math.max(...sums, 0), { whole });
  const frame = new Frame({ width, height, buckets: moments.length, since, until, marks, format, title, about });
  const gap = Math.min(4, frame.step * 0.22);
  sums.forEach((sum, at) => {
    if (!(sum > 0)) return;
    let below = 0;
    series.forEach(({ values }, index) => {
      if (!(values[at] > 0)) return;
      const above = below + (share ? values[at] / sum : values[at]);
      const [top, bottom] = [frame.y(above), frame.y(below)];
      frame.plot.append(svg("rect", {
        class: toneOf(series[index], index), fill: frame.fill(series[index], index),
        x: frame.left(at) + gap / 2, y: top, width: Math.max(1, frame.step - gap), height: Math.max(0.75, bottom - top),
      }));
      below = above;
    });
  });
  return frame.done();
}

/** A line for each series; where a number is missing, the line has a gap. With `log` each step up is ten times as much. */
export function lines({ width, height, moments, since, until, series, format, log = false, most = null, title, about }) {
  const all = known(series.flatMap(({ values }) => values));
  const positive = all.filter((value) => value > 0);
  const marks = log
    ? powers(positive.length ? Math.min(...positive) : 1, positive.length ? Math.max(...positive) : 10)
    : ticks(Math.min(most ?? Infinity, Math.max(...all, 0)));
  const frame = new Frame({ width, height, buckets: moments.length, since, until, marks, format, log, title, about });
  series.forEach((one, index) => {
    const points = one.values.map((value, at) => (Number.isFinite(value) && !(log && value <= 0) ? [frame.middle(at), frame.y(value)] : null));
    const runs = runsOf(points);
    const every = known(one.values).length <= MARKED;
    const path = runs.filter((run) => run.length > 1).map((run) => `M${run.map(([x, y]) => `${round(x)} ${round(y)}`).join("L")}`).join("");
    const shown = every ? runs.flat() : runs.flatMap((run) => (run.length === 1 ? run : [run.at(-1)]));
    frame.plot.append(svg("g", { class: toneOf(one, index) },
      path ? svg("path", { class: "line", d: path, "stroke-dasharray": DASHES[dashOf(one, index)] }) : null,
      shown.map(([x, y]) => mark(MARKS[markOf(one, index)], x, y, 2.6))));
  });
  return frame.done();
}

/** A small line without axes, for a tile. It is an ornament: the numbers stand in the charts. */
export function spark(values, { width = 120, height = 26, tone = "accent" } = {}) {
  const all = known(values);
  const root = svg("svg", { class: `spark tone-${tone}`, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" });
  if (all.length < 2) return root;
  const most = Math.max(...all) || 1;
  const x = (at) => (at / Math.max(1, values.length - 1)) * width;
  const y = (value) => height - 2 - (value / most) * (height - 4);
  for (const run of runsOf(values.map((value, at) => (Number.isFinite(value) ? [x(at), y(value)] : null)))) {
    if (run.length < 2) continue;
    const path = run.map(([left, top]) => `${round(left)} ${round(top)}`).join("L");
    root.append(
      svg("path", { class: "under", d: `M${round(run[0][0])} ${height}L${path}L${round(run.at(-1)[0])} ${height}Z` }),
      svg("path", { class: "line", d: `M${path}`, "vector-effect": "non-scaling-stroke" }));
  }
  return root;
}

/** One bar for each part, on one scale, each beginning where the one before ended: what took how long. */
export function steps({ width, parts, format, title, about }) {
  const row = 26;
  const names = Math.min(130, width * 0.36);
  const room = Math.max(40, width - names - 64);
  const whole = parts.reduce((sum, { value }) => sum + value, 0) || 1;
  const root = rootOf({ width, height: parts.length * row + 4, title, about });
  let before = 0;
  parts.forEach(({ name, value }, index) => {
    const y = index * row + 4;
    const x = names + (before / whole) * room;
    const long = Math.max(2, (value / whole) * room);
    root.append(
      svg("text", { class: "axis name", x: names - 8, y: y + 14, "text-anchor": "end" }, name),
      svg("rect", { class: "lane", x: names, y, width: room, height: row - 6, rx: 3 }),
      svg("rect", { class: "tone-accent stage", fill: "currentColor", x, y, width: long, height: row - 6, rx: 2 }),
      svg("text", { class: "axis value", x: names + room + 8, y: y + 14 }, format(value)));
    before += value;
  });
  return root;
}

/** What stands for a series in a legend: the same fill, or the same line and mark. */
export function swatch(one, index, kind) {
  const root = svg("svg", { class: `swatch ${toneOf(one, index)}`, width: 22, height: 12, viewBox: "0 0 22 12", "aria-hidden": "true", focusable: "false" });
  if (kind === "lines") {
    root.append(svg("path", { class: "line", d: "M1 6H21", "stroke-dasharray": DASHES[dashOf(one, index)] }), mark(MARKS[markOf(one, index)], 11, 6, 2.8));
    return root;
  }
  const id = `swatch-${(made += 1)}`;
  const pattern = patternOf(id, one, index);
  if (pattern) root.append(svg("defs", {}, pattern));
  root.append(svg("rect", { x: 4, y: 0.5, width: 14, height: 11, rx: 2, fill: pattern ? `url(#${id})` : "currentColor" }));
  return root;
}

/** Axes, grid and scales of a chart over time. Its bucket `at` reaches from `left(at)` over `step` pixels. */
class Frame {
  constructor({ width, height, buckets, since, until, marks, format, log = false, title, about }) {
    Object.assign(this, { width, height, buckets, log, low: marks[0], high: marks.at(-1), fills: new Map() });
    this.root = rootOf({ width, height, title, about });
    this.defs = svg("defs");
    this.plot = svg("g", { class: "plotted" });
    this.step = (width - MARGIN.left - MARGIN.right) / Math.max(1, buckets);
    const base = height - MARGIN.bottom;
    const grid = marks.map((value) => [
      svg("line", { class: value === this.low ? "grid base" : "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: this.y(value), y2: this.y(value) }),
      svg("text", { class: "axis", x: MARGIN.left - 6, y: this.y(value) + 4, "text-anchor": "end" }, format(value)),
    ]);
    this.cursor = svg("rect", { class: "cursor", y: MARGIN.top, height: base - MARGIN.top, width: Math.max(2, this.step), x: 0, visibility: "hidden" });
    this.root.append(this.defs, ...grid.flat(), this.cursor, this.plot, ...this.#times(since, until, base));
  }

  #times(since, until, base) {
    const room = this.width - MARGIN.left - MARGIN.right;
    return roundTimes(since, until, room / LABEL_PX).flatMap((time) => {
      const x = MARGIN.left + ((time - since) / (until - since)) * room;
      const tick = svg("line", { class: "grid base", x1: x, x2: x, y1: base, y2: base + 4 });
      const fits = x > MARGIN.left + 8 && x < this.width - LABEL_PX / 3;
      return fits ? [tick, svg("text", { class: "axis", x, y: base + 16, "text-anchor": "middle" }, axisTime(new Date(time), until - since))] : [tick];
    });
  }

  left(at) {
    return MARGIN.left + at * this.step;
  }

  middle(at) {
    return this.left(at) + this.step / 2;
  }

  y(value) {
    const room = this.height - MARGIN.top - MARGIN.bottom;
    const part = this.log
      ? (Math.log10(Math.max(value, this.low)) - Math.log10(this.low)) / (Math.log10(this.high) - Math.log10(this.low))
      : (Math.min(value, this.high) - this.low) / (this.high - this.low || 1);
    return MARGIN.top + room * (1 - part);
  }

  fill(one, index) {
    if (!this.fills.has(index)) {
      const id = `fill-${(made += 1)}`;
      const pattern = patternOf(id, one, index);
      if (pattern) this.defs.append(pattern);
      this.fills.set(index, pattern ? `url(#${id})` : "currentColor");
    }
    return this.fills.get(index);
  }

  /** The chart, with what whoever shows it needs to point at a bucket: `bucketAt(x)` and `pointAt(bucket or null)`. */
  done() {
    return {
      root: this.root,
      bucketAt: (x) => Math.min(this.buckets - 1, Math.max(0, Math.floor((x - MARGIN.left) / this.step))),
      pointAt: (at) => {
        this.cursor.setAttribute("visibility", at === null ? "hidden" : "visible");
        if (at !== null) this.cursor.setAttribute("x", String(this.left(at)));
      },
    };
  }
}

function rootOf({ width, height, title, about }) {
  const id = `chart-${(made += 1)}`;
  return svg("svg", { class: "chart-svg", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": `${id}-t ${id}-d` },
    svg("title", { id: `${id}-t` }, title), svg("desc", { id: `${id}-d` }, about));
}

const toneOf = (one, index) => `tone-${one.tone ?? index % 7}`;
const dashOf = (one, index) => (one.dash ?? index) % DASHES.length;
const markOf = (one, index) => (one.mark ?? index) % MARKS.length;
const round = (value) => Math.round(value * 10) / 10;

function runsOf(points) {
  const runs = [[]];
  for (const point of points) {
    if (point) runs.at(-1).push(point);
    else if (runs.at(-1).length) runs.push([]);
  }
  return runs.filter((run) => run.length);
}

function mark(shape, x, y, r) {
  if (shape === "circle") return svg("circle", { class: "mark", cx: round(x), cy: round(y), r });
  if (shape === "square") return svg("rect", { class: "mark", x: round(x - r), y: round(y - r), width: 2 * r, height: 2 * r });
  const path = shape === "diamond" ? `M${x} ${y - r - 1}L${x + r + 1} ${y}L${x} ${y + r + 1}L${x - r - 1} ${y}Z` : `M${x} ${y - r - 1}L${x + r + 1} ${y + r}L${x - r - 1} ${y + r}Z`;
  return svg("path", { class: "mark", d: path });
}

/** The pattern of a series, or nothing where its fill is plain. */
function patternOf(id, one, index) {
  const kind = one.pattern ?? PATTERNS[index % PATTERNS.length];
  if (kind === "solid") return null;
  const marks = {
    slant: [svg("path", { class: "hatch", d: "M-1.5 1.5L1.5 -1.5M0 6L6 0M4.5 7.5L7.5 4.5" })],
    back: [svg("path", { class: "hatch", d: "M-1.5 4.5L1.5 7.5M0 0L6 6M4.5 -1.5L7.5 1.5" })],
    cross: [svg("path", { class: "hatch", d: "M0 0L6 6M0 6L6 0" })],
    bars: [svg("path", { class: "hatch", d: "M0 1.5H6M0 4.5H6" })],
    dots: [svg("circle", { class: "dot", cx: 1.5, cy: 1.5, r: 1.1 }), svg("circle", { class: "dot", cx: 4.5, cy: 4.5, r: 1.1 })],
  }[kind];
  return svg("pattern", { id, class: toneOf(one, index), width: 6, height: 6, patternUnits: "userSpaceOnUse" },
    svg("rect", { class: "tint", width: 6, height: 6 }), marks);
}
