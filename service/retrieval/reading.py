"""The passages of a ranking, read as far as they are wanted, and no further."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from ingestion.corpus.corpus import CorpusView
from ingestion.corpus.records import ChunkId, DocumentKey, IndexedChunk
from ingestion.corpus.scope import Scope

_NEXT = 20
"""Passages read at a time once the first ones were not enough."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One entry of a result list: its passage, and how many others of its document are among the candidates."""

    passage: IndexedChunk
    others: int = 0


def read(corpus: CorpusView, scope: Scope, ids: Iterable[ChunkId], first: int) -> Iterator[IndexedChunk]:
    """The live passages of these chunks in their order, `first` of them at once."""
    waiting = iter(ids)
    size = first
    while batch := list(islice(waiting, size)):
        chunks = corpus.get_chunks(scope, batch)
        yield from (chunks[id_] for id_ in batch if id_ in chunks)
        size = _NEXT


def best_of_documents(passages: Iterable[IndexedChunk], counts: dict[DocumentKey, int]) -> Iterator[Hit]:
    """The first passage of each document. `counts`: the candidates of each document."""
    seen: set[DocumentKey] = set()
    for passage in passages:
        key = passage.document.key
        if key not in seen:
            seen.add(key)
            yield Hit(passage, max(0, counts.get(key, 1) - 1))
