"""How relevant a passage is, and whether the corpus holds anything about the query at all.

Both are logistic models over signals that every search has anyway; no language model. They were fitted and
are checked by `python -m benchmarks.relevance`, which prints the coefficients below; docs/quality/relevance.md has
the figures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from ingestion.corpus.records import DocumentKey
from service.retrieval.results import Relevance, RelevanceLabel, RelevanceSignals

POOL = 10
"""Passages, best first, that the signals are computed from."""
_BEST = 3


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one search knows about one passage.

    `matched`: the query's terms that it contains. `literal`: it contains the whole query as it was written.
    """

    document: DocumentKey
    dense: float | None
    sparse: float | None
    matched: frozenset[str]
    literal: bool = False


@dataclass(frozen=True, slots=True)
class Observations:
    """The signals of one search.

    top_dense     the best cosine, 0 if the dense leg did not run
    dense_margin  its distance to the best cosine of another document
    dense_drop    its distance to the worst cosine of the pool
    best_coverage weighted share of the query's terms in the best of the first three passages
    coverage      the same over the three together
    agree         whether both legs rank one document first
    literal       whether one of the first three contains the whole query as it was written
    """

    top_dense: float = 0.0
    dense_margin: float = 0.0
    dense_drop: float = 0.0
    best_coverage: float = 0.0
    coverage: float = 0.0
    agree: bool = False
    literal: bool = False

    def values(self) -> dict[str, float]:
        """The signals by name, for a model."""
        return {field.name: float(getattr(self, field.name)) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class Logistic:
    """`1 / (1 + exp(-(intercept + sum of weight x signal)))`."""

    intercept: float
    weights: Mapping[str, float]

    def __call__(self, signals: Mapping[str, float]) -> float:
        logit = self.intercept + sum(weight * signals[name] for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))


@dataclass(frozen=True, slots=True)
class Calibration:
    """The models of one vector space: `passage` gives `score`, `query` gives `confidence`."""

    passage: Logistic
    query: Logistic


# Fitted on runbooks_openshift, runbooks_kubeprom, xquad_en, clapnq and scifact.
GRANITE = Calibration(
    passage=Logistic(-17.61, {"dense": 19.79, "coverage": 3.85}),
    query=Logistic(-10.29, {"top_dense": 12.42, "dense_margin": 8.53, "best_coverage": 2.54, "agree": 0.19}),
)
ANY_EMBEDDER = Calibration(
    passage=Logistic(-5.57, {"above_pool": 20.95, "coverage": 4.73}),
    query=Logistic(-3.31, {"dense_drop": 9.59, "dense_margin": 8.76, "best_coverage": 4.02, "agree": 0.43}),
)
LEXICAL = Calibration(
    passage=Logistic(-4.90, {"coverage": 7.41}),
    query=Logistic(-2.72, {"best_coverage": 6.73}),
)

_BY_MODEL: Mapping[str, Calibration] = {"ibm-granite/granite-embedding-30m-english": GRANITE}


def calibration_for(embedder: str, *, dense: bool) -> Calibration:
    """The calibration for an embedder's name (`model@revision`); cosines of unknown models are compared
    among themselves only. `dense=False`: the search had no dense leg."""
    if not dense:
        return LEXICAL
    return _BY_MODEL.get(embedder.partition("@")[0], ANY_EMBEDDER)


def weigh_terms(terms: frozenset[str], pool: Sequence[Evidence]) -> dict[str, float]:
    """A weight per query term, the rarer in the pool the larger, that sum to 1.

    Half of a weight is BM25's IDF with the pool for a corpus: a term that no candidate has weighs most. The other
    half is equal for all terms, since in a good result every passage holds the telling ones.
    """
    n = len(pool)
    rarity = {}
    for term in sorted(terms):
        df = sum(term in evidence.matched for evidence in pool)
        rarity[term] = math.log(1 + (n - df + 0.5) / (df + 0.5))
    total = sum(rarity.values()) or 1.0
    return {term: 0.5 * value / total + 0.5 / len(terms) for term, value in rarity.items()}


def coverage_of(matched: frozenset[str], weights: Mapping[str, float]) -> float:
    """The weighted share of the query's terms among `matched`, in [0, 1]."""
    return min(1.0, sum(weights[term] for term in sorted(matched)))


