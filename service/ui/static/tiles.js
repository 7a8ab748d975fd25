// The numbers of the window at the head of the page, each beside the window before, with what the change means.

import { spark } from "./charts.js";
import { el } from "./dom.js";
import { count, ms, share, short, usd } from "./numbers.js";
import { Keyed, setAttribute, setText } from "./steady.js";

const SAY = { count: short, share, ms, usd };
const EXACT = { count, share, ms, usd };

/** How a number compares with the one before: an arrow, what it means for quality, and the words for it. */
export function change(now, before, kind, good) {
  if (!Number.isFinite(now) || !Number.isFinite(before)) return { arrow: "", verdict: "", words: "" };
  const difference = now - before;
  if (SAY[kind](now) === SAY[kind](before)) return { arrow: "=", verdict: "", words: "the same" };
  const up = difference > 0;
  const verdict = good ? (up === (good === "up") ? "better" : "worse") : "";
  return { arrow: up ? "▲" : "▼", verdict, words: verdict || (up ? "more" : "less") };
}

class Tile {
  constructor({ id, label }) {
    this.value = el("p", { class: "tile-value" });
    this.arrow = el("strong");
    this.before = document.createTextNode("");
    this.delta = el("p", { class: "delta" }, this.arrow, this.before);
    this.line = el("span", { class: "line-of", "aria-hidden": "true" });
    this.element = el("li", { class: "tile", "data-tile": id }, el("h2", {}, label), this.value, this.delta, this.line);
  }

  show({ value, before, kind, good, note, line = [], tone, explains }) {
    const some = Number.isFinite(value);
    const said = some ? SAY[kind](value) : "–";
    this.value.replaceChildren(said, ...(note ? [" ", el("small", {}, note)] : []));
    setAttribute(this.value, "title", some && EXACT[kind](value) !== said ? EXACT[kind](value) : null);
    setAttribute(this.element, "title", explains ?? null);
    const { arrow, verdict, words } = change(value, before, kind, good);
    setAttribute(this.delta, "data-verdict", verdict || null);
    setText(this.arrow, arrow ? `${arrow} ${words}` : "");
    this.before.data = Number.isFinite(before) ? `${arrow ? " · " : ""}was ${SAY[kind](before)}` : some ? "nothing before" : "no data";
    this.line.replaceChildren(spark(line, { tone }));
  }
}

/** The list of tiles: each stays the same element while its numbers change. */
export class Tiles {
  constructor(list) {
    this.tiles = new Keyed(list, (tile) => new Tile(tile));
  }

  show(tiles) {
    this.tiles.show(tiles, ({ id }) => id, (entry, tile) => entry.show(tile));
  }
}
