"""The chunks that a query may mean: the legs, their fusion and what was found literally. Reads no passages itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice, zip_longest

from ingestion.corpus.corpus import CorpusView
from ingestion.corpus.index.engine import IndexHit, IndexQuery, Legs
from ingestion.corpus.records import ChunkId, IndexedChunk
from ingestion.corpus.scope import Scope
from service.retrieval import fusion
from service.retrieval.fusion import Fused, Ranking, Weights
from service.retrieval.needles import stands_alone
from service.retrieval.query import MAX_LIMIT, MAX_OFFSET, SearchMode, SearchQuery
from service.retrieval.titles import Titles
from service.retrieval.traits import QueryClass
from service.retrieval.understanding import Understood

NEEDLE_HITS = 50
"""Exact hits looked at per identifier or phrase in a hybrid search."""
EXACT_HITS = 10_000
"""Exact hits counted in an exact search."""
TITLED = 50
"""Hits of each leg whose titles are compared with the query."""
WIDE = MAX_OFFSET + MAX_LIMIT
"""Hits of each leg that the last page may show."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Chunks before their passages are read.

    The `ranking` is of what the legs rank highest, and the same however far anyone reads on. `tail` follows it: what
    the legs found further down, by the better of the two ranks. `complete`: the legs have nothing more.
    `dense` and `sparse` are the legs' raw scores, `parts` what each gave to the ranking (see `Fused`). The `exact`
    chunks hold one of the needles. `legs` is what the legs returned.
    """

    ranking: Ranking
    dense: Mapping[ChunkId, float]
    sparse: Mapping[ChunkId, float]
    exact: frozenset[ChunkId] = frozenset()
    legs: Legs = field(default_factory=Legs)
    tail: tuple[ChunkId, ...] = ()
    complete: bool = False
    parts: Mapping[ChunkId, tuple[float, float, float]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ranking) + len(self.tail)


@dataclass(frozen=True, slots=True)
class LegsSeen:
    """Raw scores of up to `head` hits of each leg, and the share of each hit's title that the query names."""

    kind: QueryClass
    dense: dict[ChunkId, float]
    sparse: dict[ChunkId, float]
    titles: dict[ChunkId, float]
    head: int


