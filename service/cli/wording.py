"""Verdicts and failures in words, for people at a terminal; `docs/verification.md` lists the checks that they tell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

SUPPORT_STYLES = {"supported": "green", "partial": "yellow", "unsupported": "red", "contradicted": "red"}
_FACTS = {
    "numbers": "a number",
    "units": "a unit",
    "dates": "a date",
    "times": "a time",
    "versions": "a version",
    "identifiers": "a name or code",
    "names": "a name",
    "hosts": "a host",
    "addresses": "an address",
    "ports": "a port",
    "paths": "a path",
    "flags": "an option",
    "commands": "a command",
    "codes": "a code",
}
_RIVALS = ("numbers", "dates", "times", "versions")
_SECONDS = re.compile(r"(\d+) s")
_LENGTHS = ((86_400, "days"), (3_600, "hours"), (60, "minutes"))
_NOTES = {
    "citations:none": "it cites nothing, and no passage says it",
    "language:differs": "it is in another language than its source, so that only facts can be compared",
    "source:superseded": "only documents that were replaced say it",
    "negation:listed as what not to do": "the source lists it as what not to do",
}
_MODES = {
    "extractive": "sentences of the sources are shown instead",
    "partial": "the answer is incomplete",
    "cached": "an earlier answer is shown, whose sources have not changed",
}


def reasons_of(checks: Sequence[str]) -> list[str]:
    """What speaks against a sentence: `numbers:missing 40 s` is `a number is not there (40 s)`."""
    reasons = []
    conflict = any(check.startswith("conflict:") for check in checks)
    for check in checks:
        kind, _, result = check.partition(":")
        if check in _NOTES:
            reasons.append(_NOTES[check])
        elif result.startswith("missing") and kind != "facts":
            if conflict and kind in _RIVALS:
                continue  # the conflict says more of it
            lost = _SECONDS.sub(_duration, result.removeprefix("missing").strip())
            reasons.append(f"{_FACTS.get(kind, f'one of its {kind}')} is not there" + (f" ({lost})" if lost else ""))
        elif kind == "conflict":
            reasons.append(f"the source says otherwise ({result})")
        elif kind == "negation":
            reasons.append(f"the source says the opposite ({result})")
    if not reasons:
        reasons = [f"{float(check[8:]):.0%} of its words are there" for check in checks if check.startswith("overlap:")]
    return reasons


def _duration(seconds: re.Match[str]) -> str:
    """`7776000 s`, as durations are compared, in the largest unit that fits."""
    count = int(seconds[1])
    for length, unit in _LENGTHS:
        if count >= 2 * length and count % length == 0:
            return f"{count // length} {unit}"
    return seconds[0]


def withheld(grounding: Mapping[str, Any] | None) -> str | None:
    """How many sentences were left out, if any were."""
    count = 0 if grounding is None else int(grounding.get("withheld_sentences", 0))
    if not count:
        return None
    what, them = ("1 sentence was", "it") if count == 1 else (f"{count} sentences were", "them")
    return f"{what} left out because the sources do not support {them}"


def degraded(told: Mapping[str, Any], *, answered: bool) -> str:
    """`degraded (model_timeout): sentences of the sources are shown instead`."""
    shown = _MODES.get(told["mode"], told["mode"]) if answered else "the sources alone were looked at"
    return f"degraded ({told['reason']}): {shown}"


def cost_of(answer: Mapping[str, Any]) -> str:
    """Model, tokens, price and time of an answer, as far as they are known."""
    usage, facts = answer.get("usage") or {}, []
    if answer.get("model"):
        facts.append(str(answer["model"]))
    if usage.get("prompt_tokens"):
        facts.append(f"{usage['prompt_tokens']:,} + {usage.get('completion_tokens') or 0:,} tokens")
    if usage.get("cost_usd"):
        facts.append(f"${usage['cost_usd']:.4f}")
    total = (answer.get("timings_ms") or {}).get("total")
    if total is not None:
        facts.append(f"{total / 1000:.2f} s")
    return ", ".join(facts)
