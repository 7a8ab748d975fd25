"""The same signals over time: a window cut into equal parts, for charts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Engine

from service.ledger.tallies import (
    MOST_ROWS,
    Reasons,
    Slice,
    Spent,
    Tally,
    reasons,
    sampled_timings,
    spending,
    tallies,
)
from service.quality.online.comparing import total_cost
from service.quality.online.measuring import Percentiles, percentiles

MOST_BUCKETS: Final = 200


@dataclass(frozen=True, slots=True)
class Point:
    """What happened from `at` until the next point."""

    at: datetime
    operations: Mapping[str, Tally]
    latency: Mapping[str, Percentiles]
    spent: Sequence[Spent]
    reasons: Reasons

    @property
    def all(self) -> Tally:
        return sum(self.operations.values(), Tally())

    @property
    def cost_usd(self) -> float | None:
        return total_cost(self.spent)


@dataclass(frozen=True, slots=True)
class Series:
    """`sampled`: percentiles are out of a random sample of the operations."""

    about: Slice
    bucket_s: float
    points: Sequence[Point]
    sampled: bool


def series(engine: Engine, about: Slice, buckets: int) -> Series:
    """The window in so many equal parts, in the order of time."""
    width_s = about.seconds / buckets
    with engine.connect() as connection:
        operations = tallies(connection, about, buckets)
        spent = spending(connection, about, buckets)
        why = reasons(connection, about, buckets)
        rows = sum(tally.queries for part in operations for tally in part.values())
        latency = _latency(connection, about, rows, buckets)
    points = [
        Point(about.since + timedelta(seconds=width_s * n), operations[n], latency[n], spent[n], why[n])
        for n in range(buckets)
    ]
    return Series(about, width_s, points, rows > MOST_ROWS)


def _latency(connection: Connection, about: Slice, rows: int, buckets: int) -> list[dict[str, Percentiles]]:
    found: list[dict[str, list[float]]] = [defaultdict(list) for _ in range(buckets)]
    for at, operation, total_ms, _ in sampled_timings(connection, about, rows):
        part = int((at - about.since).total_seconds()) * buckets // about.seconds
        found[min(part, buckets - 1)][operation].append(total_ms)
    return [{operation: percentiles(values) for operation, values in part.items()} for part in found]
