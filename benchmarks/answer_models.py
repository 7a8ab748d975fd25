"""Fits the models of service/generation/extracting/answerability.py from the samples of benchmarks.answerability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.answerability import Found, is_good
from benchmarks.calibration import Vector, auroc, predict
from benchmarks.calibration import fit as fit_logistic
from service.generation.extracting.answerability import ANSWERS, BY_MEANING, BY_WORDS, HOPELESS, STRETCH, WORDS_ONLY
from service.generation.extracting.fallback import Ranked
from service.retrieval.results import RelevanceLabel

DEVELOPMENT, OTHER = "development", "clapnq"
CLAPNQ_STRETCH, CLAPNQ_ANSWER = 0.2, 0.1
"""What one question of clapnq counts against one of the development set: there are more of them, and of one kind."""
FOLDS = 10
SEEDS = 5
MOST_LOST = 0.01
"""Share of the answerable questions that the refusal before a model may cost."""

Samples = Mapping[str, Sequence[tuple[Found, Ranked]]]


def fit(samples: Samples) -> None:
    """Print coefficients and cross-validated quality of all four models."""
    for name, model in (("STRETCH", STRETCH), ("WORDS_ONLY", WORDS_ONLY)):
        _fit_stretches(name, tuple(model), samples)
    for name, logistic in (("BY_MEANING", BY_MEANING), ("BY_WORDS", BY_WORDS)):
        _fit_answers(name, tuple(logistic.weights), samples)


def _fit_stretches(name: str, signals: Sequence[str], samples: Samples) -> None:
    groups: list[tuple[Vector, NDArray[np.bool_]]] = []
    counts: list[float] = []
    development = 0
    for collection in (DEVELOPMENT, OTHER):
        for found, ranked in samples[collection]:
            good = np.array([is_good(found, candidate) for candidate in ranked.candidates])
            if found.question.answerable and good.any():
                groups.append((np.array([[stretch[s] for s in signals] for stretch in ranked.stretches]), good))
                counts.append(1.0 if collection == DEVELOPMENT else CLAPNQ_STRETCH)
                development += collection == DEVELOPMENT
    ranks = np.zeros(len(groups), int)
    order = np.random.default_rng(0).permutation(len(groups))
    for fold in range(FOLDS):
        held = order[fold::FOLDS]
        kept = np.setdiff1d(order, held)
        beta = _conditional([groups[at] for at in kept], [counts[at] for at in kept])
        ranks[held] = [_rank(groups[at][0], groups[at][1], beta) for at in held]
    for collection, part in ((DEVELOPMENT, ranks[:development]), (OTHER, ranks[development:])):
        shares = ", ".join(f"{(part < k).mean():.2f} in the first {k}" for k in (1, 2, 4))
        print(f"\n{name}, held out, {collection}: a right stretch is {shares} of {len(part)}")
    print(name, {s: round(float(b), 2) for s, b in zip(signals, _conditional(groups, counts), strict=True)})


def _conditional(
    groups: Sequence[tuple[Vector, NDArray[np.bool_]]], counts: Sequence[float], ridge: float = 2.0, steps: int = 300
) -> Vector:
    """Weights that maximise the log-likelihood that a softmax over a question's stretches gives a right one."""
    scale = np.concatenate([features for features, _ in groups]).std(0) + 1e-9
    beta = np.zeros(len(scale))
    for _ in range(steps):
        gradient = -ridge * beta
        for (features, good), count in zip(groups, counts, strict=True):
            scaled = features / scale
            z = scaled @ beta
            p = np.exp(z - z.max())
            p /= p.sum()
            right = p * good / ((p * good).sum() + 1e-12)
            gradient += count * (scaled.T @ (right - p))
        beta += 0.5 * gradient / sum(counts)
    return np.asarray(beta / scale)


def _rank(features: Vector, good: NDArray[np.bool_], beta: Vector) -> int:
    scores = features @ beta
    return int((scores > scores[good].max()).sum())


