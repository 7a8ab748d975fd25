"""How well a query names a title: who types a title, or an alert that is called like its runbook, wants that one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from ingestion.corpus.records import ChunkId
from ingestion.corpus.sparse import SparseEncoder

_KNOWN = 20_000
_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Titles:
    """The stems of titles, the last few thousand kept. Safe from several threads."""

    def __init__(self, encoder: SparseEncoder) -> None:
        self._encoder = encoder
        self._stems = lru_cache(maxsize=_KNOWN)(self._read)

    def shares(self, query: frozenset[str], titles: Mapping[ChunkId, str]) -> dict[ChunkId, float]:
        """Of each title the share of its distinct stems that are among those of the query, in [0, 1]."""
        return {id_: self._share(query, title) for id_, title in titles.items()}

    def _share(self, query: frozenset[str], title: str) -> float:
        stems = self._stems(title)
        return len(stems & query) / len(stems) if stems else 0.0

    def _read(self, title: str) -> frozenset[str]:
        # `NodeFilesystemFull` is four words here: as one word it would never be said.
        words = [part for word in _WORD.findall(title) for part in _HUMP.split(word)]
        return frozenset(self._encoder.terms(" ".join(words)))
