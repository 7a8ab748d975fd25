// A chart on the page: its heading, a legend that tells the numbers of the moment pointed at, and all numbers as a table.
// What is drawn is left to charts.js.

import { columns, lines, swatch } from "./charts.js";
import { el } from "./dom.js";
import { setText } from "./steady.js";

const HEIGHT = 176;
const KINDS = { columns, share: columns, lines, log: lines };
const KEYS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -6, PageDown: 6 };

/**
 * A figure that stays while its numbers change. `show` takes
 * `{ kind, since, until, moments, series: [{ name, values, total, tone?, … }], format, axis?, whole?, empty?, most?, zeros? }`:
 * `moments` are the buckets in words, `total` is of the whole window. With `zeros` nothing but zeros is worth a chart.
 */
export class Figure {
  constructor({ id, title, about }) {
    this.title = title;
    this.about = about;
    this.at = null;
    const heading = el("h3", { id: `figure-${id}` }, title);
    this.when = el("p", { class: "when" });
    this.legend = el("ul", { class: "legend" });
    this.drawing = el("div", { class: "drawing" });
    this.plot = el("div", { class: "plot", tabindex: "0", role: "group", "aria-label": `${title}: arrow keys go from one moment to the next` }, this.drawing);
    this.told = el("p", { class: "sr-only", "aria-live": "polite" });
    this.table = el("table", { class: "numbers" });
    this.numbers = el("details", { class: "more" }, el("summary", {}, "Numbers", el("span", { class: "sr-only" }, ` of ${title}`)),
      el("div", { class: "numbers-box", tabindex: "0", role: "region", "aria-label": `Numbers of ${title}` }, this.table));
    this.empty = el("p", { class: "nothing", hidden: true });
    this.element = el("figure", { class: "chart", "data-chart": id, "aria-labelledby": heading.id },
      el("figcaption", {}, heading, el("p", { class: "fine" }, about)),
      this.empty, this.legend, this.plot, this.when, this.told, this.numbers);
    this.numbers.addEventListener("toggle", () => this.#fillTable());
    this.#listen();
  }

  #listen() {
    const here = (event) => this.#point(this.chart?.bucketAt(event.clientX - this.drawing.getBoundingClientRect().left) ?? null);
    this.plot.addEventListener("pointermove", here);
    this.plot.addEventListener("pointerdown", here);
    this.plot.addEventListener("pointerleave", () => this.#point(null));
    this.plot.addEventListener("blur", () => this.#point(null));
    this.plot.addEventListener("keydown", (event) => this.#walk(event));
    new ResizeObserver(() => {
      if (this.data && Math.floor(this.drawing.clientWidth) !== this.drawn) this.#draw();
    }).observe(this.drawing);
  }

  #walk(event) {
    const last = (this.data?.moments.length ?? 0) - 1;
    if (last < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") this.#point(null);
    else if (event.key === "Home") this.#point(0, true);
    else if (event.key === "End") this.#point(last, true);
    else if (event.key in KEYS) this.#point(Math.min(last, Math.max(0, (this.at ?? (KEYS[event.key] > 0 ? -1 : last + 1)) + KEYS[event.key])), true);
    else return;
    event.preventDefault();
  }

  show(data) {
    this.data = data;
    const some = data.series.some(({ values }) => values.some((value) => Number.isFinite(value) && (value > 0 || data.zeros)));
    this.empty.hidden = some;
    setText(this.empty, data.empty ?? "Nothing to show in this window.");
    for (const part of [this.legend, this.plot, this.when, this.numbers]) part.hidden = !some;
    if (!some) {
      this.data = null;
      return;
    }
    this.#makeLegend();
    this.#draw();
    if (this.numbers.open) this.#fillTable();
  }

  #makeLegend() {
    const kind = this.#isLines() ? "lines" : "columns";
    const names = this.data.series.map(({ name }) => name).join("\n");
    if (this.named !== names) {
      this.values = this.data.series.map(() => el("span", { class: "legend-value" }));
      this.legend.replaceChildren(...this.data.series.map((one, index) =>
        el("li", {}, swatch(one, index, kind), el("span", { class: "legend-name" }, one.name), this.values[index])));
      this.named = names;
    }
    this.#tell();
  }

  #isLines() {
    return this.data.kind === "lines" || this.data.kind === "log";
  }

  #draw() {
    const width = Math.floor(this.drawing.clientWidth);
    if (width < 40) return; // not laid out: the observer comes back
    this.drawn = width;
    const { kind, moments, since, until, series, format, axis = format, most, whole } = this.data;
    this.chart = KINDS[kind]({
      width, height: HEIGHT, moments, since, until, series, format: axis, most, whole, share: kind === "share", log: kind === "log",
      title: this.title, about: `${this.about} ${this.#summary()}`,
    });
    this.drawing.replaceChildren(this.chart.root);
    this.#point(this.at === null ? null : Math.min(this.at, moments.length - 1));
  }

  /** The whole window in a sentence. */
  #summary() {
    return this.data.series.map(({ name, total }) => `${name}: ${this.#say(total)}`).join(", ");
  }

  #say(value) {
    return Number.isFinite(value) ? this.data.format(value) : "–";
  }

  #point(at, aloud = false) {
    this.at = at;
    this.chart?.pointAt(at);
    if (this.data) this.#tell(aloud);
  }

  #tell(aloud = false) {
    const { series, moments } = this.data;
    series.forEach((one, index) => setText(this.values[index], this.#say(this.at === null ? one.total : one.values[this.at])));
    setText(this.when, this.at === null ? "" : moments[this.at]);
    setText(this.told, aloud ? `${moments[this.at]}: ${series.map(({ name, values }) => `${name} ${this.#say(values[this.at])}`).join(", ")}` : "");
  }

  #fillTable() {
    if (!this.numbers.open || !this.data) return;
    const { series, moments } = this.data;
    const row = (name, cells, whole = null) => el("tr", { class: whole }, el("th", { scope: "row" }, name), cells.map((cell) => el("td", {}, this.#say(cell))));
    this.table.replaceChildren(
      el("caption", { class: "sr-only" }, `${this.title}. ${this.about}`),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Time"), series.map(({ name }) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, row("Whole window", series.map(({ total }) => total), "whole-window"),
        ...moments.map((moment, at) => row(moment, series.map(({ values }) => values[at])))));
  }
}
