"""The stage of a search in which the head of its ranking is read and scored again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ingestion.corpus.corpus import CorpusView
from ingestion.corpus.records import ChunkId, IndexedChunk
from ingestion.corpus.scope import Scope
from service.retrieval.fusion import Ranking
from service.retrieval.query import SearchMode, SearchQuery
from service.retrieval.reranking.reranker import NoReranker, Reranker, RerankOutcome, RerankSkip, reorder, rerank
from service.settings import RerankerSettings


@dataclass(frozen=True, slots=True)
class Reranked:
    """A ranking after the second look, with the raw score of each chunk that has one."""

    ranking: Ranking
    scores: Mapping[ChunkId, float]
    outcome: RerankOutcome


@dataclass(frozen=True, slots=True)
class SecondLook:
    """A reranker with its bounds. Safe from several threads."""

    reranker: Reranker = field(default_factory=NoReranker)
    settings: RerankerSettings = field(default_factory=RerankerSettings)

    def at(self, corpus: CorpusView, scope: Scope, query: SearchQuery, ranking: Ranking) -> Reranked:
        """The ranking with its first `settings.candidates` entries in the reranker's order, whatever page is asked for.

        Entries keep their fused scores, which then no longer fall from one to the next.
        Raises: BackendUnavailable when the passages can't be read.
        """
        if reason := self._reason_against(query):
            return Reranked(ranking, {}, RerankOutcome(skipped=reason))
        head = ranking[: self.settings.candidates]
        chunks = corpus.get_chunks(scope, [id_ for id_, _ in head])
        live = [entry for entry in head if entry[0] in chunks]
        texts = [passage_text(chunks[id_]) for id_, _ in live]
        outcome = rerank(self.reranker, query.text, texts, self.settings.budget_ms)
        scores = {id_: score for (id_, _), score in zip(live, outcome.scores, strict=False)}
        return Reranked(reorder(live, outcome) + ranking[len(head) :], scores, outcome)

    def _reason_against(self, query: SearchQuery) -> RerankSkip | None:
        if isinstance(self.reranker, NoReranker):
            return RerankSkip.OFF
        if query.mode is SearchMode.EXACT:
            return RerankSkip.EXACT_MODE
        wanted = self.settings.by_default if query.rerank is None else query.rerank
        return None if wanted else RerankSkip.NOT_ASKED


def passage_text(passage: IndexedChunk) -> str:
    """What a reranker reads of a passage: title and headings in a line of their own, then the text."""
    path = _without_repeats([passage.document.title, *passage.chunk.heading_path])
    return "\n".join([" > ".join(path), passage.chunk.text]) if path else passage.chunk.text


def _without_repeats(names: Sequence[str]) -> list[str]:
    return [name for i, name in enumerate(names) if name and name not in names[:i]]
