"""What in a window is worth a look: signals that got worse by more than chance, and those that are bad at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from service.quality.online.comparing import Figure
from service.tracking.drift import SHIFTED, STABLE

_CHANCE: Final = 3.0
"""Standard errors of the difference between two windows that a change must exceed: one in 700 by chance."""
_LEAST: Final = 0.02
"""Smaller changes are of no use to anyone, however sure they are."""
_FEWEST: Final = 30
_WORSE_WHEN_HIGHER: Final[Mapping[str, str]] = {
    "failed_rate": "requests that failed",
    "zero_result_rate": "queries that found nothing",
    "weak_relevance_rate": "queries with weak relevance",
    "no_relevance_rate": "queries about which the corpus says nothing",
    "legs_disagree_rate": "queries on which the two legs disagree",
    "refusal_rate": "questions that were refused",
    "degraded_rate": "degraded answers",
    "unsupported_sentence_rate": "unsupported sentences",
}
_WORSE_WHEN_LOWER: Final[Mapping[str, str]] = {
    "grounded_rate": "grounded answers",
    "citation_precision": "citation precision",
    "click_mrr": "rank of the clicked hits (MRR)",
}
_DRIFTS: Final[Mapping[str, str]] = {"confidence_drift": "confidence", "top_score_drift": "best score"}
_DEGRADED: Final = 0.05


@dataclass(frozen=True, slots=True)
class Finding:
    """One signal that is worth a look: `signal` is its name in `GET /v1/quality`, `detail` a sentence for people."""

    signal: str
    detail: str


def findings(rates: Mapping[str, Figure], degraded: Mapping[str, Figure]) -> list[Finding]:
    """What is worth a look, none where nothing is."""
    found = []
    for worse, names in ((1, _WORSE_WHEN_HIGHER), (-1, _WORSE_WHEN_LOWER)):
        for name, what in names.items():
            figure = rates[name]
            if changed(figure) == worse:
                found.append(Finding(name, f"{what}: {_share(figure.before)} before, {_share(figure.now)} now"))
    for name, what in _DRIFTS.items():
        index = rates[name].now
        if index is not None and index > STABLE:
            how = "are no longer distributed as they were" if index > SHIFTED else "may have shifted"
            found.append(Finding(name, f"the {what} of searches {how}: stability index {index:.2f}"))
    for reason, figure in degraded.items():
        if figure.now is not None and figure.now > _DEGRADED and figure.now_over >= _FEWEST:
            found.append(Finding("degraded", f"{_share(figure.now)} of the answers are degraded: {reason}"))
    return found


def changed(figure: Figure) -> int:
    """1 if the rate rose between the windows, -1 if it fell, 0 if that may be chance or is next to nothing.

    By the difference of two proportions, in standard errors of the pooled one.
    """
    if figure.now is None or figure.before is None or min(figure.now_over, figure.before_over) < _FEWEST:
        return 0
    difference = figure.now - figure.before
    both = figure.now_over + figure.before_over
    pooled = (figure.now * figure.now_over + figure.before * figure.before_over) / both
    error = math.sqrt(max(pooled * (1 - pooled), 0.0) * (1 / figure.now_over + 1 / figure.before_over))
    if abs(difference) < _LEAST or abs(difference) <= _CHANCE * error:
        return 0
    return 1 if difference > 0 else -1


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.1%}"
