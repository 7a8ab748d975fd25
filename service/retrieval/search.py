"""Question in, ranked passages out; no language model. This module puts the stages in order; each is a module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from time import perf_counter

from ingestion.corpus.corpus import Corpus, CorpusView
from ingestion.corpus.records import ChunkId, Span
from ingestion.corpus.scope import Scope
from service.retrieval.candidates import Candidates, Finder, Pool
from service.retrieval.fusion import Ranking, keep_on_page
from service.retrieval.highlighting import highlight
from service.retrieval.judging import assess
from service.retrieval.query import SearchMode, SearchQuery
from service.retrieval.reading import Hit, best_of_documents, read
from service.retrieval.relevance import POOL, Thresholds
from service.retrieval.reranking.second_look import SecondLook
from service.retrieval.results import LegScores, Passage, SearchResult
from service.retrieval.understanding import Understood, understand
from service.settings import RetrievalSettings


class Searcher:
    """Searches one corpus. Safe from several threads; holds no state between searches."""

    def __init__(self, corpus: Corpus, settings: RetrievalSettings, second_look: SecondLook | None = None) -> None:
        self._corpus = corpus
        self._settings = settings
        self._second_look = second_look or SecondLook()
        self._thresholds = Thresholds(settings.strong_confidence, settings.weak_confidence)

    def search(self, scope: Scope, query: SearchQuery) -> SearchResult:
        """Passages best first, with the relevance of the whole result; ties in the order of the chunk ids.

        `total` is the number of chunks (documents, when grouped) that contain the text in exact mode, up to
        EXACT_HITS, and in the other modes the number of candidates that the legs returned.
        Raises: InvalidRequest for a bad filter, BackendUnavailable.
        """
        with self._corpus.pinned() as view:
            return _Search(view, self._settings, self._thresholds, scope, query, self._second_look).run()


class Stopwatch:
    """Milliseconds per stage."""

    def __init__(self) -> None:
        self._started = self._last = perf_counter()
        self._taken = {"embed": 0.0, "search": 0.0, "rerank": 0.0}

    def lap(self, stage: str) -> None:
        """What has passed since the last lap belongs to that stage."""
        now = perf_counter()
        self._taken[stage] = self._taken.get(stage, 0.0) + (now - self._last) * 1e3
        self._last = now

    def timings_ms(self) -> dict[str, float]:
        return {**self._taken, "total": (perf_counter() - self._started) * 1e3}


@dataclass(frozen=True, slots=True)
class _Search:
    """One search: everything in it is of one generation of the corpus.

    understand -> legs -> fuse -> exact hits -> rerank -> prefer -> read -> fold -> group -> judge -> sort -> page
    """

    corpus: CorpusView
    settings: RetrievalSettings
    thresholds: Thresholds
    scope: Scope
    query: SearchQuery
    second_look: SecondLook

    def run(self) -> SearchResult:
        query, watch = self.query, Stopwatch()
        understood = understand(self.corpus, query)
        watch.lap("embed")
        finder = Finder(self.corpus, self.scope, query, self.settings.candidates)
        candidates = finder.find(understood, self.settings.dense_weight, wide=query.group_by_document)
        watch.lap("search")
        reranked = self.second_look.at(self.corpus, self.scope, query, candidates.ranking)
        watch.lap("rerank")
        candidates = replace(candidates, ranking=self._order(reranked.ranking, candidates.exact))
        pool = Pool(finder, understood, candidates)
        total, hits = self._hits(pool)
        found = list(islice(hits, max(query.offset + query.limit, POOL)))
        watch.lap("search")
        passages = [hit.passage for hit in found]
        judged = assess(self.corpus, query.text, understood, pool.candidates, passages, self.thresholds)
        page = slice(query.offset, query.offset + query.limit)
        legs = [self._leg_scores(hit, pool.candidates, reranked.scores) for hit in found[page]]
        shown = self._present(understood, found[page], judged.scores[page], legs)
        return SearchResult(
            shown,
            judged.relevance,
            len(pool.candidates) if total is None else total,
            timings_ms=watch.timings_ms(),
            index_version=self.corpus.index_version,
            rerank=reranked.outcome,
        )

    def _order(self, ranking: Ranking, exact: frozenset[ChunkId]) -> Ranking:
        """The ranking as it is to be shown: here preferences have their say, and exact hits the last."""
        return keep_on_page(ranking, exact, self.query.limit)

    def _hits(self, pool: Pool) -> tuple[int | None, Iterator[Hit]]:
        """The entries of the result list, read as they are taken; and how many there are, if not all candidates."""
        passages = read(self.corpus, self.scope, pool.ids(), max(self.query.offset + self.query.limit, POOL))
        if not self.query.group_by_document:
            return None, map(Hit, passages)
        documents = self.corpus.documents_of(self.scope, list(pool.ids()))
        counts = Counter(document.key for document in documents.values())
        return len(counts), best_of_documents(passages, counts)

    def _present(
        self, understood: Understood, hits: Sequence[Hit], scores: Sequence[float], legs: Sequence[LegScores]
    ) -> tuple[Passage, ...]:
        """The hits of the page with their scores and highlights."""
        return tuple(
            Passage(hit.passage, score, raw, self._highlights(understood, hit))
            for hit, score, raw in zip(hits, scores, legs, strict=True)
        )

    def _leg_scores(self, hit: Hit, candidates: Candidates, rerank: Mapping[ChunkId, float]) -> LegScores:
        id_ = hit.passage.id
        return LegScores(candidates.dense.get(id_), candidates.sparse.get(id_), rerank.get(id_))

    def _highlights(self, understood: Understood, hit: Hit) -> tuple[Span, ...]:
        if not self.query.highlight:
            return ()
        terms = None if self.query.mode is SearchMode.EXACT else understood.terms
        return highlight(hit.passage.chunk, terms, understood.needles)
