"""How relevant a passage is, and whether the corpus holds anything about the query at all.

Both are probabilities, by logistic models over signals that every search has anyway; no language model.

    score       that the passage's document is relevant
    confidence  that a relevant document is among the first ten passages

`python -m benchmarks.relevance` fits and checks them and writes `coefficients`; docs/quality/relevance.md has the
figures and says of which mixture of queries they are probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from ingestion.corpus.records import DocumentKey
from service.retrieval.calibration import Calibration, Logistic
from service.retrieval.coefficients import ANY_EMBEDDER, ANY_EMBEDDER_ALONE, GRANITE, GRANITE_ALONE, LEXICAL
from service.retrieval.results import Relevance, RelevanceLabel, RelevanceSignals

POOL = 10
"""Passages, best first, that the signals are computed from."""
_BEST = 3
_RIVALS = 4
"""Further documents that the best one is compared with."""

_MODEL = "ibm-granite/granite-embedding-30m-english"


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

    top_dense      the best cosine, 0 if the dense leg did not run
    dense_lead     how far the best document's cosine is above the mean of the next four documents'
    sparse_lead    the same for BM25, as a share of the best, in [0, 1]
    best_coverage  weighted share of the query's terms in the best of the first three passages
    coverage       the same over the three together
    agree          whether both legs rank one document first
    literal        whether one of the first three contains the whole query as it was written: then nothing is
                   missing, and it matters not how many others contain it
    """

    top_dense: float = 0.0
    dense_lead: float = 0.0
    sparse_lead: float = 0.0
    best_coverage: float = 0.0
    coverage: float = 0.0
    agree: bool = False
    literal: bool = False

    def values(self) -> dict[str, float]:
        """The signals by name, for a model."""
        return {field.name: float(getattr(self, field.name)) for field in fields(self)}


def calibration_for(embedder: str, *, dense: bool, sparse: bool = True) -> Calibration:
    """The calibration for an embedder's name (`model@revision`) and the legs that ran.

    Cosines of unknown models are compared among themselves only.
    """
    if not dense:
        return LEXICAL
    if embedder.partition("@")[0] == _MODEL:
        return GRANITE if sparse else GRANITE_ALONE
    return ANY_EMBEDDER if sparse else ANY_EMBEDDER_ALONE


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
    dense, sparse = _by_document(pool)
    top = max(dense.values())
    return Observations(
        top_dense=top,
        dense_lead=top - _rivals(dense, min(dense.values())),
        sparse_lead=1.0 if literal else 1 - _rivals(sparse, 0.0),
        best_coverage=1.0 if literal else max(coverage_of(evidence.matched, weights) for evidence in best),
        coverage=1.0 if literal else coverage_of(together, weights),
        agree=_legs_agree(pool),
        literal=literal,
    )


def _by_document(pool: Sequence[Evidence]) -> tuple[dict[DocumentKey, float], dict[DocumentKey, float]]:
    """Of each document the best cosine, and the best BM25 as a share of the best of all (1 where there is none).

    A passage that the dense leg did not return counts as the worst that it did: it is no better than that.
    """
    floor = min((evidence.dense for evidence in pool if evidence.dense is not None), default=0.0)
    best = max((evidence.sparse for evidence in pool if evidence.sparse is not None), default=0.0)
    dense: dict[DocumentKey, float] = {}
    sparse: dict[DocumentKey, float] = {}
    for evidence in pool:
        cosine = floor if evidence.dense is None else evidence.dense
        share = (evidence.sparse or 0.0) / best if best > 0 else 1.0
        dense[evidence.document] = max(dense.get(evidence.document, cosine), cosine)
        sparse[evidence.document] = max(sparse.get(evidence.document, share), share)
    return dense, sparse


def _rivals(by_document: Mapping[DocumentKey, float], alone: float) -> float:
    """The mean over the documents that come next to the best one; `alone` where there is no other."""
    rivals = sorted(by_document.values(), reverse=True)[1 : 1 + _RIVALS]
    return math.fsum(rivals) / len(rivals) if rivals else alone


def _legs_agree(pool: Sequence[Evidence]) -> bool:
    dense = max((e for e in pool if e.dense is not None), key=lambda e: e.dense or 0.0, default=None)
    sparse = max((e for e in pool if e.sparse is not None), key=lambda e: e.sparse or 0.0, default=None)
    return dense is not None and sparse is not None and dense.document == sparse.document


def passage_signals(passages: Sequence[Evidence], weights: Mapping[str, float]) -> list[dict[str, float]]:
    """The signals of each passage, in input order. What it is compared with are the documents of the first POOL.

    dense        its cosine
    coverage     weighted share of the query's terms in it
    dense_lead   how far the best cosine of its document is above that of any other document
    sparse_lead  how far its BM25 is above that of any other document, as a share of the best
    """
    pool = passages[:POOL]
    floor = min((evidence.dense for evidence in pool if evidence.dense is not None), default=0.0)
    best = max((evidence.sparse for evidence in pool if evidence.sparse is not None), default=0.0)
    dense, sparse = _by_document(pool)
    signals = []
    for evidence in passages:
        cosine = floor if evidence.dense is None else evidence.dense
        share = (evidence.sparse or 0.0) / best if best > 0 else 1.0
        own = max(dense.get(evidence.document, cosine), cosine)
        signals.append(
            {
                "dense": cosine,
                "coverage": 1.0 if evidence.literal else coverage_of(evidence.matched, weights),
                "dense_lead": own - _best_other(dense, evidence.document, floor),
                "sparse_lead": 1.0 if evidence.literal else share - _best_other(sparse, evidence.document, 0.0),
            }
        )
    return signals


def _best_other(by_document: Mapping[DocumentKey, float], document: DocumentKey, alone: float) -> float:
    return max((value for other, value in by_document.items() if other != document), default=alone)


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
