"""Logistic regression and its quality for benchmarks.relevance, in numpy alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from benchmarks.relevance import Sample

Vector = NDArray[np.float64]
KIND_WEIGHTS = {"covered": 1.0, "uncovered": 0.6, "off-topic": 0.6}
"""What one query counts: the kinds are of unequal number, and nearly half of all questions may find nothing."""
TARGETS = {"covered": 1.0, "uncovered": 0.35, "off-topic": 0.0}
"""What the model aims at. The right subject without an answer lies between: weak, so that an answer is tried and
its sentences are checked, while what is off topic is refused at once."""
STRONG, WEAK = 0.6, 0.18


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


def auroc(truth: Vector, scores: Vector) -> float:
    """Chance that a random positive scores above a random negative; ties count half."""
    positives, negatives = scores[truth == 1], scores[truth == 0]
    if not len(positives) or not len(negatives):
        return float("nan")
    order = np.sort(negatives)
    wins = np.searchsorted(order, positives, "left") + np.searchsorted(order, positives, "right")
    return float(wins.mean() / 2 / len(negatives))


def calibration_error(truth: Vector, p: Vector, bins: int = 10) -> float:
    """Expected calibration error over equally wide bins."""
    which = np.minimum((p * bins).astype(int), bins - 1)
    gaps = [abs(truth[which == b].mean() - p[which == b].mean()) * (which == b).mean() for b in set(which.tolist())]
    return float(sum(gaps))


def fit_queries(name: str, signals: Sequence[str], samples: Sequence[Sample]) -> None:
    """Print the quality on each collection held out, and the coefficients fitted on all."""
    features = np.array([[sample.observed.values()[signal] for signal in signals] for sample in samples])
    kinds = np.array([sample.kind for sample in samples])
    truth = np.array([TARGETS[kind] for kind in kinds])
    weights = np.array([KIND_WEIGHTS[kind] for kind in kinds])
    groups = np.array([sample.collection for sample in samples])

    print(f"\nquery model {name}: each collection by a model of the others")
    print(f"{'':20}{'AUROC':>18}{'covered':>24}{'uncovered':>24}{'off-topic':>24}")
    print(f"{'':20}{'off-topic':>9}{'uncov.':>9}" + f"{'strong':>8}{'weak':>8}{'none':>8}" * 3)

    def row(group: str, p: Vector, here: NDArray[np.bool_]) -> None:
        kind, true = kinds[here], truth[here]
        true = (true == 1).astype(float)
        off = auroc(true[kind != "uncovered"], p[kind != "uncovered"])
        uncovered = auroc(true[kind != "off-topic"], p[kind != "off-topic"])
        shares = ""
        for name_ in KIND_WEIGHTS:
            of_kind = p[kind == name_]
            strong, none = float((of_kind >= STRONG).mean()), float((of_kind < WEAK).mean())
            shares += f"{strong:8.2f}{1 - strong - none:8.2f}{none:8.2f}"
        print(f"{group:20}{off:9.3f}{uncovered:9.3f}{shares}")

    _hold_out(groups, lambda train: fit(features[train], truth[train], weights[train]), features, row)
    beta = fit(features, truth, weights)
    print(f"{name}.query = {_literal(signals, beta)}")


def fit_passages(name: str, signals: Sequence[str], samples: Sequence[Sample]) -> None:
    """The same for single passages of covered and off-topic queries."""
    rows = [
        (sample.collection, seen, relevant)
        for sample in samples
        if sample.kind != "uncovered"
        for seen, relevant in sample.passages
    ]
    features = np.array([[seen[signal] for signal in signals] for _, seen, _ in rows])
    truth = np.array([float(relevant) for *_, relevant in rows])
    groups = np.array([group for group, *_ in rows])
    ones = np.ones(len(rows))

    print(f"\npassage model {name}: each collection by a model of the others")

    def row(group: str, p: Vector, here: NDArray[np.bool_]) -> None:
        print(
            f"{group:20} AUROC {auroc(truth[here], p):.3f}  calibration error {calibration_error(truth[here], p):.3f}"
        )

    _hold_out(groups, lambda train: fit(features[train], truth[train], ones[train]), features, row)
    print(f"{name}.passage = {_literal(signals, fit(features, truth, ones))}")


def _hold_out(
    groups: NDArray[np.str_],
    train: Callable[[NDArray[np.bool_]], Vector],
    features: Vector,
    row: Callable[[str, Vector, NDArray[np.bool_]], None],
) -> None:
    for group in sorted(set(groups.tolist())):
        here = groups == group
        row(group, predict(features[here], train(~here)), here)


def _literal(signals: Sequence[str], beta: Vector) -> str:
    weights = ", ".join(f'"{signal}": {weight:.2f}' for signal, weight in zip(signals, beta[1:], strict=True))
    return f"Logistic({beta[0]:.2f}, {{{weights}}})"
