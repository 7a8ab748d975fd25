"""How often retrieval and generation failed in a stretch of time, of all tenants: what releases are compared by.

Figures for people, by tenant and collection, are the matter of `service.quality.online`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, case, func, or_, select

from service.errors import ModelFailureReason
from service.ledger.releases import ReleaseKind
from service.ledger.tables import feedback, traces
from service.ledger.traces import Operation, Outcome

_traces = traces.c
_feedback = feedback.c

OUTAGES = frozenset(
    {
        ModelFailureReason.UNREACHABLE,
        ModelFailureReason.RATE_LIMITED,
        ModelFailureReason.BUSY,
        ModelFailureReason.SERVER_ERROR,
    }
)
"""Why an answer is degraded by no fault of a prompt or an index."""
UNRELATED = {ReleaseKind.PROMPT: ("weak_relevance", "zero_results")}
"""Signals on which a release of that kind has no influence."""


class Signal(StrEnum):
    """Each is a share, and bad where it rises. The settings `releases` have a bound of the same name for it."""

    WEAK_RELEVANCE = "weak_relevance"
    ZERO_RESULTS = "zero_results"
    REFUSALS = "refusals"
    UNSUPPORTED = "unsupported"
    DEGRADED = "degraded"
    DOWN_RATINGS = "down_ratings"


@dataclass(frozen=True, slots=True)
class Share:
    """`bad` of `of`. Of unsupported sentences, each answer adds the share of its own: `bad` then is no whole number."""

    bad: float
    of: int

    @property
    def value(self) -> float:
        return self.bad / self.of if self.of else 0.0


def signals_for(kind: ReleaseKind) -> tuple[Signal, ...]:
    """What a release of that kind may make worse."""
    return tuple(signal for signal in Signal if signal not in UNRELATED.get(kind, ()))


def count_signals(engine: Engine, kind: ReleaseKind, since: datetime, until: datetime) -> dict[Signal, Share]:
    """The shares among what was asked from `since` to before `until`.

    Answers that an outage of the model degraded count only where a model is what was released.
    """
    told = _traces.outcome.in_((Outcome.OK, Outcome.REFUSED))
    judged = and_(told, _traces.relevance.is_not(None))
    answer = and_(told, _traces.operation == Operation.ANSWER)
    if kind is not ReleaseKind.MODEL:
        answer = and_(answer, or_(_traces.degraded.is_(None), _traces.degraded.not_in(OUTAGES)))
    written = and_(answer, _traces.sentences > 0, _traces.unsupported.is_not(None))
    query = select(
        _count(judged).label("weak_relevance"),
        _count(judged, _traces.relevance.in_(("weak", "none"))).label("weak_relevance_bad"),
        _count(told).label("zero_results"),
        _count(told, _traces.hits == 0).label("zero_results_bad"),
        _count(answer).label("refusals"),
        _count(answer, _traces.refusal.is_not(None)).label("refusals_bad"),
        _count(written).label("unsupported"),
        func.sum(case((written, _traces.unsupported * 1.0 / _traces.sentences), else_=0.0)).label("unsupported_bad"),
        _count(answer).label("degraded"),
        _count(answer, _traces.degraded.is_not(None)).label("degraded_bad"),
    ).where(_traces.at >= since, _traces.at < until)
    rated = (
        select(func.count().label("down_ratings"), _count(_feedback.rating == "down").label("down_ratings_bad"))
        .join_from(feedback, traces, _feedback.trace_id == _traces.id)
        .where(_feedback.rating.is_not(None), _traces.at >= since, _traces.at < until)
    )
    with engine.connect() as connection:
        values: Mapping[str, Any] = {
            **connection.execute(query).one()._mapping,
            **connection.execute(rated).one()._mapping,
        }
    return {
        signal: Share(float(values[f"{signal}_bad"] or 0), int(values[signal] or 0)) for signal in signals_for(kind)
    }


def _count(*conditions: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.sum(case((and_(*conditions), 1), else_=0))
