"""Question in, ranked passages out; no language model. This module puts the stages in order; each is a module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from time import perf_counter

from ingestion.corpus.corpus import Corpus, CorpusView
from ingestion.corpus.scope import Scope
from service.retrieval.candidates import Candidates, Finder, LegsSeen, Pool
from service.retrieval.explaining import Explainer
from service.retrieval.facets import FacetCounts, check_facets, count_facets
from service.retrieval.fusion import Weights
from service.retrieval.judging import Judged, assess
from service.retrieval.lexicon.lexicon import Lexicon
from service.retrieval.lexicon.spelling import confirmed
from service.retrieval.lexicon.synonyms import read_synonyms
from service.retrieval.listing import SORTED, Listing, by_time, relevant
from service.retrieval.ordering import Ordered, order, settle
from service.retrieval.presenting import show
from service.retrieval.profiles import weights_for
from service.retrieval.query import Highlighting, SearchMode, SearchQuery, SortOrder
from service.retrieval.reading import Hit, Reader
from service.retrieval.relevance import POOL, Thresholds
from service.retrieval.reranking.second_look import SecondLook
from service.retrieval.results import LegScores, Passage, SearchResult, SearchTrail, Segment
from service.retrieval.titles import Titles
from service.retrieval.understanding import Understood, understand
from service.settings import RetrievalSettings


class Searcher:
    """Searches one corpus. Safe from several threads; holds no state between searches."""

    def __init__(self, corpus: Corpus, settings: RetrievalSettings, second_look: SecondLook | None = None) -> None:
        self._corpus = corpus
        self._settings = settings
        self._second_look = second_look or SecondLook()
        self._titles = Titles(corpus.sparse)
        self._lexicon = Lexicon(corpus.database, corpus.sparse, read_synonyms(settings.synonyms, corpus.sparse))

    def search(self, scope: Scope, query: SearchQuery) -> SearchResult:
        """Passages best first, with the relevance of the whole result; ties in the order of the chunk ids.

        `total` is the number of chunks (documents, when grouped) that contain the text in exact mode, up to
        EXACT_HITS, and in the other modes the number of candidates that the legs returned, those that were folded
        among them; sorted by time, it is the number of those that are relevant enough.
        Raises: InvalidRequest for a bad filter or facet, BackendUnavailable.
        """
        with self._corpus.pinned() as view:
            return _Search(view, self._settings, self._second_look, self._lexicon, self._titles, scope, query).run()

    def legs(self, scope: Scope, query: SearchQuery) -> LegsSeen:
        """What each leg says to a query, before anything is weighed: what weights are fitted to."""
        with self._corpus.pinned() as view:
            understood = understand(view, self._lexicon, scope, query)
            finder = Finder(view, scope, query, self._settings.candidates, self._titles)
            return finder.observe(understood)


class Stopwatch:
    """Milliseconds per stage."""

    def __init__(self) -> None:
        self._started = self._last = perf_counter()
        self._taken = {"embed": 0.0, "search": 0.0, "rerank": 0.0}
        self._segments: list[Segment] = []

    def lap(self, stage: str) -> None:
        """What has passed since the last lap belongs to that stage."""
        now = perf_counter()
        self._taken[stage] = self._taken.get(stage, 0.0) + (now - self._last) * 1e3
        self._segments.append(Segment(stage, self._last, now))
        self._last = now

    def segments(self) -> tuple[Segment, ...]:
        """Each lap with its real times, in order."""
        return tuple(self._segments)

    def timings_ms(self) -> dict[str, float]:
        return {**self._taken, "total": (perf_counter() - self._started) * 1e3}


@dataclass(frozen=True, slots=True)
class _Entry:
    """A hit with its calibrated score and its place among the passages that were judged."""

    hit: Hit
    score: float
    position: int


@dataclass(frozen=True, slots=True)
class _Told:
    """What the stages have to say of hits."""

    ordered: Ordered
    listing: Listing
    explainer: Explainer | None


@dataclass(frozen=True, slots=True)
class _Search:
    """One search: everything in it is of one generation of the corpus.

    understand -> legs -> fuse -> exact hits -> rerank -> prefer -> keep exact hits on the page
    -> read -> superseded last -> fold -> group -> judge -> sort -> page -> present -> explain
    """

    corpus: CorpusView
    settings: RetrievalSettings
    second_look: SecondLook
    lexicon: Lexicon
    titles: Titles
    scope: Scope
    query: SearchQuery

    def run(self) -> SearchResult:
        query, watch, reader = self.query, Stopwatch(), Reader(self.corpus, self.scope)
        if query.facets:
            check_facets(query.facets, self.corpus.metadata_keys(self.scope))
        understood = understand(self.corpus, self.lexicon, self.scope, query)
        watch.lap("embed")
        weights, fitted = self._weights(understood)
        finder = Finder(self.corpus, self.scope, query, self.settings.candidates, self.titles)
        wide = query.group_by_document or bool(query.facets)
        found = finder.find(understood, weights, wide=wide)
        watch.lap("search")
        ordered = order(self.corpus, self.scope, query, found, self.second_look)
        watch.lap("rerank")
        ordered = settle(query, ordered, reader)
        pool = Pool(finder, understood, ordered.candidates)
        listing = Listing(query, pool, reader)
        hits = self._read(listing)
        judged = self._judge(understood, pool.candidates, hits)
        entries = self._sort([_Entry(*entry) for entry in zip(hits, judged.scores, range(len(hits)), strict=True)])
        watch.lap("search")
        facets = self._facets(listing) if query.facets else {}
        if facets:
            watch.lap("facets")
        corrections = _corrections(understood, hits)
        explainer = None
        if query.explain:
            ordered = replace(ordered, candidates=pool.candidates)
            explainer = Explainer(understood, ordered, judged, weights, fitted, listing.held, corrections)
        shown = self._present(understood, entries, judged, _Told(ordered, listing, explainer))
        if query.highlighting is Highlighting.MEANING:
            watch.lap("highlight")
        total, complete = self._total(pool, listing, entries)
        return SearchResult(
            shown,
            judged.relevance,
            total,
            facets=facets,
            complete=complete,
            rerank=ordered.outcome,
            corrections=corrections,
            explanation=explainer.query() if explainer else None,
            timings_ms=watch.timings_ms(),
            index_version=self.corpus.index_version,
            trail=SearchTrail(
                understood.kind,
                self.corpus.embedder.name,
                weights,
                fitted,
                ordered.candidates,
                ordered.reranked,
                watch.segments(),
            ),
        )

    def _weights(self, understood: Understood) -> tuple[Weights, str | None]:
        """How much each leg counts for a query of this kind, and the collection to which that was fitted, if any."""
        if self.settings.dense_weight is not None:
            return Weights(self.settings.dense_weight), None
        return weights_for(self.corpus, self.scope, self.query.selection.collections, understood)

    def _read(self, listing: Listing) -> list[Hit]:
        """The entries up to the end of the page, or those that are to be sorted; and enough to judge the result."""
        sorts = self.query.sort is not SortOrder.RELEVANCE and self.query.mode is not SearchMode.EXACT
        wanted = SORTED if sorts else max(self.query.offset + self.query.limit, POOL)
        return list(islice(listing.hits(wanted), wanted))

    def _judge(self, understood: Understood, candidates: Candidates, hits: Sequence[Hit]) -> Judged:
        thresholds = Thresholds(self.settings.strong_confidence, self.settings.weak_confidence)
        passages = [hit.passage for hit in hits]
        return assess(self.corpus, self.query.text, understood, candidates, passages, thresholds)

    def _sort(self, entries: list[_Entry]) -> list[_Entry]:
        """By time those that are relevant enough, without the others; exact hits were put in order by the listing."""
        if self.query.sort is SortOrder.RELEVANCE or self.query.mode is SearchMode.EXACT:
            return entries
        kept = entries[: relevant([entry.score for entry in entries], self.settings.weak_confidence)]
        newest = self.query.sort is SortOrder.NEWEST
        return by_time(kept, [entry.hit.passage for entry in kept], newest=newest)

    def _facets(self, listing: Listing) -> dict[str, FacetCounts]:
        return count_facets(self.query.facets, listing.documents().values(), self.scope)

    def _total(self, pool: Pool, listing: Listing, entries: Sequence[_Entry]) -> tuple[int, bool]:
        """How many hits there are in all, and whether that is certain."""
        if self.query.sort is not SortOrder.RELEVANCE and self.query.mode is not SearchMode.EXACT:
            return len(entries), True
        if self.query.group_by_document:
            return len({facts.key for facts in listing.documents().values()}), pool.candidates.complete
        return len(pool.candidates), pool.candidates.complete

    def _present(
        self, understood: Understood, entries: Sequence[_Entry], judged: Judged, told: _Told
    ) -> tuple[Passage, ...]:
        """The page, with what each hit says to a reader."""
        query = self.query
        page = entries[query.offset : query.offset + query.limit]
        shown = show(self.corpus, query, understood, [entry.hit.passage for entry in page], judged.weights)
        passages = []
        for rank, (entry, marks) in enumerate(zip(page, shown, strict=True), start=query.offset + 1):
            hit, evidence = entry.hit, judged.evidence[entry.position]
            reranked = told.ordered.reranked.get(hit.passage.id)
            passages.append(
                Passage(
                    hit.passage,
                    entry.score,
                    LegScores(evidence.dense, evidence.sparse, reranked.score if reranked else None),
                    marks.highlights,
                    best_sentence=marks.best_sentence,
                    duplicates=told.listing.folder.of(hit.passage),
                    others=hit.others,
                    explanation=told.explainer.hit(rank, entry.position, hit) if told.explainer else None,
                )
            )
        return tuple(passages)


def _corrections(understood: Understood, hits: Sequence[Hit]) -> tuple[tuple[str, str], ...]:
    """What misspelt words were taken for, as far as a passage that the caller may read shows it."""
    if not understood.corrections:
        return ()
    passages = [hit.passage for hit in hits]
    texts = (text for one in passages for text in (one.document.title, *one.chunk.heading_path, one.chunk.text))
    return confirmed(understood.corrections, texts)
