"""Logistic regression, held-out probabilities and how good they are, for benchmarks.relevance; numpy alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Mask = NDArray[np.bool_]
Strings = NDArray[np.str_]
BINS = 10
FOLDS = 5
RESAMPLES = 400


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin of a reliability plot: its share of all, the mean probability in it, and how often it came true."""

    share: float
    predicted: float
    true: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def fit(features: Vector, truth: Vector, weights: Vector) -> Vector:
    """Intercept and coefficients by Newton's method with a slight ridge, on the given scale."""
    mean, scale = features.mean(0), features.std(0) + 1e-9
    design = np.column_stack([np.ones(len(features)), (features - mean) / scale])
    ridge = np.diag([0.0, *[1.0] * features.shape[1]])
    beta = np.zeros(design.shape[1])
    for _ in range(60):
        p = 1 / (1 + np.exp(-design @ beta))
        curvature = (design * (weights * p * (1 - p))[:, None]).T @ design + ridge
        beta += np.linalg.solve(curvature, design.T @ (weights * (truth - p)) - ridge @ beta)
    slopes = beta[1:] / scale
    return np.concatenate([[beta[0] - slopes @ mean], slopes])


def predict(features: Vector, beta: Vector) -> Vector:
    return np.asarray(1 / (1 + np.exp(-(beta[0] + features @ beta[1:]))))


def hold_out(features: Vector, truth: Vector, weights: Vector, groups: Strings) -> Vector:
    """Each row's probability by a model that was fitted on the other groups."""
    p = np.zeros(len(truth))
    for group in sorted(set(groups.tolist())):
        here = groups == group
        p[here] = predict(features[here], fit(features[~here], truth[~here], weights[~here]))
    return p


def folds_of(queries: Sequence[str], seed: int = 0) -> Strings:
    """A fold per query; the same text, whatever was asked of it, is in one fold."""
    texts = sorted(set(queries))
    order = np.random.default_rng(seed).permutation(len(texts))
    fold = {texts[at]: str(place % FOLDS) for place, at in enumerate(order)}
    return np.array([fold[text] for text in queries])


def auroc(truth: Vector, scores: Vector) -> float:
    """Chance that a random positive scores above a random negative; ties count half."""
    positives, negatives = scores[truth == 1], scores[truth == 0]
    if not len(positives) or not len(negatives):
        return float("nan")
    order = np.sort(negatives)
    wins = np.searchsorted(order, positives, "left") + np.searchsorted(order, positives, "right")
    return float(wins.mean() / 2 / len(negatives))


def reliability(truth: Vector, p: Vector, weights: Vector, *, equal_mass: bool = False) -> list[Bin]:
    """The bins of a reliability plot: equally wide, or with equal shares of the weight."""
    if equal_mass:
        order = np.argsort(p, kind="stable")
        before = np.cumsum(weights[order]) / weights.sum()
        which = np.empty(len(p), int)
        which[order] = np.minimum((before * BINS - 1e-9).astype(int), BINS - 1)
    else:
        which = np.minimum((p * BINS).astype(int), BINS - 1)
    return list(_bins(which, truth, p, weights))


def _bins(which: NDArray[np.int_], truth: Vector, p: Vector, weights: Vector) -> Iterator[Bin]:
    for number in sorted(set(which.tolist())):
        here = which == number
        total = weights[here].sum()
        if total > 0:
            yield Bin(
                float(total / weights.sum()),
                float((weights[here] * p[here]).sum() / total),
                float((weights[here] * truth[here]).sum() / total),
            )


def calibration_error(truth: Vector, p: Vector, weights: Vector, *, equal_mass: bool = False) -> float:
    """Expected calibration error (Naeini et al. 2015): the mean gap between probability and frequency over the bins."""
    bins = reliability(truth, p, weights, equal_mass=equal_mass)
    return sum(bin_.share * abs(bin_.predicted - bin_.true) for bin_ in bins)


def interval(measure: Callable[[Vector], float], clusters: Sequence[str], weights: Vector, seed: int = 0) -> Interval:
    """A figure over weighted rows, with the interval that resampling whole clusters (queries) gives.

    `measure` takes the weights of the rows.
    """
    names, which = np.unique(np.array(clusters), return_inverse=True)
    draw = np.random.default_rng(seed)
    values = []
    for _ in range(RESAMPLES):
        counts = np.bincount(draw.integers(len(names), size=len(names)), minlength=len(names))
        values.append(measure(weights * counts[which]))
    low, high = np.nanquantile(values, [0.025, 0.975])
    return Interval(measure(weights), float(low), float(high))


def share(part: Mask, whole: Mask, weights: Vector) -> float:
    """The weighted share of `whole` that is also in `part`."""
    total = weights[whole].sum()
    return float(weights[whole & part].sum() / total) if total > 0 else float("nan")
