"""How far a mean over queries can be trusted: percentile bootstrap (Efron and Tibshirani 1993), seeded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2_000
_LEVEL = 95.0
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over `n` queries, and the interval that holds it with 95 % confidence."""

    mean: float
    low: float
    high: float
    n: int


def estimate(values: NDArray[np.float64], seed: int) -> Estimate:
    """The mean of `values` with its interval; of differences query by query this is the paired bootstrap.

    The same values and seed give the same interval. Raises: ValueError if there are no values.
    """
    return estimates(values[:, np.newaxis], seed)[0]


def estimates(columns: NDArray[np.float64], seed: int) -> list[Estimate]:
    """One estimate per column of `(queries, measures)`, all from the same resamples. Raises: ValueError if empty."""
    n = len(columns)
    if n == 0:
        raise ValueError("no values to estimate from")
    random = np.random.default_rng(seed)
    means = np.empty((RESAMPLES, columns.shape[1]))
    for start in range(0, RESAMPLES, _AT_ONCE):
        size = min(_AT_ONCE, RESAMPLES - start)
        counts = np.stack([np.bincount(random.integers(0, n, n), minlength=n) for _ in range(size)])
        means[start : start + size] = counts @ columns / n
    low, high = np.percentile(means, [(100 - _LEVEL) / 2, (100 + _LEVEL) / 2], axis=0)
    centre = columns.mean(axis=0)
    return [Estimate(float(m), float(a), float(b), n) for m, a, b in zip(centre, low, high, strict=True)]