class Finder:
    """Finds the candidates of one query in one generation. `head`: hits of each leg that are ranked together."""

    def __init__(self, corpus: CorpusView, scope: Scope, query: SearchQuery, head: int, titles: Titles) -> None:
        self._corpus = corpus
        self._titles = titles
        self._scope = scope
        self._query = query
        self._head = head

    def find(self, understood: Understood, weights: Weights, *, wide: bool = False) -> Candidates:
        """The candidates best first; with a tail if `wide`. Raises: InvalidRequest for a bad filter,
        BackendUnavailable.
        """
        if self._query.mode is SearchMode.EXACT:
            return self._find_exact(understood)
        legs = self._search(understood, WIDE if wide else self._head)
        dense, sparse = _scores(legs.dense[: self._head]), _scores(legs.sparse[: self._head])
        fused = self._fuse(understood, dense, sparse, weights)
        ranking = fused.ranking
        exact: frozenset[ChunkId] = frozenset()
        if understood.needles:
            holders = [self._holders(needle) for needle in understood.needles]
            exact = frozenset(id_ for holder in holders for id_ in holder)
            ranking = fusion.add_exact(ranking, holders)
        found = Candidates(ranking, dense, sparse, exact, legs, parts=fused.parts)
        return self._extended(found, legs, WIDE) if wide else replace(found, complete=_ended(legs, self._head))

    def observe(self, understood: Understood) -> LegsSeen:
        """What the legs say, before anything is weighed."""
        legs = self._search(understood, self._head)
        dense, sparse = _scores(legs.dense), _scores(legs.sparse)
        return LegsSeen(understood.kind, dense, sparse, self._named(understood, _first(dense, sparse)), self._head)

    def _fuse(
        self, understood: Understood, dense: dict[ChunkId, float], sparse: dict[ChunkId, float], weights: Weights
    ) -> Fused:
        if self._query.mode is not SearchMode.HYBRID:
            return fusion.fuse(dense, sparse, Weights(), head=self._head)
        shares = self._named(understood, _first(dense, sparse)) if weights.title else {}
        return fusion.fuse(dense, sparse, weights, head=self._head, titles=shares)

    def _named(self, understood: Understood, found: Sequence[ChunkId]) -> dict[ChunkId, float]:
        """The share of each hit's title that the query names."""
        return self._titles.shares(understood.named, found, partial(self._corpus.titles_of, self._scope))

    def deepen(self, candidates: Candidates, understood: Understood) -> Candidates:
        """The same candidates with their tail."""
        if candidates.complete or candidates.tail:
            return candidates
        return self._extended(candidates, self._search(understood, WIDE), WIDE)

    def _search(self, understood: Understood, depth: int) -> Legs:
        selection = self._query.selection
        query = IndexQuery(
            understood.dense, understood.sparse, depth, collections=selection.collections, filter=selection.filter
        )
        return self._corpus.search(self._scope, query)

    def _extended(self, candidates: Candidates, legs: Legs, depth: int) -> Candidates:
        ranked = {id_ for id_, _ in candidates.ranking}
        dense = [hit for hit in legs.dense[self._head :] if hit.id not in ranked]
        sparse = [hit for hit in legs.sparse[self._head :] if hit.id not in ranked]
        return replace(
            candidates,
            legs=legs,
            dense={**candidates.dense, **_scores(dense)},
            sparse={**candidates.sparse, **_scores(sparse)},
            tail=tuple(dict.fromkeys(hit.id for hit in _by_rank(legs, self._head) if hit.id not in ranked)),
            complete=_ended(legs, depth),
        )

    def _holders(self, needle: str) -> list[ChunkId]:
        """Chunks that hold the needle; an identifier must stand alone, `GH-502` is not `GH-5021`."""
        hits = self._corpus.find_exact(self._scope, needle, self._query.selection, limit=NEEDLE_HITS)
        return [hit.id for hit in hits if _holds(hit, needle)]

    def _find_exact(self, understood: Understood) -> Candidates:
        """Every chunk with the string, those first that the keyword leg ranks highest."""
        ids = self._corpus.find_exact_ids(self._scope, self._query.text, self._query.selection, limit=EXACT_HITS)
        exact = frozenset(ids)
        legs = self._search(understood, self._head)
        by_words = _scores(legs.sparse)
        known = {id_: score for id_, score in by_words.items() if id_ in exact}
        tail = tuple(id_ for id_ in ids if id_ not in known)
        return Candidates(fusion.normalise(known), {}, known, exact, legs, tail, complete=len(ids) < EXACT_HITS)


class Pool:
    """The candidates of one search; the tail is fetched when someone reads that far. Not for several threads."""

    def __init__(self, finder: Finder, understood: Understood, candidates: Candidates) -> None:
        self._finder = finder
        self._understood = understood
        self.candidates = candidates

    def ids(self) -> Iterator[ChunkId]:
        """All candidates in order."""
        for id_, _ in self.candidates.ranking:
            yield id_
        self.candidates = self._finder.deepen(self.candidates, self._understood)
        yield from self.candidates.tail


def _holds(hit: IndexedChunk, needle: str) -> bool:
    """Whether the needle stands by itself in the title or the text, or begins in the text and ends behind it."""
    texts = (hit.chunk.text, hit.document.title)
    inside = any(needle.casefold() in text.casefold() for text in texts)
    return not inside or any(stands_alone(needle, text) for text in texts)


def _scores(hits: Iterable[IndexHit]) -> dict[ChunkId, float]:
    return {hit.id: hit.score for hit in hits}


def _first(dense: Mapping[ChunkId, float], sparse: Mapping[ChunkId, float]) -> list[ChunkId]:
    """The chunks whose titles count: no title brings up what neither leg has among its first."""
    return list(dict.fromkeys([*islice(dense, TITLED), *islice(sparse, TITLED)]))


def _by_rank(legs: Legs, first: int) -> Iterator[IndexHit]:
    """The hits of both legs from rank `first` on: what comes first never depends on how many were fetched."""
    for pair in zip_longest(legs.dense[first:], legs.sparse[first:]):
        yield from (hit for hit in pair if hit is not None)


def _ended(legs: Legs, depth: int) -> bool:
    return max(len(legs.dense), len(legs.sparse)) < depth
