"""Signals of relevance and grounding, counted for `/metrics` while a response is sent.

The same signals out of the ledger are left to `service.ledger.tallies`, drift of the scores to `drift`.
"""

from __future__ import annotations

from service.generation.answers import Answer, RetrievalEvent
from service.ledger.metrics import (
    CITATION_PRECISION,
    CONFIDENCE,
    GROUNDING,
    LEGS,
    REFUSALS,
    SENTENCES,
    TOP_SCORE,
    WITHHELD,
    ZERO_RESULTS,
    Metrics,
)
from service.retrieval.packing.records import ContextPack
from service.retrieval.results import Relevance, RelevanceLabel, SearchResult

NO_MODEL = "none"
"""Who wrote a sentence that no model wrote."""


def legs_agree(result: SearchResult) -> bool | None:
    """Whether both legs put the same document first; None where only one was asked, or found anything."""
    if result.trail is None or not (result.trail.candidates.dense and result.trail.candidates.sparse):
        return None
    return result.relevance.signals.legs_agree


class Signals:
    """Counts what results say about themselves; some microseconds each. Safe from several threads."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def search(self, result: SearchResult) -> None:
        self._retrieved("search", result.relevance, len(result.passages), result)

    def context(self, pack: ContextPack) -> None:
        best = pack.results[0] if pack.results else None
        self._retrieved("context", pack.relevance, len(pack.passages), best)

    def answer(self, answer: Answer, found: RetrievalEvent | None) -> None:
        result = None if found is None else found.result
        if result is not None:
            self._retrieved("answer", result.relevance, len(result.passages), result)
        if answer.refusal is not None:
            self._metrics.count(REFUSALS, answer.refusal.reason.value)
        writer = (answer.model or NO_MODEL, answer.prompt_version or NO_MODEL)
        for sentence in answer.sentences:
            self._metrics.count(SENTENCES, sentence.support.label.value, *writer)
        grounding = answer.grounding
        if grounding is not None:
            self._metrics.count(GROUNDING, grounding.label.value, *writer)
            self._metrics.observe(CITATION_PRECISION, grounding.citation_precision)
            if grounding.withheld_sentences:
                self._metrics.count(WITHHELD, by=grounding.withheld_sentences)

    def _retrieved(self, operation: str, relevance: Relevance, hits: int, result: SearchResult | None) -> None:
        self._metrics.observe(CONFIDENCE, relevance.confidence, operation)
        if hits:
            self._metrics.observe(TOP_SCORE, relevance.signals.top_score, operation)
        elif relevance.label is RelevanceLabel.NONE:  # else a page past the last hit
            self._metrics.count(ZERO_RESULTS, operation)
        agree = None if result is None else legs_agree(result)
        if agree is not None:
            self._metrics.count(LEGS, operation, "yes" if agree else "no")
