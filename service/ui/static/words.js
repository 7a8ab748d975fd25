// Verdicts, reasons and costs in words. What the service adds one day is shown as it is told.

import { plural } from "./dom.js";

export const SUPPORT = {
  supported: "Supported by its source",
  partial: "Partly supported",
  unsupported: "Not in the cited text",
  contradicted: "Contradicts the cited text",
};
export const GROUNDING = {
  grounded: "Every sentence is supported by its source",
  partial: "Not everything here is supported by the sources",
  ungrounded: "The sources do not support this answer",
};
const DEGRADED = {
  model_not_configured: "no language model is configured",
  model_unreachable: "the language model cannot be reached",
  model_timeout: "the language model took too long",
  model_rate_limited: "the language model is over its rate limit",
  model_busy: "the language model is busy",
  model_rejected_request: "the language model refused the request",
  model_server_error: "the language model failed",
  model_empty_answer: "the language model answered nothing",
  model_uncited_answer: "the language model cited no source",
  model_malformed_answer: "the language model answered in no readable form",
  model_declined: "the language model declined to answer",
  model_wrong_language: "the language model answered in another language",
  model_unsupported_answer: "the sources support nothing of what the language model wrote",
  model_interrupted: "the language model broke off",
  model_output_limit: "the answer grew longer than the limit",
};
const MODES = {
  extractive: "Quoted from the sources",
  partial: "This answer is incomplete",
  cached: "This is an earlier answer, whose sources have not changed since,",
};
const FACTS = {
  numbers: "a number", dates: "a date", times: "a time", versions: "a version", identifiers: "a name or code",
  names: "a name", addresses: "an address", flags: "an option", commands: "a command", hosts: "a host",
};
const NOTES = {
  "citations:none": "it names no source, and none was found",
  "language:differs": "it is in another language than its source, so that only facts can be compared",
  "source:superseded": "only documents that were replaced say it",
  "negation:listed as what not to do": "the text lists it as what not to do",
};
const RIVALS = ["numbers", "dates", "times", "versions"];
const LENGTHS = [[86400, "days"], [3600, "hours"], [60, "minutes"]];

/** What an answer is instead, and why. */
export function degradedIn({ reason, mode }) {
  return [MODES[mode] ?? MODES.extractive, ` because ${DEGRADED[reason] ?? "the language model is not available"}.`];
}

/** How many sentences are not shown, or nothing. */
export function withheldIn(grounding) {
  const count = grounding?.withheld_sentences ?? 0;
  if (!count) return null;
  return `${plural(count, "sentence was", "sentences were")} left out because the sources do not support ${count === 1 ? "it" : "them"}.`;
}

/** The checks that failed, in words: `numbers:missing 40 minutes` is `a number is not there (40 minutes)`. */
export function reasonsOf(checks) {
  const reasons = [];
  const conflict = checks.some((check) => check.startsWith("conflict:"));
  for (const check of checks) {
    const [kind, ...rest] = check.split(":");
    const result = rest.join(":");
    const missing = /^missing\s*(.*)$/s.exec(result);
    if (NOTES[check]) reasons.push(NOTES[check]);
    else if (missing && kind !== "facts") {
      if (conflict && RIVALS.includes(kind)) continue; // the conflict says more of it
      reasons.push(`${FACTS[kind] ?? `one of its ${kind}`} is not there${missing[1] ? ` (${duration(missing[1])})` : ""}`);
    } else if (kind === "conflict") reasons.push(`the text says otherwise (${result})`);
    else if (kind === "negation") reasons.push(`the text says the opposite (${result})`);
  }
  const overlap = checks.find((check) => check.startsWith("overlap:"));
  if (!reasons.length && overlap) reasons.push(`${Math.round(Number(overlap.slice(8)) * 100)}% of its words are there`);
  return reasons;
}

/** Durations are compared in seconds: `2592000 s` is 30 days. */
function duration(text) {
  return text.replace(/\b(\d+) s$/, (told, digits) => {
    const seconds = Number(digits);
    const fit = LENGTHS.find(([length]) => seconds >= 2 * length && seconds % length === 0);
    return fit ? `${seconds / fit[0]} ${fit[1]}` : told;
  });
}

/** Which model wrote it, what it cost and how long it took, as far as that is known. */
export function costOf(answer) {
  const { usage = {}, timings_ms: timings = {}, decisions = [] } = answer;
  const tier = decisions.findLast((decision) => decision.step === "tier")?.choice;
  const tokens = (usage.prompt_tokens ?? 0) + (usage.completion_tokens ?? 0);
  return [
    answer.model && (tier ? `${answer.model} (${tier})` : answer.model),
    tokens > 0 && plural(tokens, "token"),
    usage.cost_usd > 0 && `$${usage.cost_usd.toFixed(usage.cost_usd < 0.01 ? 5 : 3)}`,
    timings.total !== undefined && `${(timings.total / 1000).toFixed(timings.total < 995 ? 2 : 1)} s`,
    answer.grounding?.method && `checked by ${answer.grounding.method}`,
  ].filter(Boolean);
}
