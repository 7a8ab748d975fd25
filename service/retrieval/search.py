"""Question in, ranked passages out; no language model. Fusion, relevance and highlighting are rooms of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus.corpus import Corpus, CorpusView
from ingestion.corpus.index.engine import IndexQuery
from ingestion.corpus.records import ChunkId, DocumentKey, IndexedChunk, Span
from ingestion.corpus.scope import Scope
from ingestion.corpus.sparse import SparseVector
from service.retrieval import fusion
from service.retrieval.fusion import Ranking
from service.retrieval.highlighting import QueryTerms, highlight
from service.retrieval.needles import find_needles, stands_alone
from service.retrieval.query import SearchMode, SearchQuery
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
from service.retrieval.results import LegScores, Passage, Relevance, SearchResult
from service.settings import RetrievalSettings

NEEDLE_HITS = 50
"""Exact hits looked at per identifier or phrase in a hybrid search."""
EXACT_HITS = 10_000
"""Exact hits counted in an exact search."""
_CHUNKS_PER_DOCUMENT = 3
_MAX_GROUPED = 1_000


@dataclass(frozen=True, slots=True)
class Candidates:
    """A ranking before its passages are read. `needles` were looked for literally, the `exact` chunks hold one."""

    ranking: Ranking
    dense: Mapping[ChunkId, float]
    sparse: Mapping[ChunkId, float]
    needles: tuple[str, ...] = ()
    exact: frozenset[ChunkId] = frozenset()


class Searcher:
    """Searches one corpus. Safe from several threads; holds no state between searches."""

    def __init__(self, corpus: Corpus, settings: RetrievalSettings) -> None:
        self._corpus = corpus
        self._settings = settings
        self._thresholds = Thresholds(settings.strong_confidence, settings.weak_confidence)

    def search(self, scope: Scope, query: SearchQuery) -> SearchResult:
        """Passages best first, with the relevance of the whole result; ties in the order of the chunk ids.

        `total` is the number of chunks (documents, when grouped) that contain the text in exact mode, up to
        EXACT_HITS, and in the other modes the number of candidates that the legs returned.
        Raises: InvalidRequest for a bad filter, BackendUnavailable.
        """
        with self._corpus.pinned() as view:
            return _Search(view, self._settings, self._thresholds).run(scope, query)


@dataclass(frozen=True, slots=True)
class _Search:
    """One search: everything in it is of one generation of the corpus."""

    corpus: CorpusView
    settings: RetrievalSettings
    thresholds: Thresholds

    def run(self, scope: Scope, query: SearchQuery) -> SearchResult:
        started = perf_counter()
        semantic = query.mode in (SearchMode.HYBRID, SearchMode.SEMANTIC)
        dense = self.corpus.embedder.embed_query(query.text) if semantic else None
        embedded = perf_counter()
        candidates = self._find(scope, query, dense)
        found = self._read(scope, query, candidates)
        searched = perf_counter()
        passages, relevance = self._present(query, candidates, found)
        done = perf_counter()
        timings = {
            "embed": (embedded - started) * 1e3,
            "search": (searched - embedded) * 1e3,
            "rerank": 0.0,
            "total": (done - started) * 1e3,
        }
        total = len(found) if query.group_by_document else len(candidates.ranking)
        return SearchResult(passages, relevance, total, timings_ms=timings, index_version=self.corpus.index_version)

    def _find(self, scope: Scope, query: SearchQuery, dense: NDArray[np.float32] | None) -> Candidates:
        if query.mode is SearchMode.EXACT:
            return self._find_exact(scope, query)
        sparse = None if query.mode is SearchMode.SEMANTIC else self.corpus.sparse.encode_query(query.text)
        by_meaning, by_words = self._legs(scope, query, dense, sparse)
        if query.mode is not SearchMode.HYBRID:
            return Candidates(fusion.in_order(by_meaning or by_words), by_meaning, by_words)
        ranking = fusion.fuse(by_meaning, by_words, self.settings.dense_weight)
        needles = find_needles(query.text)
        if not needles:
            return Candidates(ranking, by_meaning, by_words)
        holders = [self._holders(scope, needle, query) for needle in needles]
        exact = frozenset(id_ for holder in holders for id_ in holder)
        ranking = fusion.keep_on_page(fusion.add_exact(ranking, holders), exact, query.limit)
        return Candidates(ranking, by_meaning, by_words, needles, exact)

    def _legs(
        self, scope: Scope, query: SearchQuery, dense: NDArray[np.float32] | None, sparse: SparseVector | None
    ) -> tuple[dict[ChunkId, float], dict[ChunkId, float]]:
        # A page further down, or one of documents, needs more candidates to be filled.
        wanted = (query.offset + query.limit) * (_CHUNKS_PER_DOCUMENT if query.group_by_document else 1)
        selection = query.selection
        legs = self.corpus.search(
            scope,
            IndexQuery(
                dense,
                sparse,
                limit=max(self.settings.candidates, wanted),
                collections=selection.collections,
                filter=selection.filter,
            ),
        )
        return {hit.id: hit.score for hit in legs.dense}, {hit.id: hit.score for hit in legs.sparse}

    def _holders(self, scope: Scope, needle: str, query: SearchQuery) -> list[ChunkId]:
        """Chunks that hold the needle; an identifier must stand alone, `GH-502` is not `GH-5021`."""
        hits = self.corpus.find_exact(scope, needle, query.selection, limit=NEEDLE_HITS)
        return [hit.id for hit in hits if stands_alone(needle, hit.chunk.text)]

    def _find_exact(self, scope: Scope, query: SearchQuery) -> Candidates:
        """Every chunk with the string, those first that the keyword leg ranks highest."""
        ids = self.corpus.find_exact_ids(scope, query.text, query.selection, limit=EXACT_HITS)
        _, by_words = self._legs(scope, query, None, self.corpus.sparse.encode_query(query.text))
        exact = frozenset(ids)
        scores = {id_: by_words.get(id_, 0.0) for id_ in exact}
        known = {id_: score for id_, score in by_words.items() if id_ in exact}
        return Candidates(fusion.in_order(scores), {}, known, (query.text,), exact)

    def _read(self, scope: Scope, query: SearchQuery, candidates: Candidates) -> list[IndexedChunk]:
        """The first live passages of the ranking, enough for the page and for the signals of relevance."""
        ids = [id_ for id_, _ in candidates.ranking]
        if query.group_by_document:
            ids = ids[:_MAX_GROUPED]
            chunks = self.corpus.get_chunks(scope, ids)
            best: dict[DocumentKey, IndexedChunk] = {}
            for id_ in ids:
                if id_ in chunks:
                    best.setdefault(chunks[id_].document.key, chunks[id_])
            return list(best.values())
        found: list[IndexedChunk] = []
        needed, position = max(query.offset + query.limit, POOL), 0
        while len(found) < needed and position < len(ids):
            batch = ids[position : position + needed - len(found)]
            chunks = self.corpus.get_chunks(scope, batch)
            found += [chunks[id_] for id_ in batch if id_ in chunks]
            position += len(batch)
        return found

    def _present(
        self, query: SearchQuery, candidates: Candidates, found: Sequence[IndexedChunk]
    ) -> tuple[tuple[Passage, ...], Relevance]:
        """The page of passages with their scores and highlights, and the relevance of the whole result."""
        found = found[: max(query.offset + query.limit, POOL)]
        terms = QueryTerms(query.text, self.corpus.sparse)
        whole = query.text.strip().casefold()
        literal = candidates.exact if any(needle.strip().casefold() == whole for needle in candidates.needles) else ()
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
        calibration = calibration_for(self.corpus.embedder.name, dense=bool(candidates.dense))
        scores = never_rising(score_passages(evidence, weights, calibration.passage))
        ranked = [(passage.document.key, score) for passage, score in zip(found, scores, strict=True)]
        observed = observe(evidence[:POOL], weights)
        relevance = judge(observed, ranked, calibration.query, self.thresholds)
        page = slice(query.offset, query.offset + query.limit)
        passages = tuple(
            Passage(
                passage,
                score,
                LegScores(candidates.dense.get(passage.id), candidates.sparse.get(passage.id)),
                _highlights(query, passage, terms, candidates.needles),
            )
            for passage, score in zip(found[page], scores[page], strict=True)
        )
        return passages, relevance


def _highlights(
    query: SearchQuery, passage: IndexedChunk, terms: QueryTerms, needles: tuple[str, ...]
) -> tuple[Span, ...]:
    if not query.highlight:
        return ()
    return highlight(passage.chunk, None if query.mode is SearchMode.EXACT else terms, needles)
