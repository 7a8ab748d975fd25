"""Qdrant Edge: the index in this process, searched exactly. One process at a time may open a folder (corpus.py locks).

Writes hold the interpreter's lock for the whole call, so they go in small batches; nothing here ever optimises.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus.filters import Number
from ingestion.corpus.index.conditions import ScopedFilter, among, metadata_ranges, reading, vendor_filter, writing
from ingestion.corpus.index.engine import IndexPoint, IndexQuery, Legs, ranking
from ingestion.corpus.index.payload import (
    DENSE,
    KEYWORD_INDEXES,
    LEXICAL,
    TIME_INDEXES,
    check_dimension,
    dense_vectors,
    mismatch,
    payload_of,
)
from ingestion.corpus.records import ChunkId, DocumentKey, VersionId
from ingestion.corpus.scope import Scope
from ingestion.errors import BackendUnavailable, ConfigurationError, PlumblineError

if TYPE_CHECKING:
    import qdrant_edge

_EVERYTHING = IndexQuery()
_MAX_RANGES = 32
"""Metadata keys that may have an index for ranges: each takes memory and time at every write."""


class EdgeIndex:
    """An `IndexEngine` over one folder. Reads run in parallel; writes take turns."""

    def __init__(self, folder: Path, *, dimension: int, write_batch: int) -> None:
        """Opens the index, or creates it. Raises: DimensionMismatch, ConfigurationError (a folder that won't open)."""
        import qdrant_edge

        self._q = qdrant_edge
        self._dialect = EdgeDialect()
        self._dimension = dimension
        self._write_batch = write_batch
        self._writing = threading.Lock()
        self._closed = False
        self._unflushed = False
        if folder.exists():
            _check_stored_dimension(folder, dimension)
        else:
            _create(folder, dimension)
        with _Translated(ConfigurationError, f"cannot open the index at {folder}"):
            self._shard = qdrant_edge.EdgeShard.load(str(folder))
            self._ranges = self._stored_ranges()

    def upsert(self, scope: Scope, points: Sequence[IndexPoint]) -> None:
        check_dimension([point.dense for point in points], self._dimension)
        for start in range(0, len(points), self._write_batch):
            batch = [self._point(scope, point) for point in points[start : start + self._write_batch]]
            self._update(self._q.UpdateOperation.upsert_points(batch))

    def delete_version(self, scope: Scope, key: DocumentKey, version: VersionId) -> None:
        where = writing(self._dialect, scope, key, version)
        self._update(self._q.UpdateOperation.delete_points_by_filter(vendor_filter(where)))

    def search(self, scope: Scope, query: IndexQuery) -> Legs:
        where = self._reading(scope, query)
        requests = []
        if query.dense is not None:
            check_dimension([query.dense], self._dimension)
            requests.append(self._nearest(query.dense.tolist(), DENSE, where, query.limit))
        if query.sparse is not None and query.sparse.indices:
            lexical = self._q.SparseVector(list(query.sparse.indices), list(query.sparse.values))
            requests.append(self._nearest(lexical, LEXICAL, where, query.limit))
        if not requests:
            return Legs()
        with _translated():
            ranked = [ranking(leg) for leg in self._shard.query_batch(self._q.QueryBatchRequest(requests))]
        dense = ranked.pop(0) if query.dense is not None else ()
        return Legs(dense, tuple(hit for hit in (ranked[0] if ranked else ()) if hit.score > 0))

    def count(self, scope: Scope, query: IndexQuery | None = None) -> int:
        where = self._reading(scope, query or _EVERYTHING)
        with _translated():
            return self._shard.count(self._q.CountRequest(exact=True, filter=vendor_filter(where)))

    def scan(self, scope: Scope, *, batch: int = 256) -> Iterator[tuple[ChunkId, DocumentKey, VersionId]]:
        where = reading(self._dialect, scope, _EVERYTHING)
        offset: Any = None
        while True:
            records, offset = self._scroll(where, batch, offset=offset, fields=["document_key", "version"])
            for record in records:
                payload = record.payload or {}
                yield ChunkId(str(record.id)), DocumentKey(payload["document_key"]), VersionId(payload["version"])
            if offset is None:
                return

    def vectors(self, scope: Scope, ids: Sequence[ChunkId]) -> dict[ChunkId, NDArray[np.float32]]:
        if not ids:
            return {}
        where = among(self._dialect, scope, ids)
        request = self._q.ScrollRequest(
            limit=len(ids), filter=vendor_filter(where), with_payload=False, with_vector=[DENSE]
        )
        with _translated():
            records, _ = self._shard.scroll(request)
        return dense_vectors(records)

    def flush(self) -> None:
        with self._writing, _translated():
            self._shard.flush()
            self._unflushed = False

    def ping(self) -> None:
        with _translated():
            self._shard.info()

    def close(self) -> None:
        with self._writing:
            if self._closed:
                return
            self._closed = True
            with _translated():
                if self._unflushed:
                    self._shard.flush()
                self._shard.close()

    def _reading(self, scope: Scope, query: IndexQuery) -> ScopedFilter:
        """What the query selects; a metadata key that is compared with bounds for the first time gets an index.

        At 100,000 points that takes a second, once; without one every such query would take a third of that.
        """
        for path, times in metadata_ranges(query.filter):
            with self._writing:
                self._index_range(path, times)
        return reading(self._dialect, scope, query)

    def _index_range(self, path: str, times: bool) -> None:
        # An index over numbers finds no times, nor the other way round, and a field has one: a key that is compared
        # with both can't have any.
        if path not in self._ranges and len(self._ranges) < _MAX_RANGES:
            kind = self._q.PayloadSchemaType.Datetime if times else self._q.PayloadSchemaType.Float
            operation = self._q.UpdateOperation.create_field_index(path, kind)
            present: bool | None = times
        elif self._ranges.get(path) == (not times):
            operation = self._q.UpdateOperation.delete_field_index(path)
            present = None
        else:
            return
        with _translated():
            self._unflushed = True
            self._shard.update(operation)
        self._ranges[path] = present

    def _stored_ranges(self) -> dict[str, bool | None]:
        """The metadata paths that have an index, and whether it is over times; None for one that must not have any."""
        fields = {name.replace('"', ""): info for name, info in self._shard.info().payload_schema.items()}
        return {
            f'metadata."{name.removeprefix("metadata.")}"': info.data_type == self._q.PayloadSchemaType.Datetime
            for name, info in fields.items()
            if name.startswith("metadata.")
        }

    def _update(self, operation: qdrant_edge.UpdateOperation) -> None:
        with self._writing, _translated():
            self._unflushed = True
            self._shard.update(operation)

    def _scroll(
        self, where: ScopedFilter, limit: int, *, offset: Any = None, fields: list[str] | None = None
    ) -> tuple[list[qdrant_edge.Record], Any]:
        request = self._q.ScrollRequest(
            offset=offset, limit=limit, filter=vendor_filter(where), with_payload=fields or False, with_vector=False
        )
        with _translated():
            return self._shard.scroll(request)

    def _nearest(self, vector: Any, leg: str, where: ScopedFilter, limit: int) -> qdrant_edge.QueryRequest:
        query = self._q.Query.Nearest(vector, using=leg)
        return self._q.QueryRequest(limit=limit, query=query, filter=vendor_filter(where))

    def _point(self, scope: Scope, point: IndexPoint) -> qdrant_edge.Point:
        lexical = self._q.SparseVector(list(point.sparse.indices), list(point.sparse.values))
        return self._q.Point(point.id, {DENSE: point.dense.tolist(), LEXICAL: lexical}, payload_of(scope, point))


class EdgeDialect:
    """`conditions.Dialect` in the classes of qdrant_edge."""

    def __init__(self) -> None:
        import qdrant_edge

        self._q = qdrant_edge

    def group(self, *, must: list[Any], should: list[Any], must_not: list[Any]) -> Any:
        return self._q.Filter(must=must or None, should=should or None, must_not=must_not or None)

    def match(self, path: str, values: Sequence[str]) -> Any:
        match = self._q.MatchValue(values[0]) if len(values) == 1 else self._q.MatchAny(list(values))
        return self._q.FieldCondition(path, match=match)

    def number_range(self, path: str, bounds: Mapping[str, Number]) -> Any:
        return self._q.FieldCondition(path, range=self._q.RangeFloat(**bounds))

    def time_range(self, path: str, bounds: Mapping[str, str]) -> Any:
        return self._q.FieldCondition(path, range=self._q.RangeDateTime(**bounds))

    def is_empty(self, path: str) -> Any:
        return self._q.IsEmptyCondition(path)

    def has_id(self, ids: Sequence[ChunkId]) -> Any:
        return self._q.HasIdCondition(set(ids))


class _Translated:
    """Turns what Edge raises into our error. Edge raises bare `Exception`s, which no `except` short of all can name."""

    def __init__(self, error: type[PlumblineError], what: str) -> None:
        self._error = error
        self._what = what

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is Exception:
            raise self._error(f"{self._what}: {error}") from error


def _translated() -> _Translated:
    return _Translated(BackendUnavailable, "the embedded index failed")


def _create(folder: Path, dimension: int) -> None:
    # Built beside its place and moved in whole, so that a crash leaves either a complete index or none.
    import qdrant_edge as q

    unfinished = folder.with_name(folder.name + ".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    # m=0 builds no graph: an embedded corpus is searched exactly.
    plain = q.HnswIndexConfig(m=0, ef_construct=16, full_scan_threshold=10_000)
    config = q.EdgeConfig(
        vectors={DENSE: q.EdgeVectorParams(dimension, q.Distance.Cosine, hnsw_config=plain)},
        sparse_vectors={LEXICAL: q.EdgeSparseVectorParams(modifier=q.Modifier.Idf)},
    )
    schemas: dict[str, Any] = {"tenant": q.KeywordIndexParams(is_tenant=True)}
    schemas |= dict.fromkeys(KEYWORD_INDEXES, q.PayloadSchemaType.Keyword)
    schemas |= dict.fromkeys(TIME_INDEXES, q.PayloadSchemaType.Datetime)
    with _Translated(ConfigurationError, f"cannot create the index at {folder}"):
        shard = q.EdgeShard.create(str(unfinished), config)
        for name, schema in schemas.items():
            shard.update(q.UpdateOperation.create_field_index(name, schema))
        shard.flush()
        shard.close()
    unfinished.rename(folder)


def _check_stored_dimension(folder: Path, dimension: int) -> None:
    try:
        config = json.loads((folder / "edge_config.json").read_text())
        stored = int(config["vectors"][DENSE]["size"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{folder} is not an index, or is damaged: move it away and ingest again") from error
    if stored != dimension:
        raise mismatch(folder.name, stored, dimension)
