"""The lexical half: stemmed BM25 weights as sparse vectors, completed by Qdrant's IDF modifier."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Parallel arrays; `indices` are distinct unsigned 32-bit term ids in ascending order."""

    indices: tuple[int, ...]
    values: tuple[float, ...]
