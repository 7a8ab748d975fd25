// Verdicts as small labels: a word and a mark, so that the colour is not alone.

import { el } from "./dom.js";

const VERDICTS = {
  relevance: { strong: ["good", "strong relevance"], weak: ["fair", "weak relevance"], none: ["bad", "nothing relevant"] },
  grounding: { grounded: ["good", "grounded"], partial: ["fair", "partly grounded"], ungrounded: ["bad", "not grounded"] },
  outcome: { ok: ["plain", "done"], refused: ["fair", "refused"], closed: ["plain", "left before the end"] },
};
const MARKS = { good: "●", fair: "◆", bad: "■", plain: "" };

/** A code as words: `model_timeout` is `model timeout`. */
export const spaced = (code) => code.replaceAll("_", " ");

/** `kind` is relevance, grounding, outcome or degraded; what the service adds one day is shown as it is told. */
export function tag(kind, value) {
  const fallback = kind === "degraded" ? ["fair", `degraded: ${spaced(value)}`] : [kind === "outcome" ? "bad" : "plain", spaced(value)];
  const [verdict, words] = VERDICTS[kind]?.[value] ?? fallback;
  const mark = MARKS[verdict] ? el("span", { "aria-hidden": "true" }, `${MARKS[verdict]} `) : null;
  return el("span", { class: "verdict-tag", "data-verdict": verdict, "data-kind": kind }, mark, words);
}
