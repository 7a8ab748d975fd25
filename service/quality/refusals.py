"""Whether "nothing relevant" is said where nothing is, and whether a stated probability comes true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.quality.bootstrap import RESAMPLES

BINS = 10


@dataclass(frozen=True, slots=True)
class Refusals:
    """Of `must` cases without an answer and `may_not` with one, `rightly` and `wrongly` were refused.

    `f1_low` to `f1_high` hold F1 with 95 % confidence (bootstrap over all cases).
    """

    must: int
    may_not: int
    rightly: int
    wrongly: int
    f1_low: float
    f1_high: float

    @property
    def precision(self) -> float:
        """Share of the refusals that were right; 0 if nothing was refused."""
        return self.rightly / max(1, self.rightly + self.wrongly)

    @property
    def recall(self) -> float:
        """Share of what must be refused that was; 0 if there is nothing."""
        return self.rightly / max(1, self.must)

    @property
    def f1(self) -> float:
        return _f1(self.rightly, self.wrongly, self.must - self.rightly)


@dataclass(frozen=True, slots=True)
class Bin:
    """Of `n` cases with a stated probability in one tenth of [0, 1]: the mean stated, and the share that came true."""

    n: int
    stated: float
    true: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """`error` is the expected calibration error: the mean distance of `stated` and `true`, weighted by cases."""

    error: float
    bins: tuple[Bin, ...]


def refusals(must: Sequence[bool], refused: Sequence[bool], seed: int) -> Refusals:
    """What became of cases that must be refused or must not, in the same order."""
    truth, said = np.array(must, dtype=bool), np.array(refused, dtype=bool)
    columns = np.stack([truth & said, ~truth & said, truth & ~said], axis=1).astype(np.float64)
    random = np.random.default_rng(seed)
    n = len(truth)
    drawn = (
        [_f1(*(np.bincount(random.integers(0, n, n), minlength=n) @ columns)) for _ in range(RESAMPLES)] if n else []
    )
    low, high = np.percentile(drawn, [2.5, 97.5]) if n else (0.0, 0.0)
    rightly, wrongly, _ = (int(count) for count in columns.sum(axis=0))
    return Refusals(int(truth.sum()), int((~truth).sum()), rightly, wrongly, float(low), float(high))


def reliability(stated: Sequence[float], true: Sequence[bool]) -> Reliability:
    """Equally wide bins (Naeini et al. 2015), those without cases left out.

    Raises: ValueError if there are no cases.
    """
    if not stated:
        raise ValueError("no cases to compare with")
    p: NDArray[np.float64] = np.array(stated, dtype=np.float64)
    came_true = np.array(true, dtype=np.float64)
    which = np.minimum((p * BINS).astype(int), BINS - 1)
    bins = tuple(
        Bin(int(here.sum()), float(p[here].mean()), float(came_true[here].mean()))
        for here in (which == number for number in range(BINS))
        if here.any()
    )
    return Reliability(sum(one.n * abs(one.stated - one.true) for one in bins) / len(p), bins)


def _f1(rightly: float, wrongly: float, missed: float) -> float:
    """Harmonic mean of precision and recall; 0 if nothing was rightly refused."""
    return float(2 * rightly / (2 * rightly + wrongly + missed)) if rightly else 0.0
