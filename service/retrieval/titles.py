"""How well a query names a title: who types a title, or an alert that is called like its runbook, wants that one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from ingestion.corpus.records import ChunkId
from ingestion.corpus.sparse import SparseEncoder

_KNOWN = 50_000
_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Titles:
    """The stems of the titles of chunks, tens of thousands kept: a chunk never changes its title. Safe from several
    threads.
    """

    def __init__(self, encoder: SparseEncoder) -> None:
        self._encoder = encoder
        self._stems: dict[ChunkId, frozenset[str]] = {}

    def shares(
        self,
        query: frozenset[str],
        chunks: Sequence[ChunkId],
        read: Callable[[Sequence[ChunkId]], Mapping[ChunkId, str]],
    ) -> dict[ChunkId, float]:
        """Of each chunk's title the share of its distinct stems that are among those of the query, in [0, 1].

        `read` gives the titles of those that are not known yet.
        """
        known = self._stems
        stems = {id_: known[id_] for id_ in chunks if id_ in known}
        if len(stems) < len(chunks):
            new = {id_: self._stem(title) for id_, title in read([id_ for id_ in chunks if id_ not in stems]).items()}
            stems |= new
            if len(known) + len(new) > _KNOWN:
                self._stems = new  # another thread may still read the old ones
            else:
                known.update(new)
        return {id_: len(of_title & query) / len(of_title) for id_, of_title in stems.items() if of_title}

    def _stem(self, title: str) -> frozenset[str]:
        # `NodeFilesystemFull` is three words here: as one word it would never be said.
        words = [part for word in _WORD.findall(title) for part in _HUMP.split(word)]
        return frozenset(self._encoder.terms(" ".join(words)))
