"""Whether a fall between two runs can be chance: two tests that must agree, and a level for several measures at once.

Which measures are compared, and how far each may fall, is up to `verdicts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import NDArray

ALPHA = 0.01
"""Share of gates over an unchanged build that may fail, whatever the number of measures."""
_RESAMPLES = 10_000
_AT_ONCE = 100
_EXACT = 14
"""Differences of different sizes up to which all signs are tried; 2 to the power of this many."""


@dataclass(frozen=True, slots=True)
class Chance:
    """`p`: how probable a fall like this is by chance alone; `least`: the smallest `p` that these cases could give."""

    p: float
    least: float


def chance_of(differences: NDArray[np.float64], tolerance: float, seed: int) -> Chance:
    """How easily chance explains that `differences` (later minus earlier, one per case) lie below `-tolerance`.

    The larger of two one-sided p-values. The paired bootstrap asks whether the mean of such cases is below
    `-tolerance` (Efron and Tibshirani 1993). The sign-flip test asks whether two runs of the same build could differ
    so: then each difference might as well have the other sign (Fisher 1935). That one is exact however few cases
    there are, and over answers of yes and no it is McNemar's exact test; with few cases that differ, the bootstrap
    alone would be far too sure.
    """
    changed = differences[differences != 0]
    if not len(changed):
        return Chance(1.0, 1.0)
    least = max(0.5 ** len(changed), 0.0 if _is_exact(changed) else 1 / (_RESAMPLES + 1))
    if differences.mean() >= -tolerance:
        return Chance(1.0, least)
    return Chance(max(_bootstrapped(differences, tolerance, seed), _flipped(changed, seed)), least)


def level_of(chances: Sequence[Chance], alpha: float = ALPHA) -> float:
    """The p-value from which on, or below, a fall is no chance: all falls together are chance in `alpha` of the gates.

    Tarone (1990): Bonferroni's division, but only by the number of measures that could fail at all, so that measures
    in which the two runs do not differ, or differ in three cases, cost the others nothing.
    """
    for divisor in range(1, len(chances) + 1):
        if sum(chance.least <= alpha / divisor for chance in chances) <= divisor:
            return alpha / divisor
    return alpha / max(1, len(chances))


def least_cases(alpha: float = ALPHA) -> int:
    """Of how many cases all must fall for one measure to fail at `alpha`."""
    return int(np.ceil(-np.log2(alpha)))


def _bootstrapped(differences: NDArray[np.float64], tolerance: float, seed: int) -> float:
    """Share of the resampled means that are not below `-tolerance`."""
    n = len(differences)
    random = np.random.default_rng(seed)
    kept = 0
    for _ in range(_RESAMPLES // _AT_ONCE):
        drawn = random.integers(0, n, (_AT_ONCE, n))
        kept += int((differences[drawn].mean(axis=1) >= -tolerance).sum())
    return (kept + 1) / (_RESAMPLES + 1)


def _flipped(changed: NDArray[np.float64], seed: int) -> float:
    """Share of all choices of signs under which the sum is as low as it is, or lower."""
    n = len(changed)
    if _all_alike(changed):
        lost = int((changed < 0).sum())
        return sum(comb(n, count) for count in range(lost, n + 1)) / 2.0**n
    observed = float(changed.sum()) + 1e-9
    sizes = np.abs(changed)
    if n <= _EXACT:
        return float((_signs(n) @ sizes <= observed).mean())
    random = np.random.default_rng(seed)
    as_low = 0
    for _ in range(_RESAMPLES // _AT_ONCE):
        signs = random.integers(0, 2, (_AT_ONCE, n)) * 2 - 1
        as_low += int((signs @ sizes <= observed).sum())
    return (as_low + 1) / (_RESAMPLES + 1)


def _is_exact(changed: NDArray[np.float64]) -> bool:
    return _all_alike(changed) or len(changed) <= _EXACT


def _all_alike(changed: NDArray[np.float64]) -> bool:
    sizes = np.abs(changed)
    return bool(np.allclose(sizes, sizes[0]))


@lru_cache(maxsize=_EXACT + 1)
def _signs(n: int) -> NDArray[np.float64]:
    """All choices of `n` signs, `(2 ** n, n)`."""
    bits = (np.arange(2**n)[:, np.newaxis] >> np.arange(n)) & 1
    return (bits * 2 - 1).astype(np.float64)
