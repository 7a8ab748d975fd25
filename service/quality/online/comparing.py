"""Two windows side by side: every figure now and before, and the number that each is over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from service.ledger.tallies import Spent, Tally
from service.quality.online.measuring import Measured, Percentiles

T = TypeVar("T", bound=float)

_Writer = tuple[str | None, str | None]
"""A model and the version of its prompt."""


@dataclass(frozen=True, slots=True)
class Pair(Generic[T]):
    """A number of this window and of the one before; None where there is none."""

    now: T | None
    before: T | None


@dataclass(frozen=True, slots=True)
class Figure:
    """A rate or a mean, and over how many; None where there is nothing to divide by."""

    now: float | None
    before: float | None
    now_over: int
    before_over: int


@dataclass(frozen=True, slots=True)
class Latency:
    operation: str
    stage: str
    p50_ms: Pair[float]
    p95_ms: Pair[float]
    now_over: int
    before_over: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What one model did with one prompt in one window: its calls, and the answers that it wrote."""

    calls: int = 0
    failed_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    unpriced_calls: int = 0
    answers: int = 0
    grounded_rate: float | None = None
    unsupported_sentence_rate: float | None = None
    citation_precision: float | None = None


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """`model` and `prompt_version` are None for answers that no model wrote."""

    model: str | None
    prompt_version: str | None
    now: Usage
    before: Usage


def paired(now: Measured, before: Measured, count: Callable[[Measured], int]) -> Pair[int]:
    return Pair(count(now), count(before))


def share(now: Tally, before: Tally, part: str, whole: str) -> Figure:
    """The field `part` over the field `whole`, of both windows."""
    now_over, before_over = int(getattr(now, whole)), int(getattr(before, whole))
    return Figure(
        _ratio(getattr(now, part), now_over), _ratio(getattr(before, part), before_over), now_over, before_over
    )


def shares_of_answers(
    now: Measured, before: Measured, reasons: Callable[[Measured], Mapping[str, int]]
) -> dict[str, Figure]:
    """Of each reason the share of all answers, the most frequent first."""
    found_now, found_before = reasons(now), reasons(before)
    names = sorted(found_now.keys() | found_before.keys(), key=lambda name: (-found_now.get(name, 0), name))
    return {
        name: Figure(
            _ratio(found_now.get(name, 0), now.answers.complete),
            _ratio(found_before.get(name, 0), before.answers.complete),
            now.answers.complete,
            before.answers.complete,
        )
        for name in names
    }


def refusals(measured: Measured) -> Mapping[str, int]:
    return _by_reason((one.refusal, one.tally) for one in measured.written)


def degradations(measured: Measured) -> Mapping[str, int]:
    return _by_reason((one.degraded, one.tally) for one in measured.written)


def latencies(now: Measured, before: Measured) -> list[Latency]:
    """Of every operation and stage of either window, stages in the order of the alphabet."""
    found = []
    for operation, stage in sorted(now.latency.keys() | before.latency.keys()):
        one, other = now.latency.get((operation, stage)), before.latency.get((operation, stage))
        found.append(
            Latency(
                operation,
                stage,
                Pair(_p50(one), _p50(other)),
                Pair(_p95(one), _p95(other)),
                one.over if one else 0,
                other.over if other else 0,
            )
        )
    return found


def usages(now: Measured, before: Measured) -> list[ModelUsage]:
    """By model and prompt, those that cost or answered most first."""
    used_now, used_before = _usage(now), _usage(before)
    keys = used_now.keys() | used_before.keys()

    def most(key: _Writer) -> tuple[bool, float, int, str]:
        usage = used_now.get(key, Usage())
        return (key[0] is None, -(usage.cost_usd or 0.0), -usage.calls - usage.answers, str(key))

    return [
        ModelUsage(*key, used_now.get(key, Usage()), used_before.get(key, Usage())) for key in sorted(keys, key=most)
    ]


def total_cost(spent: Iterable[Spent]) -> float | None:
    """Of all calls with a known price; None if there is none."""
    priced = [one.cost_usd for one in spent if one.cost_usd is not None]
    return sum(priced) if priced else None


def _usage(measured: Measured) -> dict[_Writer, Usage]:
    spent: dict[_Writer, Spent] = {(one.model, one.prompt_version): one for one in measured.spent}
    tallies: dict[_Writer, Tally] = {}
    for one in measured.written:
        key = (one.model, one.prompt_version)
        tallies[key] = tallies.get(key, Tally()) + one.tally
    found: dict[_Writer, Usage] = {}
    for key in spent.keys() | tallies.keys():
        call, tally = spent.get(key), tallies.get(key, Tally())
        found[key] = Usage(
            calls=call.calls if call else 0,
            failed_calls=call.failed if call else 0,
            prompt_tokens=call.prompt_tokens if call else 0,
            completion_tokens=call.completion_tokens if call else 0,
            cost_usd=call.cost_usd if call else None,
            unpriced_calls=call.unpriced if call else 0,
            answers=tally.complete,
            grounded_rate=_ratio(tally.grounded, tally.graded),
            unsupported_sentence_rate=_ratio(tally.unsupported, tally.sentences),
            citation_precision=_ratio(tally.precision, tally.precise),
        )
    return found


def _by_reason(found: Iterable[tuple[str | None, Tally]]) -> dict[str, int]:
    reasons: dict[str, int] = {}
    for reason, tally in found:
        if reason is not None:
            reasons[reason] = reasons.get(reason, 0) + tally.queries
    return reasons


def _ratio(part: float, of: int) -> float | None:
    return part / of if of else None


def _p50(found: Percentiles | None) -> float | None:
    return None if found is None else found.p50_ms


def _p95(found: Percentiles | None) -> float | None:
    return None if found is None else found.p95_ms
