"""The fitted classifier: numbers about a sentence in, the probability that its passages support it out.

Half of it is a logistic regression, half gradient-boosted trees, both run here in numpy; they are fitted and written by
`python -m benchmarks.grounding --fit` (docs/quality/grounding.md is the model card).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Trees:
    """`(trees, nodes)` each: go `left` where the feature is at most the threshold; a leaf leads to itself."""

    feature: Integers
    threshold: Floats
    left: Integers
    right: Integers
    value: Floats
    depth: int

    @classmethod
    def of(cls, given: dict[str, Any]) -> Self:
        """The trees of a weights file."""
        return cls(
            np.array(given["feature"], dtype=np.int64),
            np.array(given["threshold"], dtype=np.float64),
            np.array(given["left"], dtype=np.int64),
            np.array(given["right"], dtype=np.int64),
            np.array(given["value"], dtype=np.float64),
            int(given["depth"]),
        )

    def total(self, numbers: Floats) -> float:
        """Sum of the leaves that one row of numbers falls into."""
        trees = np.arange(len(self.feature))
        node = np.zeros(len(trees), dtype=np.int64)
        for _ in range(self.depth):
            goes_left = numbers[self.feature[trees, node]] <= self.threshold[trees, node]
            node = np.where(goes_left, self.left[trees, node], self.right[trees, node])
        return float(self.value[trees, node].sum())


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Probabilities from which a sentence is called supported, and at least in part supported."""

    supported: float
    partial: float


@dataclass(frozen=True, slots=True)
class Weights:
    """One fitted classifier. `embedder` names the vector space of its word vectors; None: it reads words alone.

    `low` and `high` bound each feature to what was seen in fitting: beyond, a line would run on without reason.
    """

    version: str
    names: tuple[str, ...]
    embedder: str | None
    low: Floats
    high: Floats
    mean: Floats
    scale: Floats
    coefficients: Floats
    intercept: float
    base: float
    trees: Trees
    slope: float
    offset: float
    thresholds: Thresholds

    @classmethod
    def of(cls, given: dict[str, Any]) -> Self:
        """The weights of a file."""
        arrays = {
            name: np.array(given[name], dtype=np.float64) for name in ("low", "high", "mean", "scale", "coefficients")
        }
        return cls(
            version=given["version"],
            names=tuple(given["names"]),
            embedder=given["embedder"],
            intercept=given["intercept"],
            base=given["base"],
            trees=Trees.of(given["trees"]),
            slope=given["slope"],
            offset=given["offset"],
            thresholds=Thresholds(**given["thresholds"]),
            **arrays,
        )

    def supported(self, numbers: Sequence[float]) -> float:
        """The calibrated probability that the passages support the sentence."""
        row = np.clip(np.array(numbers, dtype=np.float64), self.low, self.high)
        line = float((row - self.mean) / self.scale @ self.coefficients) + self.intercept
        raised = self.base + self.trees.total(row)
        mixed = (_sigmoid(line) + _sigmoid(raised)) / 2
        return 1 - _sigmoid(self.slope * _logit(mixed) + self.offset)


def load_weights(name: str) -> Weights:
    """The packaged weights, `lexical` or `full`."""
    file = resources.files("service.generation.checking.entailment") / "weights" / f"{name}.json"
    return Weights.of(json.loads(file.read_text(encoding="utf-8")))


def _sigmoid(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


def _logit(probability: float) -> float:
    bounded = min(max(probability, 1e-6), 1 - 1e-6)
    return float(np.log(bounded / (1 - bounded)))
