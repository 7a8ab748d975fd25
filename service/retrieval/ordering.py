"""The candidates in the order in which they are to be shown: reranked, preferred, and exact hits on the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ingestion.corpus.corpus import CorpusView
from ingestion.corpus.records import ChunkId
from ingestion.corpus.scope import Scope
from service.retrieval.candidates import Candidates
from service.retrieval.explanations import RerankExplanation
from service.retrieval.fusion import keep_on_page
from service.retrieval.preferences import Effect, prefer
from service.retrieval.query import SearchQuery
from service.retrieval.reading import Reader
from service.retrieval.reranking.reranker import RerankOutcome
from service.retrieval.reranking.second_look import SecondLook


@dataclass(frozen=True, slots=True)
class Ordered:
    """Candidates, and what rerankers and preferences did to them."""

    candidates: Candidates
    outcome: RerankOutcome
    reranked: Mapping[ChunkId, RerankExplanation] = field(default_factory=dict)
    effects: Mapping[ChunkId, Effect] = field(default_factory=dict)


def order(
    corpus: CorpusView, scope: Scope, query: SearchQuery, candidates: Candidates, second_look: SecondLook
) -> Ordered:
    """The ranking after the second look. Each place keeps its fused score, which preferences go by."""
    found = second_look.at(corpus, scope, query, candidates.ranking)
    if not found.outcome.applied:
        return Ordered(candidates, found.outcome)
    ranking = [(id_, score) for (id_, _), (_, score) in zip(found.ranking, candidates.ranking, strict=False)]
    before = {id_: rank for rank, (id_, _) in enumerate(candidates.ranking, start=1)}
    told = {id_: RerankExplanation(score, before[id_]) for id_, score in found.scores.items()}
    return Ordered(replace(candidates, ranking=ranking), found.outcome, told)


def settle(query: SearchQuery, ordered: Ordered, reader: Reader) -> Ordered:
    """The ranking with preferences heard; exact hits have the last word."""
    ranking = ordered.candidates.ranking
    effects: dict[ChunkId, Effect] = {}
    if query.prefer:
        ranking, effects = prefer(ranking, reader.documents([id_ for id_, _ in ranking]), query.prefer)
    ranking = keep_on_page(ranking, ordered.candidates.exact, query.limit)
    return replace(ordered, candidates=replace(ordered.candidates, ranking=ranking), effects=effects)