def observe(pool: Sequence[Evidence], weights: Mapping[str, float]) -> Observations:
    """The signals of a search from its first passages, best first."""
    if not pool:
        return Observations()
    best = pool[:_BEST]
    together = frozenset().union(*(evidence.matched for evidence in best))
    literal = any(evidence.literal for evidence in best)
    top, margin, drop = _dense_signals(pool)
    return Observations(
        top_dense=top,
        dense_margin=margin,
        dense_drop=drop,
        best_coverage=1.0 if literal else max(coverage_of(evidence.matched, weights) for evidence in best),
        coverage=1.0 if literal else coverage_of(together, weights),
        agree=_legs_agree(pool),
        literal=literal,
    )


def _dense_signals(pool: Sequence[Evidence]) -> tuple[float, float, float]:
    known = sorted(((e.dense, e.document) for e in pool if e.dense is not None), reverse=True)
    if not known:
        return 0.0, 0.0, 0.0
    top, document = known[0]
    worst = known[-1][0]
    second = next((dense for dense, other in known if other != document), worst)
    return top, top - second, top - worst


def _legs_agree(pool: Sequence[Evidence]) -> bool:
    dense = max((e for e in pool if e.dense is not None), key=lambda e: e.dense or 0.0, default=None)
    sparse = max((e for e in pool if e.sparse is not None), key=lambda e: e.sparse or 0.0, default=None)
    return dense is not None and sparse is not None and dense.document == sparse.document


def passage_signals(passages: Sequence[Evidence], weights: Mapping[str, float]) -> list[dict[str, float]]:
    """The signals of each passage, in input order.

    A passage that the dense leg did not return counts as the worst that it did: it is no better than that.
    """
    floor = min((evidence.dense for evidence in passages if evidence.dense is not None), default=0.0)
    signals = []
    for evidence in passages:
        dense = floor if evidence.dense is None else evidence.dense
        coverage = 1.0 if evidence.literal else coverage_of(evidence.matched, weights)
        signals.append({"dense": dense, "above_pool": dense - floor, "coverage": coverage})
    return signals


def score_passages(passages: Sequence[Evidence], weights: Mapping[str, float], model: Logistic) -> list[float]:
    """The calibrated score of each passage, in input order."""
    scores = []
    for evidence, signals in zip(passages, passage_signals(passages, weights), strict=True):
        score = model(signals)
        scores.append(max(score, LEXICAL.passage(signals)) if evidence.literal else score)
    return scores


def never_rising(scores: Sequence[float]) -> list[float]:
    """The non-increasing sequence nearest to `scores` in least squares (pool adjacent violators; Ayer et al. 1955).

    The order of passages comes from fusion, their scores from the calibration: where the two disagree, neighbours
    share their mean, which keeps it calibrated over them.
    """
    blocks: list[tuple[float, int]] = []
    for score in scores:
        mean, size = score, 1
        while blocks and blocks[-1][0] < mean:
            before, count = blocks.pop()
            mean = (before * count + mean * size) / (count + size)
            size += count
        blocks.append((mean, size))
    return [mean for mean, size in blocks for _ in range(size)]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Confidence from which relevance is `strong`, and below which it is `none`."""

    strong: float
    weak: float

    def label(self, confidence: float) -> RelevanceLabel:
        if confidence >= self.strong:
            return RelevanceLabel.STRONG
        return RelevanceLabel.WEAK if confidence >= self.weak else RelevanceLabel.NONE


NOTHING = Relevance(RelevanceLabel.NONE, 0.0)


def judge(
    observed: Observations, documents: Sequence[tuple[DocumentKey, float]], model: Logistic, thresholds: Thresholds
) -> Relevance:
    """The relevance of a whole result. `documents`: each passage's document and score, best first."""
    if not documents:
        return NOTHING
    values = observed.values()
    confidence = model(values)
    if observed.literal:
        # What was asked for stands there word for word: a short code may mean nothing to an embedder.
        confidence = max(confidence, LEXICAL.query(values))
    first, top_score = documents[0]
    second = next((score for document, score in documents if document != first), 0.0)
    signals = RelevanceSignals(top_score, top_score - second, observed.coverage, observed.agree)
    return Relevance(thresholds.label(confidence), confidence, signals)
