"""The protocol of an index engine and the values that cross it; no Qdrant type leaves this package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus.filters import Filter
from ingestion.corpus.records import ChunkId, DocumentId, DocumentKey, Metadata, VersionId
from ingestion.corpus.scope import Scope
from ingestion.corpus.sparse import SparseVector


@dataclass(frozen=True, slots=True)
class IndexPoint:
    """One chunk as the index stores it. `dense` is `(dim,) float32`, L2-normalised."""

    id: ChunkId
    document_key: DocumentKey
    document_id: DocumentId
    version: VersionId
    collection: str
    labels: tuple[str, ...]
    dense: NDArray[np.float32]
    sparse: SparseVector
    source: str
    title: str
    updated_at: datetime
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IndexQuery:
    """What to look for. A leg whose vector is None is not run; `limit` holds per leg."""

    dense: NDArray[np.float32] | None = None
    sparse: SparseVector | None = None
    limit: int = 50
    collections: tuple[str, ...] = ()
    filter: Filter | None = None


class IndexHit(NamedTuple):
    """One hit of a leg. A tuple, since every search makes hundreds."""

    id: ChunkId
    score: float


@dataclass(frozen=True, slots=True)
class Legs:
    """Ranked hits per leg, best first; dense scores are cosines, sparse scores BM25."""

    dense: tuple[IndexHit, ...] = ()
    sparse: tuple[IndexHit, ...] = ()


def ranking(points: Iterable[Any]) -> tuple[IndexHit, ...]:
    """Either engine's scored points as hits, best first; equal scores in id order."""
    hits = [IndexHit(ChunkId(str(point.id)), point.score) for point in points]
    return tuple(sorted(hits, key=lambda hit: (-hit.score, hit.id)))


class IndexEngine(Protocol):
    """Both engines pass tests/contracts/test_index_engine.py.

    Every method that touches points takes a `Scope` first, and adds the tenant (and reader) filter itself.
    Vendor errors come out as `BackendUnavailable` or `ConfigurationError`. Methods are safe from several threads.
    """

    def upsert(self, scope: Scope, points: Sequence[IndexPoint]) -> None:
        """Store the points (in small batches); the same id again replaces it. Visible to the next search."""
        ...

    def delete_version(self, scope: Scope, key: DocumentKey, version: VersionId) -> None:
        """Remove every chunk of that version of that document; none is fine. Effective at return."""
        ...

    def search(self, scope: Scope, query: IndexQuery) -> Legs:
        """Run the legs within the scope, in one round trip."""
        ...

    def count(self, scope: Scope, query: IndexQuery | None = None) -> int:
        """Exact number of chunks in the scope that pass the query's collections and filter."""
        ...

    def scan(self, scope: Scope, *, batch: int = 256) -> Iterator[tuple[ChunkId, DocumentKey, VersionId]]:
        """Every chunk in the scope, in id order: for reconciliation and tests, not for requests."""
        ...

    def vectors(self, scope: Scope, ids: Sequence[ChunkId]) -> dict[ChunkId, NDArray[np.float32]]:
        """The dense vectors, `(dim,) float32`, of those of the chunks that the scope may read."""
        ...

    def flush(self) -> None:
        """Make everything written durable. May stall readers: never on a request path."""
        ...

    def ping(self) -> None:
        """Raises BackendUnavailable if the engine cannot answer now."""
        ...

    def close(self) -> None: ...
