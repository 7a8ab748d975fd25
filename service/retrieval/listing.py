"""From a ranking to the entries of a result list: superseded last, repeats folded, one of each document, by time.

Every step reads no further than it is asked to, and what it gives first never depends on how far it is read: so pages
of one size follow each other without holes and repeats.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from ingestion.corpus.facts_reader import DocumentFacts
from ingestion.corpus.records import ChunkId, Document, DocumentKey, IndexedChunk
from service.retrieval.candidates import Pool
from service.retrieval.folding import Folder
from service.retrieval.query import SearchMode, SearchQuery, SortOrder
from service.retrieval.reading import Hit, Reader
from service.retrieval.superseding import Demotion, named_successors

T = TypeVar("T")

SORTED = 100
"""Entries, best first, that are put in the order of time."""
RELEVANT = 0.5
"""Share of the best score that a passage must have to be put in the order of time."""


class Listing:
    """The entries of one search, in the order in which they are shown (but for sorting what was judged)."""

    def __init__(self, query: SearchQuery, pool: Pool, reader: Reader) -> None:
        self._query = query
        self._pool = pool
        self._reader = reader
        self._scores = dict(pool.candidates.ranking)
        self._demotion = Demotion(self._scores, self._successors)
        self.folder = Folder()

    @property
    def held(self) -> frozenset[ChunkId]:
        """Passages that gave way to the document that took the place of theirs."""
        return frozenset(self._demotion.held)

    def hits(self, first: int) -> Iterator[Hit]:
        """The entries, read as they are taken, `first` passages at once."""
        query = self._query
        by_time = query.sort is not SortOrder.RELEVANCE
        ids: Iterable[ChunkId] = self._pool.ids()
        if by_time and query.mode is SearchMode.EXACT:
            ids = _ids_by_time(self._reader.documents(list(ids)), newest=query.sort is SortOrder.NEWEST)
        passages = self._reader.passages(ids, first)
        if not by_time:
            passages = self._demotion.apply(passages)
        if query.folds:
            passages = self.folder.fold(passages)
        if not query.group_by_document:
            return map(Hit, passages)
        return _best_of_documents(passages, self.documents())

    def documents(self) -> dict[ChunkId, DocumentFacts]:
        """The documents of all candidates."""
        return self._reader.documents(list(self._pool.ids()))

    def _successors(self, document: Document) -> Mapping[DocumentKey, float]:
        names = named_successors(document.metadata)
        if not names:
            return {}
        found: dict[DocumentKey, float] = {}
        for id_, facts in self._reader.documents(list(self._scores)).items():
            if (facts.id in names or facts.uri in names) and facts.key != document.key:
                found[facts.key] = max(self._scores[id_], found.get(facts.key, 0.0))
        return found


def _best_of_documents(passages: Iterable[IndexedChunk], documents: Mapping[ChunkId, DocumentFacts]) -> Iterator[Hit]:
    """The first passage of each document, with how many more it has."""
    counts = Counter(facts.key for facts in documents.values())
    seen: set[DocumentKey] = set()
    for passage in passages:
        key = passage.document.key
        if key not in seen:
            seen.add(key)
            yield Hit(passage, max(0, counts[key] - 1))


def relevant(scores: Sequence[float], weak: float) -> int:
    """How many of the scores, which never rise, are of passages that may be put in another order.

    Those with at least RELEVANT of the best score, or with `weak`, from which on a result is not called irrelevant.
    """
    least = min(weak, RELEVANT * scores[0]) if scores else 0.0
    return sum(score >= least for score in scores)


def by_time(entries: Iterable[T], passages: Sequence[IndexedChunk], *, newest: bool) -> list[T]:
    """The entries in the order of their documents' `updated_at`; equals by document and chunk id."""
    keyed = sorted(
        (_moment(passage.document.updated_at.timestamp(), newest), passage.document.id, passage.id, at)
        for at, passage in enumerate(passages)
    )
    listed = list(entries)
    return [listed[at] for *_, at in keyed]


def _ids_by_time(documents: Mapping[ChunkId, DocumentFacts], *, newest: bool) -> list[ChunkId]:
    keyed = [(_moment(facts.updated_at.timestamp(), newest), facts.id, id_) for id_, facts in documents.items()]
    return [id_ for *_, id_ in sorted(keyed)]


def _moment(seconds: float, newest: bool) -> float:
    return -seconds if newest else seconds
