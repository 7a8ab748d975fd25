"""A calibration: two logistic models that turn signals into probabilities. The coefficients are in `coefficients`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

_LARGEST = 30.0


@dataclass(frozen=True, slots=True)
class Logistic:
    """`1 / (1 + exp(-(intercept + sum of weight x signal)))`."""

    intercept: float
    weights: Mapping[str, float]

    def __call__(self, signals: Mapping[str, float]) -> float:
        logit = self.intercept + sum(weight * signals[name] for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-max(-_LARGEST, min(_LARGEST, logit))))


@dataclass(frozen=True, slots=True)
class Calibration:
    """The models of one kind of search: `passage` gives `score`, `query` gives `confidence`."""

    passage: Logistic
    query: Logistic
