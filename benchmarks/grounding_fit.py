"""Fits the classifier of service/generation/checking/entailment on four fifths of ragtruth_qa and writes its weights.

Choices (features, sizes of the trees, thresholds) are made by cross-validation over these four fifths alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.grounding_data import HELD_OUT, Response, folds
from ingestion.corpus.embedding import WordVectors
from service.generation.checking.entailment import entailment
from service.generation.checking.entailment.entailment import Entailment, EntailmentModel
from service.generation.checking.entailment.features import is_strange
from service.generation.checking.entailment.model import Weights
from service.generation.checking.entailment.words import without_passage_numbers
from service.generation.checking.evidence import Reader
from service.generation.checking.exactness import examine

VERSION = "plumbline-entailment@1"
FALSE_ALARMS = 0.1
"""Share of faithful sentences that may miss `supported` in cross-validation, what exact facts hold back included."""
UNSUPPORTED_PRECISION = 0.6
"""Share of the sentences called unsupported that must be so, in cross-validation."""
_SIZES: dict[str, Any] = {
    "max_iter": 150, "learning_rate": 0.05, "max_leaf_nodes": 15, "min_samples_leaf": 40, "l2_regularization": 5.0,
    "random_state": 0,
}  # fmt: skip
_STRENGTH = 0.1
_EDGE = 0.2
"""Percent of the sentences beyond which a feature is cut, at either end."""


@dataclass(frozen=True, slots=True)
class Table:
    """A row of numbers per sentence; `fold` of its question, `held` back by exact facts, `wrong` as marked."""

    numbers: NDArray[np.float64]
    fold: NDArray[np.int64]
    response: NDArray[np.int64]
    held: NDArray[np.bool_]
    wrong: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Fitted:
    """Cross-validated probability of being wrong, per row of the table; NaN in the held-out fifth."""

    weights: dict[str, Any]
    probability: NDArray[np.float64]


def tabulate(responses: Sequence[Response], embedder: WordVectors) -> Table:
    """The features of all sentences."""
    fold_of = folds(responses)
    model = EntailmentModel(_blank(embedder.name), embedder)
    rows: list[list[float]] = []
    facts: list[tuple[int, int, bool, bool]] = []
    numbered = sorted(enumerate(responses), key=lambda pair: (pair[1].source, pair[0]))
    for source, group in groupby(numbered, key=lambda pair: pair[1].source):
        reader = Reader()
        members = list(group)
        evidence = members[0][1].evidence(reader)
        classifier = Entailment(model, evidence)
        for at, response in members:
            for sentence in response.sentences:
                claim = reader.read(without_passage_numbers(sentence.text))
                windows = [window for each in evidence if (window := each.best_window(claim))]
                found = examine(claim, windows, evidence, response.question)
                rows.append(classifier.numbers(sentence.text, evidence, response.question, found))
                held = bool(found.missing) or found.contradicted or is_strange(rows[-1])
                facts.append((fold_of[source], at, held, bool(sentence.wrong)))
    fold, response_at, held_back, wrong = zip(*facts, strict=True)
    return Table(np.array(rows), np.array(fold), np.array(response_at), np.array(held_back), np.array(wrong))


def fit(table: Table, names: Sequence[str], embedder: str | None) -> Fitted:
    """Weights for the first `len(names)` columns of the table."""
    from sklearn.linear_model import LogisticRegression

    used = table.fold != HELD_OUT
    numbers = table.numbers[:, : len(names)]
    crossed = np.full(len(numbers), np.nan)
    for fold in sorted(set(table.fold[used].tolist())):
        inside, outside = used & (table.fold != fold), table.fold == fold
        crossed[outside] = _Half.of(numbers[inside], table.wrong[inside]).probability(numbers[outside])
    logits = _logit(crossed[used]).reshape(-1, 1)
    platt = LogisticRegression(C=1e6).fit(logits, table.wrong[used])
    slope, offset = float(platt.coef_[0, 0]), float(platt.intercept_[0])
    crossed[used] = _sigmoid(slope * logits[:, 0] + offset)
    halves = _Half.of(numbers[used], table.wrong[used])
    supported, partial = thresholds(crossed[used], table.wrong[used], table.held[used])
    weights = {
        "version": VERSION,
        "embedder": embedder,
        "names": list(names),
        **halves.exported(),
        "slope": slope,
        "offset": offset,
        "thresholds": {"supported": supported, "partial": partial},
    }
    return Fitted(weights, crossed)


def thresholds(
    wrong_probability: NDArray[np.float64], wrong: NDArray[np.bool_], held: NDArray[np.bool_]
) -> tuple[float, float]:
    """Probabilities of support from which a sentence is called supported, and partial."""
    likely = 1 - wrong_probability
    faithful = np.where(held, 0.0, likely)[~wrong]
    supported = float(np.floor(np.quantile(faithful, FALSE_ALARMS) * 100) / 100)
    for partial in np.arange(supported - 0.05, 0.05, -0.01):
        below = likely < partial
        if below.any() and wrong[below].mean() >= UNSUPPORTED_PRECISION:
            break
    return supported, round(float(partial), 2)


def write(fitted: Fitted, folder: Path, name: str) -> None:
    """The weights as JSON, five digits a number."""
    folder.mkdir(exist_ok=True)
    text = json.dumps(_rounded(fitted.weights), separators=(",", ":"))
    (folder / f"{name}.json").write_text(text.replace('],"', '],\n"') + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class _Half:
    """Both halves of the classifier, as scikit-learn fits them."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    scaler: Any
    line: Any
    trees: Any

    @classmethod
    def of(cls, numbers: NDArray[np.float64], wrong: NDArray[np.bool_]) -> _Half:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        low, high = np.percentile(numbers, [_EDGE, 100 - _EDGE], axis=0)
        cut = np.clip(numbers, low, high)
        scaler = StandardScaler().fit(cut)
        line = LogisticRegression(C=_STRENGTH, max_iter=1000).fit(scaler.transform(cut), wrong)
        return cls(low, high, scaler, line, HistGradientBoostingClassifier(**_SIZES).fit(cut, wrong))

    def probability(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        cut = np.clip(numbers, self.low, self.high)
        both = self.line.predict_proba(self.scaler.transform(cut)) + self.trees.predict_proba(cut)
        mean: NDArray[np.float64] = both[:, 1] / 2
        return mean

    def exported(self) -> dict[str, Any]:
        return {
            "low": self.low.tolist(),
            "high": self.high.tolist(),
            "mean": self.scaler.mean_.tolist(),
            "scale": self.scaler.scale_.tolist(),
            "coefficients": self.line.coef_[0].tolist(),
            "intercept": float(self.line.intercept_[0]),
            "base": float(np.ravel(self.trees._baseline_prediction)[0]),
            "trees": _trees([stage[0].nodes for stage in self.trees._predictors]),
        }


def _trees(all_nodes: Sequence[Any]) -> dict[str, Any]:
    """The trees as rectangles of numbers, short ones filled with empty leaves."""
    size = max(len(nodes) for nodes in all_nodes)
    made: dict[str, list[list[float]]] = {name: [] for name in ("feature", "threshold", "left", "right", "value")}
    for nodes in all_nodes:
        fill = [0] * (size - len(nodes))
        leaf = nodes["is_leaf"].astype(bool)
        own = np.arange(len(nodes))
        made["feature"].append([*np.where(leaf, 0, nodes["feature_idx"]).tolist(), *fill])
        made["threshold"].append([*np.where(leaf, 0.0, nodes["num_threshold"]).tolist(), *fill])
        made["left"].append([*np.where(leaf, own, nodes["left"]).tolist(), *fill])
        made["right"].append([*np.where(leaf, own, nodes["right"]).tolist(), *fill])
        made["value"].append([*np.where(leaf, nodes["value"], 0.0).tolist(), *fill])
    return {**made, "depth": int(max(nodes["depth"].max() for nodes in all_nodes))}


def _blank(embedder: str) -> Weights:
    """Weights that are never asked for a probability: the features are computed before there are any."""
    empty: dict[str, Any] = {key: [] for key in ("low", "high", "mean", "scale", "coefficients")}
    trees: dict[str, Any] = {key: [[]] for key in ("feature", "threshold", "left", "right", "value")}
    rest = {"intercept": 0, "base": 0, "slope": 1, "offset": 0, "thresholds": {"supported": 1, "partial": 1}}
    names = entailment.FULL_NAMES
    return Weights.of(
        {"version": VERSION, "embedder": embedder, "names": names, "trees": {**trees, "depth": 0}, **empty, **rest}
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return {key: _rounded(each) for key, each in value.items()} if isinstance(value, dict) else value


def _logit(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    bounded = np.clip(probability, 1e-6, 1 - 1e-6)
    logits: NDArray[np.float64] = np.log(bounded / (1 - bounded))
    return logits


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = 1 / (1 + np.exp(-values))
    return result
