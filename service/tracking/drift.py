"""Whether the scores of searches are distributed as they were: the population stability index.

When it is looked at is left to `housekeeping`; what is to be done about it, to people.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from service.ledger.tallies import Slice, sampled_scores, searches
from service.settings import SignalSettings

BINS: Final = 10
STABLE: Final = 0.1
"""Below it nothing has changed, between it and `SHIFTED` something may have; the customary bounds, as in Siddiqi,
Credit Risk Scorecards (2006)."""
SHIFTED: Final = 0.25


@dataclass(frozen=True, slots=True)
class Drift:
    """Stability indices of a window's scores against the days before; None where there are too few searches.

    `searches` were made in the window, `reference` in the days before it.
    """

    confidence: float | None = None
    top_score: float | None = None
    searches: int = 0
    reference: int = 0


def stability_index(reference: Sequence[float], current: Sequence[float]) -> float:
    """The population stability index, `sum((c - r) * ln(c / r))` over the shares `r`, `c` of each bin; 0: no change.

    The bins are the deciles of `reference`, and one beyond its extremes on either side. Half a value is added to each
    bin, so that an empty one has a logarithm. Of two samples of one distribution it is about
    `(BINS - 1) * (1 / len(reference) + 1 / len(current))` (Yurdakul, Statistical Properties of PSI, 2018).
    """
    edges = _edges(sorted(reference))
    before, now = _shares(reference, edges), _shares(current, edges)
    return math.fsum((c - r) * math.log(c / r) for r, c in zip(before, now, strict=True))


def drift_of(connection: Connection, about: Slice, made: int, settings: SignalSettings) -> Drift:
    """Of one tenant's searches in the window, of which so many were `made`, against the days before the window."""
    if made < settings.drift_searches:
        return Drift(searches=made)
    days = about.days_before(settings.drift_reference_days)
    reference = searches(connection, days)
    if reference < settings.drift_searches:
        return Drift(searches=made, reference=reference)
    now, before = sampled_scores(connection, about, made), sampled_scores(connection, days, reference)
    return Drift(
        stability_index([confidence for confidence, _ in before], [confidence for confidence, _ in now]),
        stability_index([top for _, top in before], [top for _, top in now]),
        made,
        reference,
    )


def _edges(ordered: Sequence[float]) -> list[float]:
    """The deciles, and the two extremes; a value lies in the bin that begins with the last edge not above it."""
    last = len(ordered) - 1
    deciles = {ordered[round(last * part / BINS)] for part in range(1, BINS)}
    return sorted(deciles | {ordered[0], math.nextafter(ordered[last], math.inf)})


def _shares(values: Sequence[float], edges: Sequence[float]) -> list[float]:
    counts = [0.5] * (len(edges) + 1)
    for value in values:
        counts[bisect_right(edges, value)] += 1
    return [count / (len(values) + 0.5 * len(counts)) for count in counts]
