"""Measures against values worked out by hand; intervals that repeat; refusals and reliability."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.quality.bootstrap import estimate, estimates
from service.quality.evaluating import reciprocal_rank_fusion
from service.quality.golden import GoldenCase
from service.quality.metrics import measure, names
from service.quality.refusals import refusals, reliability
from service.quality.splits import Part, Split, fold_of, load_split, sample

CASES = tuple(GoldenCase(id=f"case-{n}", question="?", relevant_documents=("x",)) for n in range(200))


def test_measures_are_as_worked_out_by_hand() -> None:
    judged = {"q": {"a": 2, "b": 1, "c": 1}}
    ranked = {"q": ["x", "b", "a", "y", "z"]}

    found = measure(judged, ranked, k=3, depth=5)["q"]

    ideal = 2 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4)
    assert found["ndcg@3"] == pytest.approx((1 / math.log2(3) + 2 / math.log2(4)) / ideal, abs=1e-6)
    assert found["recall@3"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["recall@5"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["mrr"] == pytest.approx(1 / 2)
    assert found["map"] == pytest.approx((1 / 2 + 2 / 3) / 3, abs=1e-6)
    assert (found["hit@1"], found["hit@3"]) == (0.0, 1.0)
    assert tuple(found) == names(3, 5) or set(found) == set(names(3, 5))


def test_what_was_not_ranked_counts_as_nothing() -> None:
    found = measure({"a": {"d": 1}, "b": {"d": 1}}, {"a": ["d"]}, k=10, depth=10)

    assert found["a"]["ndcg@10"] == 1.0
    assert set(found["b"].values()) == {0.0}


def test_equal_documents_keep_the_order_of_the_ranking() -> None:
    """The library breaks ties of scores by name: no tie ever reaches it."""
    documents = [f"d{n:03}" for n in range(100)]
    for ranked in (documents, documents[::-1]):
        found = measure({"q": {ranked[0]: 1}}, {"q": ranked}, k=10, depth=100)
        assert found["q"]["mrr"] == 1.0


def test_many_queries_are_measured_in_batches() -> None:
    queries = {f"q{n}": {"d": 1} for n in range(2_500)}
    found = measure(queries, {query: ["d"] if n % 2 else ["x", "d"] for n, query in enumerate(queries)}, 10, 100)

    assert sum(values["mrr"] for values in found.values()) == pytest.approx(1_250 + 625)


def test_an_interval_is_the_same_each_time_and_holds_the_mean() -> None:
    values = np.random.default_rng(7).random(80)

    first, again, other = estimate(values, 3), estimate(values, 3), estimate(values, 4)

    assert first == again
    assert first != other
    assert first.low < first.mean < first.high
    # About what the normal approximation says.
    assert first.high - first.low == pytest.approx(2 * 1.96 * values.std() / math.sqrt(80), rel=0.15)


def test_columns_share_their_resamples() -> None:
    column = np.random.default_rng(1).random(30)

    one, other = estimates(np.stack([column, column], axis=1), 0)

    assert one == other == estimate(column, 0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 5))
def test_an_interval_lies_within_the_values(values: list[float], seed: int) -> None:
    found = estimate(np.array(values), seed)

    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


def test_there_is_no_mean_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        estimate(np.array([]), 0)


def test_refusals_are_counted() -> None:
    must = [True, True, True, False, False]
    said = [True, True, False, True, False]

    found = refusals(must, said, seed=0)

    assert (found.must, found.may_not, found.rightly, found.wrongly) == (3, 2, 2, 1)
    assert found.precision == found.recall == found.f1 == pytest.approx(2 / 3)
    assert 0 <= found.f1_low < found.f1 < found.f1_high <= 1


def test_nothing_refused_is_no_division_by_zero() -> None:
    found = refusals([True, False], [False, False], seed=0)

    assert (found.precision, found.recall, found.f1) == (0.0, 0.0, 0.0)


def test_the_calibration_error_is_as_worked_out_by_hand() -> None:
    # Three cases stated .9 of which two came true, one stated .1 that came true.
    found = reliability([0.9, 0.9, 0.9, 0.1], [True, True, False, True])

    assert found.error == pytest.approx((3 * abs(0.9 - 2 / 3) + 1 * 0.9) / 4)
    assert [one.n for one in found.bins] == [1, 3]
    assert reliability([1.0, 0.0], [True, False]).error == 0.0


def test_fusion_by_reciprocal_ranks() -> None:
    assert reciprocal_rank_fusion([["a", "b", "c"], ["c", "a"]]) == ["a", "c", "b"]
    assert reciprocal_rank_fusion([["b"], ["a"]]) == ["a", "b"]


def test_folds_part_the_cases() -> None:
    tests = [load_split(CASES, Split(Part.TEST, 4, fold)) for fold in range(4)]
    train = load_split(CASES, Split(Part.TRAIN, 4, 2))

    assert sorted(case.id for part in tests for case in part) == sorted(case.id for case in CASES)
    assert {case.id for case in train}.isdisjoint(case.id for case in tests[2])
    assert len(train) + len(tests[2]) == len(CASES)
    assert all(30 < len(part) < 70 for part in tests)
    assert fold_of("case-1", 5) == fold_of("case-1", 5)


def test_a_sample_is_drawn_by_its_seed_and_keeps_the_order() -> None:
    drawn = sample(CASES, 20, seed=1)

    assert drawn == sample(CASES, 20, seed=1) != sample(CASES, 20, seed=2)
    assert list(drawn) == [case for case in CASES if case in drawn]
    assert sample(CASES, 500, seed=1) == CASES