def _fit_answers(name: str, signals: Sequence[str], samples: Samples) -> None:
    features, truth, counts, development, passed = [], [], [], [], []
    for collection in (DEVELOPMENT, OTHER):
        for found, ranked in samples[collection]:
            # What is called irrelevant never gets here in the service, so the model learns from the rest.
            passed.append(found.relevance.label is not RelevanceLabel.NONE)
            features.append([ranked.signals[signal] for signal in signals])
            truth.append(float(found.question.answerable))
            counts.append(1.0 if collection == DEVELOPMENT else CLAPNQ_ANSWER)
            development.append(collection == DEVELOPMENT)
    x, y, w = np.array(features), np.array(truth), np.array(counts)
    here, open_ = np.array(development), np.array(passed)
    alone = ~here
    apart = np.mean([_held_out(x[alone], y[alone], w[alone], seed) for seed in range(SEEDS)], axis=0)
    _print_refusal(f"{name}, fitted on {OTHER} alone, held out by question", y[alone], apart, open_[alone])
    runs = [_held_out(x[open_], y[open_], w[open_], seed) for seed in range(SEEDS)]
    p = np.zeros(len(y))
    p[open_] = np.mean(runs, axis=0)
    for collection, part in ((DEVELOPMENT, here), (OTHER, ~here)):
        _print_refusal(f"{name}, held out, {collection}", y[part], p[part], open_[part])
    _print_hopeless(name, y, p, here, open_)
    beta = fit_logistic(x[open_], y[open_], w[open_])
    weights = {s: round(float(b), 2) for s, b in zip(signals, beta[1:], strict=True)}
    print(f"{name} = Logistic({beta[0]:.2f}, {weights})")


def _held_out(x: Vector, y: Vector, w: Vector, seed: int) -> Vector:
    p = np.zeros(len(y))
    order = np.random.default_rng(seed).permutation(len(y))
    for fold in range(FOLDS):
        held = order[fold::FOLDS]
        kept = np.setdiff1d(order, held)
        p[held] = predict(x[held], fit_logistic(x[kept], y[kept], w[kept]))
    return p


def _print_refusal(title: str, y: Vector, p: Vector, open_: NDArray[np.bool_]) -> None:
    print(f"\n{title}: AUROC {auroc(y, p):.3f}, of what retrieval lets pass {auroc(y[open_], p[open_]):.3f}")
    for threshold in sorted({0.3, 0.4, 0.5, 0.6, 0.7, ANSWERS}):
        refused = p < threshold
        precision = float((y[refused] == 0).mean()) if refused.any() else float("nan")
        recall = float(refused[y == 0].mean())
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        print(
            f"  at {threshold:.2f}: answers {(~refused)[y == 1].mean():.2f} of the answerable; refusal precision "
            f"{precision:.2f}, recall {recall:.2f}, F1 {f1:.3f}"
        )


def _print_hopeless(name: str, y: Vector, p: Vector, here: NDArray[np.bool_], open_: NDArray[np.bool_]) -> None:
    """What asking no model below a bound would cost and save, of the questions that retrieval lets pass."""
    exact = float(np.sort(p[open_ & (y == 1)])[int(MOST_LOST * (open_ & (y == 1)).sum())])
    print(f"\n{name}: below {exact:.3f}, held out, lies {MOST_LOST:.0%} of the answerable")
    for bound in sorted({0.05, 0.10, exact, HOPELESS, 0.20}):
        low = p < bound
        shares = ", ".join(
            f"{collection}: {low[part & open_ & (y == 1)].mean():.3f} of the answerable lost, "
            f"{low[part & open_ & (y == 0)].mean():.2f} of the others saved"
            for collection, part in ((DEVELOPMENT, here), (OTHER, ~here))
        )
        print(f"  at {bound:.3f}: {shares}; both {low[open_ & (y == 1)].mean():.3f} lost")
