"""Explanations of one search, out of what its stages left behind; computed only when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ingestion.corpus.index.engine import IndexHit
from ingestion.corpus.records import ChunkId
from service.retrieval.candidates import Candidates
from service.retrieval.explanations import Calibrated, HitExplanation, LegExplanation, QueryExplanation
from service.retrieval.fusion import Weights
from service.retrieval.judging import Judged
from service.retrieval.lexicon.synonyms import Synonym
from service.retrieval.ordering import Ordered
from service.retrieval.reading import Hit
from service.retrieval.relevance import coverage_of
from service.retrieval.understanding import Understood

_PARTS = ("dense", "sparse")
"""The order of the legs in `Fused.parts`."""


@dataclass(frozen=True)
class Explainer:
    """Explains the hits of one search. `weights` were fitted to the collection `fitted`, if that is not None. `held`:
    passages that gave way to the document that replaced theirs.
    """

    understood: Understood
    ordered: Ordered
    judged: Judged
    weights: Weights
    fitted: str | None
    held: frozenset[ChunkId]
    corrections: tuple[tuple[str, str], ...]

    @property
    def candidates(self) -> Candidates:
        return self.ordered.candidates

    def query(self) -> QueryExplanation:
        """How the query was read."""
        legs = self.candidates.legs
        return QueryExplanation(
            kind=self.understood.kind,
            weights=self._weights,
            fitted=self.fitted,
            needles=self.understood.needles,
            terms=dict(sorted(self.judged.weights.items(), key=lambda entry: (-entry[1], entry[0]))),
            corrections=dict(self.corrections),
            synonyms=_grouped(self.understood.synonyms),
            candidates={
                "dense": len(legs.dense),
                "sparse": len(legs.sparse),
                "exact": len(self.candidates.exact),
                "ranked": len(self.candidates.ranking),
            },
            signals=self.judged.signals,
        )

    def hit(self, rank: int, position: int, hit: Hit) -> HitExplanation:
        """Why the hit stands at `rank`; `position` is that of its passage among those that were judged."""
        id_, evidence = hit.passage.id, self.judged.evidence[position]
        text = hit.passage.chunk.text.casefold()
        return HitExplanation(
            rank=rank,
            fused=self._fused.get(id_),
            dense=self._leg("dense", id_),
            sparse=self._leg("sparse", id_),
            title=self.candidates.parts.get(id_, (0.0, 0.0, 0.0))[2],
            exact=tuple(needle for needle in self._needles_of(id_) if needle.casefold() in text),
            preference=self.ordered.effects.get(id_),
            superseded=id_ in self.held,
            rerank=self.ordered.reranked.get(id_),
            terms=tuple(sorted(evidence.matched)),
            missing=tuple(sorted(self.understood.terms.terms - evidence.matched)),
            calibrated=Calibrated(
                evidence.dense,
                coverage_of(evidence.matched, self.judged.weights),
                evidence.literal,
                self.judged.raw_scores[position],
            ),
        )

    def _needles_of(self, id_: ChunkId) -> tuple[str, ...]:
        return self.understood.needles if id_ in self.candidates.exact else ()

    def _leg(self, name: str, id_: ChunkId) -> LegExplanation | None:
        found = self._ranks[name].get(id_)
        if found is None:
            return None
        rank, score = found
        parts = self.candidates.parts.get(id_)
        return LegExplanation(rank, score, parts[_PARTS.index(name)] if parts else 0.0)

    @cached_property
    def _fused(self) -> dict[ChunkId, float]:
        return dict(self.candidates.ranking)

    @cached_property
    def _weights(self) -> dict[str, float]:
        if self.candidates.dense and self.candidates.sparse:
            return {"dense": self.weights.dense, "sparse": 1 - self.weights.dense, "title": self.weights.title}
        return {"dense": float(bool(self.candidates.dense)), "sparse": float(bool(self.candidates.sparse))}

    @cached_property
    def _ranks(self) -> dict[str, dict[ChunkId, tuple[int, float]]]:
        return {"dense": _ranked(self.candidates.legs.dense), "sparse": _ranked(self.candidates.legs.sparse)}


def _ranked(hits: Sequence[IndexHit]) -> dict[ChunkId, tuple[int, float]]:
    return {hit.id: (rank, hit.score) for rank, hit in enumerate(hits, start=1)}


def _grouped(synonyms: Sequence[Synonym]) -> dict[str, tuple[str, ...]]:
    grouped: dict[str, tuple[str, ...]] = {}
    for synonym in synonyms:
        grouped[synonym.written] = (*grouped.get(synonym.written, ()), synonym.expansion)
    return grouped
