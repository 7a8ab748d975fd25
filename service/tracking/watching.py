"""Gauges out of the ledger: the signals of the last day, and how far the scores have drifted from the days before.

When they are brought up to date is left to `housekeeping`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine

from service.ledger.metrics import SCORE_DRIFT, WINDOW, Metrics
from service.ledger.tallies import RATES_OF_ALL, RATES_OF_ANSWERS, Slice, Tally, tallies, tenants
from service.ledger.traces import Operation
from service.settings import SignalSettings
from service.tracking.drift import Drift, drift_of

WINDOW_LENGTH = timedelta(days=1)


def _now() -> datetime:
    return datetime.now(UTC)


class Watch:
    """Sets the gauges. Each tenant's scores are compared with its own: one that asks more often is no drift."""

    def __init__(
        self, engine: Engine, metrics: Metrics, settings: SignalSettings, now: Callable[[], datetime] = _now
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._settings = settings
        self._now = now

    def look(self) -> None:
        """Bring the gauges up to date. Raises: SQLAlchemyError."""
        until = self._now()
        day = Slice(until - WINDOW_LENGTH, until)
        every, answers = Tally(), Tally()
        drifts: list[Drift] = []
        with self._engine.connect() as connection:
            for tenant in tenants(connection, day):
                found, drift = self._of_tenant(connection, Slice(day.since, day.until, tenant))
                drifts.append(drift)
                every = sum(found.values(), every)
                answers += found.get(Operation.ANSWER.value, Tally())
        for fields, tally in ((RATES_OF_ALL, every), (RATES_OF_ANSWERS, answers)):
            for name, (part, whole) in fields.items():
                over = getattr(tally, whole)
                self._metrics.set(WINDOW, getattr(tally, part) / over if over else None, name)
        self._metrics.set(SCORE_DRIFT, _greatest(one.confidence for one in drifts), "confidence")
        self._metrics.set(SCORE_DRIFT, _greatest(one.top_score for one in drifts), "top_score")

    def _of_tenant(self, connection: Connection, about: Slice) -> tuple[Mapping[str, Tally], Drift]:
        (found,) = tallies(connection, about)
        made = found.get(Operation.SEARCH.value, Tally()).judged
        return found, drift_of(connection, about, made, self._settings)


def _greatest(found: Iterable[float | None]) -> float | None:
    return max((one for one in found if one is not None), default=None)
