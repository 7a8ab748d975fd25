"""What the catalogue says of candidates: their passages, and their documents without any text; read when wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from ingestion.corpus.corpus import CorpusView
from ingestion.corpus.facts_reader import DocumentFacts
from ingestion.corpus.records import ChunkId, IndexedChunk
from ingestion.corpus.scope import Scope

_NEXT = 20
"""Passages read at a time once the first ones were not enough."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One entry of a result list: its passage, and how many others of its document are among the candidates."""

    passage: IndexedChunk
    others: int = 0


class Reader:
    """Reads within one search, each thing once. Not for several threads."""

    def __init__(self, corpus: CorpusView, scope: Scope) -> None:
        self._corpus = corpus
        self._scope = scope
        self._passages: dict[ChunkId, IndexedChunk] = {}
        self._documents: dict[ChunkId, DocumentFacts] = {}
        self._asked: set[ChunkId] = set()

    def passages(self, ids: Iterable[ChunkId], first: int) -> Iterator[IndexedChunk]:
        """The live passages of these chunks in their order, `first` of them at once."""
        waiting = iter(ids)
        size = first
        while batch := list(islice(waiting, size)):
            unknown = [id_ for id_ in batch if id_ not in self._passages]
            self._passages |= self._corpus.get_chunks(self._scope, unknown)
            yield from (self._passages[id_] for id_ in batch if id_ in self._passages)
            size = _NEXT

    def documents(self, ids: Sequence[ChunkId]) -> dict[ChunkId, DocumentFacts]:
        """The document of each of the chunks that is live, in the order of `ids`."""
        unknown = [id_ for id_ in ids if id_ not in self._asked]
        if unknown:
            self._asked.update(unknown)
            self._documents |= self._corpus.documents_of(self._scope, unknown)
        return {id_: self._documents[id_] for id_ in ids if id_ in self._documents}
