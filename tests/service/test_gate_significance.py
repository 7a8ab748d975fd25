"""A fall is told from chance: exactly where there are few cases, and rarely wrongly however many measures there are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.quality.significance import ALPHA, Chance, chance_of, least_cases, level_of


def of(lost: int, gained: int = 0, same: int = 0) -> Chance:
    """What chance says of yes-and-no answers of which so many changed."""
    return chance_of(np.array([-1.0] * lost + [1.0] * gained + [0.0] * same), 0.02, seed=0)


@pytest.mark.parametrize(
    ("lost", "gained", "p"),
    [(5, 0, 1 / 32), (7, 0, 1 / 128), (9, 1, 11 / 1024), (8, 2, 56 / 1024)],
)
def test_yes_and_no_is_the_exact_sign_test(lost: int, gained: int, p: float) -> None:
    assert of(lost, gained, same=10).p == pytest.approx(p, abs=1e-3)


def test_the_bootstrap_alone_would_be_too_sure_of_a_few_cases() -> None:
    assert of(6, same=90).p > ALPHA
    assert of(12, same=90).p < ALPHA / 10


def test_what_did_not_change_or_rose_is_no_fall() -> None:
    assert of(0, same=50) == Chance(1.0, 1.0)
    assert of(2, 9).p == 1.0
    assert of(5, 5).p == 1.0


def test_a_loss_within_the_tolerance_is_no_fall_however_sure() -> None:
    small = np.full(200, -0.004)

    assert chance_of(small, 0.005, 0).p == 1.0
    assert chance_of(small, 0.003, 0).p < ALPHA


def test_differences_of_any_size_are_tried_with_all_signs() -> None:
    found = chance_of(np.array([-0.9, -0.1, -0.3, -0.7, -0.5, -0.2, -0.4, 0.05]), 0.0, 0)

    assert found.least == 1 / 256
    assert found.p == pytest.approx(2 / 256, abs=2e-3)


def test_measures_that_cannot_fail_cost_the_others_nothing() -> None:
    able, unable = Chance(0.004, 0.0001), Chance(1.0, 0.25)

    assert level_of([able]) == ALPHA
    assert level_of([able, *[unable] * 30]) == ALPHA
    assert level_of([able] * 5) == pytest.approx(ALPHA / 5)
    assert level_of([]) == ALPHA


def test_seven_cases_at_the_least() -> None:
    assert least_cases() == 7
    assert of(7).p <= ALPHA < of(6).p


@given(st.integers(0, 2**32 - 1), st.integers(8, 60))
def test_the_larger_fall_is_never_the_more_probable(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    values = random.choice([-1.0, 0.0, 1.0], n)

    assert chance_of(values - 1.0, 0.0, 0).p <= chance_of(values, 0.0, 0).p + 1e-9


def test_an_unchanged_build_fails_rarely_whatever_the_number_of_measures() -> None:
    """100 gates of 8 measures over 30 cases, of which a third changes by chance."""
    random = np.random.default_rng(11)
    failed = 0
    for gate in range(100):
        draws = random.choice([-1.0, 0.0, 0.0, 0.0, 0.0, 1.0], (8, 30))
        chances = [chance_of(row, 0.02, gate) for row in draws]
        level = level_of(chances)
        failed += any(chance.p <= level for chance in chances)

    assert failed <= 100 * ALPHA * 3
