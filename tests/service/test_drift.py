"""Drift of scores: silent while they are distributed as before, loud when they have shifted, and never made up."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from ingestion.corpus.database import open_database
from ingestion.settings import Settings
from service.ledger.database import migrate_ledger
from service.ledger.metrics import Metrics
from service.ledger.traces import Trace
from service.settings import SignalSettings
from service.tracking.drift import SHIFTED, STABLE, stability_index
from service.tracking.watching import Watch
from tests.service.ledger_parts import NOW, answer, keep, refusal, search

Draw = Callable[[random.Random], float]
FEWEST = SignalSettings().drift_searches
HOUR = timedelta(hours=1)
SHAPES: dict[str, Draw] = {
    "confident": lambda chance: chance.betavariate(8, 1),
    "two kinds of query": lambda chance: (
        chance.betavariate(9, 2) if chance.random() < 0.8 else chance.betavariate(1, 9)
    ),
    "a few values": lambda chance: chance.choice((0.0, 0.2, 0.5, 0.98, 0.99, 1.0)),
    "one value": lambda _: 0.75,
}
SHIFTS: dict[str, tuple[Draw, Draw]] = {
    "less confident": (lambda chance: chance.betavariate(8, 2), lambda chance: chance.betavariate(5, 2.5)),
    "one value became another": (lambda _: 0.5, lambda _: 0.9),
    "a quarter finds nothing": (
        lambda chance: chance.betavariate(8, 2),
        lambda chance: 0.01 if chance.random() < 0.25 else chance.betavariate(8, 2),
    ),
}


def sample(draw: Draw, n: int, seed: int) -> list[float]:
    chance = random.Random(seed)
    return [draw(chance) for _ in range(n)]


@pytest.mark.parametrize("shape", SHAPES)
def test_chance_is_no_drift(shape: str) -> None:
    """As few searches as are ever compared, fifty times each."""
    draw = SHAPES[shape]
    indices = [
        stability_index(sample(draw, 7 * FEWEST, 2 * seed), sample(draw, FEWEST, 2 * seed + 1)) for seed in range(50)
    ]

    assert max(indices) < STABLE


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_shift_is_drift(shift: str) -> None:
    before, now = SHIFTS[shift]
    indices = [
        stability_index(sample(before, 7 * FEWEST, 2 * seed), sample(now, FEWEST, 2 * seed + 1)) for seed in range(50)
    ]

    assert min(indices) > SHIFTED


_SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=60)


@given(reference=_SCORES, current=_SCORES)
def test_the_index_is_finite_and_never_below_zero(reference: list[float], current: list[float]) -> None:
    index = stability_index(reference, current)

    assert math.isfinite(index)
    assert index >= 0
    assert stability_index(reference, reference) == 0


def test_the_index_of_a_known_shift() -> None:
    """Half of what lay in one bin has gone over to another: 0.1 to 0.05 and 0.1 to 0.15."""
    reference = [n / 16 for n in range(10) for _ in range(10_000)]
    current = [1 / 16 if score == 0 and n % 2 else score for n, score in enumerate(reference)]

    expected = 0.05 * math.log(2) + 0.05 * math.log(1.5)
    assert stability_index(reference, current) == pytest.approx(expected, rel=0.01)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(Settings(data_dir=tmp_path))
    migrate_ledger(engine)
    yield engine
    engine.dispose()


def gauges(metrics: Metrics, name: str) -> dict[str, float]:
    """Values of a gauge by its one label."""
    found = {}
    for line in metrics.exposition().decode().splitlines():
        if line.startswith(name + "{"):
            label, value = line.split("} ")
            found[label.split('"')[1]] = float(value)
    return found


def searches(draw: Draw, n: int, hours: tuple[float, float], tenant: str = "acme") -> list[Trace]:
    """`n` searches between so many hours before now and so many."""
    first, last = hours
    return [
        search(NOW - HOUR * (first + (last - first) * i / n), confidence=score, top_score=score / 2, tenant=tenant)
        for i, score in enumerate(sample(draw, n, int(first)))
    ]


def look(engine: Engine, metrics: Metrics) -> None:
    Watch(engine, metrics, SignalSettings(drift_searches=100), now=lambda: NOW).look()


def test_too_few_searches_give_no_figure(database: Engine) -> None:
    draw, metrics = SHAPES["confident"], Metrics()
    keep(database, [*searches(draw, 99, (1, 20)), *searches(draw, 300, (30, 150))])

    look(database, metrics)
    assert gauges(metrics, "plumbline_score_drift") == {}

    keep(database, searches(draw, 1, (2, 3)))
    look(database, metrics)
    assert gauges(metrics, "plumbline_score_drift").keys() == {"confidence", "top_score"}


def test_a_tenant_is_compared_with_itself(database: Engine) -> None:
    """Another tenant with other scores that asks more than before is no drift; one whose scores shift is."""
    low, high, metrics = SHIFTS["less confident"][1], SHAPES["confident"], Metrics()
    keep(database, [*searches(high, 400, (1, 20)), *searches(high, 400, (30, 150))])
    keep(database, [*searches(low, 400, (1, 20), "beta"), *searches(low, 150, (30, 150), "beta")])

    look(database, metrics)
    assert gauges(metrics, "plumbline_score_drift")["confidence"] < SHIFTED

    keep(database, [*searches(low, 400, (2, 20), "gamma"), *searches(high, 400, (30, 150), "gamma")])
    look(database, metrics)
    assert gauges(metrics, "plumbline_score_drift")["confidence"] > SHIFTED


def test_signals_of_the_last_day(database: Engine) -> None:
    metrics = Metrics()
    keep(
        database,
        [
            *(search(NOW - HOUR), search(NOW - HOUR, tenant="beta", hits=0, relevance="none")),
            *(search(NOW - 25 * HOUR, relevance="weak"), answer(NOW - HOUR, unsupported=1), refusal(NOW - HOUR)),
        ],
    )

    look(database, metrics)

    assert gauges(metrics, "plumbline_window_signal") == {
        "failed_rate": 0,
        "zero_result_rate": 0.25,
        "weak_relevance_rate": 0,
        "no_relevance_rate": 0.25,
        "legs_disagree_rate": 0,
        "refusal_rate": 0.5,
        "degraded_rate": 0,
        "grounded_rate": 1,
        "unsupported_sentence_rate": pytest.approx(1 / 3),
        "citation_precision": 1,
    }


def test_a_signal_with_nothing_to_divide_by_goes_away(database: Engine) -> None:
    metrics = Metrics()
    keep(database, [answer(NOW - HOUR)])
    look(database, metrics)
    assert "grounded_rate" in gauges(metrics, "plumbline_window_signal")

    Watch(database, metrics, SignalSettings(), now=lambda: NOW + 30 * HOUR).look()

    assert gauges(metrics, "plumbline_window_signal") == {}
