"""How relevant each passage that was read is, and the result as a whole. `relevance` has the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ingestion.corpus.corpus import CorpusView
from ingestion.corpus.records import IndexedChunk
from service.retrieval.candidates import Candidates
from service.retrieval.relevance import (
    POOL,
    Evidence,
    Thresholds,
    calibration_for,
    judge,
    never_rising,
    observe,
    score_passages,
    weigh_terms,
)
from service.retrieval.results import Relevance
from service.retrieval.understanding import Understood


@dataclass(frozen=True, slots=True)
class Judged:
    """The calibrated score of each passage, in the order of the passages, and the relevance of the whole.

    `weights` has a weight per term of the query that sum to 1; `evidence` is what each score stands on, `raw_scores`
    are the scores before neighbours out of order shared their mean, and `signals` what the relevance was computed from.
    """

    scores: Sequence[float]
    relevance: Relevance
    weights: dict[str, float]
    evidence: Sequence[Evidence]
    raw_scores: Sequence[float]
    signals: Mapping[str, float]


def assess(
    corpus: CorpusView,
    text: str,
    understood: Understood,
    candidates: Candidates,
    found: Sequence[IndexedChunk],
    thresholds: Thresholds,
) -> Judged:
    """Scores of the passages in `found`, best first, that never rise from one to the next."""
    terms = understood.terms
    whole = text.strip().casefold()
    literal = candidates.exact if any(needle.strip().casefold() == whole for needle in understood.needles) else ()
    evidence = [
        Evidence(
            passage.document.key,
            candidates.dense.get(passage.id),
            candidates.sparse.get(passage.id),
            terms.matched(passage.document.title, *passage.chunk.heading_path, passage.chunk.text),
            literal=passage.id in literal,
        )
        for passage in found
    ]
    weights = weigh_terms(terms.terms, evidence[:POOL])
    calibration = calibration_for(
        corpus.embedder.name, dense=bool(candidates.dense), sparse=understood.sparse is not None
    )
    raw_scores = score_passages(evidence, weights, calibration.passage)
    scores = never_rising(raw_scores)
    ranked = [(passage.document.key, score) for passage, score in zip(found, scores, strict=True)]
    observed = observe(evidence[:POOL], weights)
    relevance = judge(observed, ranked, calibration.query, thresholds)
    return Judged(scores, relevance, weights, evidence, raw_scores, observed.values())
