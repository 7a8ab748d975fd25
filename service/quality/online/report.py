"""The signals of a window of all traffic, each beside the window before.

What each means and how it is computed is told in docs/quality/signals.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine

from service.ledger.tallies import RATES_OF_ALL, RATES_OF_ANSWERS, Slice, Tally
from service.quality.online.attention import Finding, findings
from service.quality.online.comparing import (
    Figure,
    Latency,
    ModelUsage,
    Pair,
    degradations,
    latencies,
    paired,
    refusals,
    share,
    shares_of_answers,
    total_cost,
    usages,
)
from service.quality.online.measuring import Measured, measure
from service.settings import SignalSettings

_COUNTS: Final[Mapping[str, Callable[[Measured], int]]] = {
    "queries": lambda one: one.all.queries,
    "failed": lambda one: one.all.failed,
    "answers": lambda one: one.answers.complete,
    "clicks": lambda one: one.clicks.clicks,
    "model_calls": lambda one: sum(spent.calls for spent in one.spent),
    "unpriced_calls": lambda one: sum(spent.unpriced for spent in one.spent),
    "prompt_tokens": lambda one: sum(spent.prompt_tokens for spent in one.spent),
    "completion_tokens": lambda one: sum(spent.completion_tokens for spent in one.spent),
}


@dataclass(frozen=True, slots=True)
class FeedbackCount:
    """Feedback of one kind that says one thing: `value` is a rating or an outcome, None of what says nothing more."""

    kind: str
    value: str | None
    now: int
    before: int


@dataclass(frozen=True, slots=True)
class Quality:
    """`counts` and `rates` by the names that they have in `GET /v1/quality`."""

    now: Slice
    before: Slice
    counts: Mapping[str, Pair[int]]
    rates: Mapping[str, Figure]
    operations: Mapping[str, Pair[int]]
    refusals: Mapping[str, Figure]
    degraded: Mapping[str, Figure]
    feedback: Sequence[FeedbackCount]
    latency: Sequence[Latency]
    sampled: bool
    cost_usd: Pair[float]
    models: Sequence[ModelUsage]
    findings: Sequence[Finding]


def quality(engine: Engine, about: Slice, settings: SignalSettings) -> Quality:
    """What the ledger says about that window and the one before it."""
    return compared(measure(engine, about, settings), measure(engine, about.before(), settings))


def compared(now: Measured, before: Measured) -> Quality:
    """Both windows side by side."""
    rates = {name: share(now.all, before.all, *fields) for name, fields in RATES_OF_ALL.items()}
    rates |= {name: share(now.answers, before.answers, *fields) for name, fields in RATES_OF_ANSWERS.items()}
    rates |= _clicked(now, before) | _drifted(now, before)
    reasons, degraded = shares_of_answers(now, before, refusals), shares_of_answers(now, before, degradations)
    operations = sorted(now.operations.keys() | before.operations.keys())
    return Quality(
        now=now.about,
        before=before.about,
        counts={name: paired(now, before, count) for name, count in _COUNTS.items()},
        rates=rates,
        operations={
            name: paired(now, before, lambda one, name=name: one.operations.get(name, Tally()).queries)  # type: ignore[misc]
            for name in operations
        },
        refusals=reasons,
        degraded=degraded,
        feedback=_feedback(now, before),
        latency=latencies(now, before),
        sampled=now.sampled or before.sampled,
        cost_usd=Pair(total_cost(now.spent), total_cost(before.spent)),
        models=usages(now, before),
        findings=findings(rates, degraded),
    )


def _clicked(now: Measured, before: Measured) -> dict[str, Figure]:
    over = (now.clicks.queries, before.clicks.queries)
    return {
        "click_mrr": Figure(now.clicks.mrr, before.clicks.mrr, *over),
        "click_ndcg": Figure(now.clicks.ndcg, before.clicks.ndcg, *over),
    }


def _drifted(now: Measured, before: Measured) -> dict[str, Figure]:
    over = (now.drift.searches, before.drift.searches)
    return {
        "confidence_drift": Figure(now.drift.confidence, before.drift.confidence, *over),
        "top_score_drift": Figure(now.drift.top_score, before.drift.top_score, *over),
    }


def _feedback(now: Measured, before: Measured) -> list[FeedbackCount]:
    said = sorted(now.feedback.keys() | before.feedback.keys(), key=lambda one: (one[0], one[1] or ""))
    return [
        FeedbackCount(kind, value, now.feedback.get((kind, value), 0), before.feedback.get((kind, value), 0))
        for kind, value in said
    ]
