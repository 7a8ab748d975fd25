// Each model with each prompt version: what it was called for, what it cost, and how good its answers were.

import { el } from "./dom.js";
import { count, share, short, usd } from "./numbers.js";

const COLUMNS = [
  ["Answers", "answers", count], ["Calls", "calls", count], ["Failed", "failed_calls", count], ["Tokens read", "prompt_tokens", short], ["Written", "completion_tokens", short],
  ["Cost", "cost_usd", usd], ["Grounded", "grounded_rate", share], ["Unsupported", "unsupported_sentence_rate", share], ["Precision", "citation_precision", share],
];

export class ModelTable {
  constructor(place) {
    this.place = place;
  }

  show(models) {
    this.place.hidden = !models.length;
    const heads = COLUMNS.map(([label]) => el("th", { scope: "col" }, label));
    const rows = models.map((one) => el("tr", {},
      el("th", { scope: "row" }, one.model ?? "No model: quoted from the sources", one.prompt_version ? el("span", { class: "fine where" }, one.prompt_version) : null),
      COLUMNS.map(([, field, say]) => cell(one.now[field], one.before[field], say))));
    this.place.querySelector("table").replaceChildren(el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Model and prompt"), heads)), el("tbody", {}, rows));
  }
}

function cell(now, before, say) {
  const told = (value) => (Number.isFinite(value) ? say(value) : "–");
  return el("td", {}, told(now), el("span", { class: "fine where" }, `was ${told(before)}`));
}
