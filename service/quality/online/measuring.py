"""What one window of the ledger says: its tallies, percentiles, clicks and the drift of its scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from service.ledger.tallies import (
    MOST_ROWS,
    Slice,
    Spent,
    Tally,
    Written,
    feedback_counts,
    sampled_timings,
    spending,
    tallies,
    written,
)
from service.ledger.traces import Operation
from service.quality.clicks import ClickMeasures, click_measures
from service.settings import SignalSettings
from service.tracking.drift import Drift, drift_of

TOTAL = "total"
"""The stage that is the whole operation."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of `over` operations, in milliseconds."""

    p50_ms: float
    p95_ms: float
    over: int


@dataclass(frozen=True, slots=True)
class Measured:
    """One window. `latency` is by operation and stage; `sampled`: out of a random sample of the operations."""

    about: Slice
    operations: Mapping[str, Tally]
    written: Sequence[Written]
    spent: Sequence[Spent]
    feedback: Mapping[tuple[str, str | None], int]
    clicks: ClickMeasures
    latency: Mapping[tuple[str, str], Percentiles]
    sampled: bool
    drift: Drift

    @property
    def all(self) -> Tally:
        return sum(self.operations.values(), Tally())

    @property
    def answers(self) -> Tally:
        return self.operations.get(Operation.ANSWER.value, Tally())


def measure(engine: Engine, about: Slice, settings: SignalSettings) -> Measured:
    """Everything about one window of one tenant."""
    assert about.tenant is not None
    clicks = click_measures(engine, about.tenant, about.since, about.until, about.collection)
    with engine.connect() as connection:
        (operations,) = tallies(connection, about)
        (spent,) = spending(connection, about)
        rows = sum(tally.queries for tally in operations.values())
        searches = operations.get(Operation.SEARCH.value, Tally()).judged
        return Measured(
            about=about,
            operations=operations,
            written=written(connection, about),
            spent=spent,
            feedback=feedback_counts(connection, about),
            clicks=clicks,
            latency=_latency(connection, about, rows),
            sampled=rows > MOST_ROWS,
            drift=drift_of(connection, about, searches, settings),
        )


def _latency(connection: Connection, about: Slice, rows: int) -> dict[tuple[str, str], Percentiles]:
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _, operation, total_ms, timings in sampled_timings(connection, about, rows):
        for stage, milliseconds in ({TOTAL: total_ms} | dict(timings)).items():
            found[operation, stage].append(milliseconds)
    return {key: percentiles(values) for key, values in found.items()}


def percentiles(values: Iterable[float]) -> Percentiles:
    """Of at least one value; between two values by interpolation."""
    ordered = sorted(values)
    return Percentiles(_quantile(ordered, 0.5), _quantile(ordered, 0.95), len(ordered))


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
