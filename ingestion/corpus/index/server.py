"""A Qdrant server or cluster over gRPC: the index when several processes share it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus.filters import Number
from ingestion.corpus.index.conditions import ScopedFilter, among, reading, vendor_filter, writing
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
from ingestion.settings import IndexSettings

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

_EVERYTHING = IndexQuery()
# Measured at 100,000 vectors: the default finds 87 of 100 true neighbours, this 97.
_HNSW_EF = 256


class ServerIndex:
    """An `IndexEngine` over one collection of a Qdrant server."""

    def __init__(self, settings: IndexSettings, *, name: str, dimension: int) -> None:
        """Opens the collection, or creates it. Raises: DimensionMismatch, ConfigurationError, BackendUnavailable."""
        import grpc  # type: ignore[import-untyped]
        from qdrant_client import models

        self._m = models
        self._rpc_error = grpc.RpcError
        self._name = name
        self._dimension = dimension
        self._write_batch = settings.write_batch
        self._translated = _translated(settings)
        self._client = _client(settings)
        with self._translated:
            self._prepare()
            self._dialect = ServerDialect()

    def upsert(self, scope: Scope, points: Sequence[IndexPoint]) -> None:
        check_dimension([point.dense for point in points], self._dimension)
        for start in range(0, len(points), self._write_batch):
            batch = [self._point(scope, point) for point in points[start : start + self._write_batch]]
            with self._translated:
                self._client.upsert(self._name, batch, wait=True)

    def delete_version(self, scope: Scope, key: DocumentKey, version: VersionId) -> None:
        where = writing(self._dialect, scope, key, version)
        with self._translated:
            self._client.delete(self._name, self._m.FilterSelector(filter=vendor_filter(where)), wait=True)

    def search(self, scope: Scope, query: IndexQuery) -> Legs:
        where = reading(self._dialect, scope, query)
        requests = []
        if query.dense is not None:
            check_dimension([query.dense], self._dimension)
            requests.append(self._nearest(query.dense.tolist(), DENSE, where, query.limit))
        if query.sparse is not None and query.sparse.indices:
            lexical = self._m.SparseVector(indices=list(query.sparse.indices), values=list(query.sparse.values))
            requests.append(self._nearest(lexical, LEXICAL, where, query.limit))
        if not requests:
            return Legs()
        with self._translated:
            ranked = [ranking(leg.points) for leg in self._client.query_batch_points(self._name, requests)]
        dense = ranked.pop(0) if query.dense is not None else ()
        return Legs(dense, tuple(hit for hit in (ranked[0] if ranked else ()) if hit.score > 0))

    def count(self, scope: Scope, query: IndexQuery | None = None) -> int:
        where = reading(self._dialect, scope, query or _EVERYTHING)
        with self._translated:
            return self._client.count(self._name, count_filter=vendor_filter(where), exact=True).count

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
        with self._translated:
            records, _ = self._client.scroll(
                self._name,
                scroll_filter=vendor_filter(where),
                limit=len(ids),
                with_payload=False,
                with_vectors=[DENSE],
            )
        return dense_vectors(records)

    def flush(self) -> None:
        """Nothing to do: the server answers a write once it is in its log."""

    def ping(self) -> None:
        with self._translated:
            self._client.get_collection(self._name)

    def close(self) -> None:
        self._client.close()

    def _prepare(self) -> None:
        # Several processes may start at once: each step is fine with another having done it.
        if not self._client.collection_exists(self._name):
            self._create()
        info = self._client.get_collection(self._name)
        vectors = info.config.params.vectors
        if not isinstance(vectors, dict) or DENSE not in vectors:
            raise ConfigurationError(f"collection {self._name} is not an index of this product: change the prefix")
        if vectors[DENSE].size != self._dimension:
            raise mismatch(self._name, vectors[DENSE].size, self._dimension)
        m = self._m
        schemas: dict[str, Any] = {"tenant": m.KeywordIndexParams(type=m.KeywordIndexType.KEYWORD, is_tenant=True)}
        schemas |= dict.fromkeys(KEYWORD_INDEXES, m.PayloadSchemaType.KEYWORD)
        schemas |= dict.fromkeys(TIME_INDEXES, m.PayloadSchemaType.DATETIME)
        for field, schema in schemas.items():
            if field not in info.payload_schema:
                self._client.create_payload_index(self._name, field, schema, wait=True)

    def _create(self) -> None:
        m = self._m
        try:
            self._client.create_collection(
                self._name,
                vectors_config={DENSE: m.VectorParams(size=self._dimension, distance=m.Distance.COSINE)},
                sparse_vectors_config={LEXICAL: m.SparseVectorParams(modifier=m.Modifier.IDF)},
            )
        except self._rpc_error as error:
            if _status(error) != "ALREADY_EXISTS":
                raise

    def _scroll(
        self, where: ScopedFilter, limit: int, *, offset: Any = None, fields: list[str] | None = None
    ) -> tuple[list[models.Record], Any]:
        with self._translated:
            return self._client.scroll(
                self._name, scroll_filter=vendor_filter(where), limit=limit, offset=offset, with_payload=fields or False
            )

    def _nearest(self, vector: Any, leg: str, where: ScopedFilter, limit: int) -> models.QueryRequest:
        params = self._m.SearchParams(hnsw_ef=_HNSW_EF) if leg == DENSE else None
        return self._m.QueryRequest(query=vector, using=leg, filter=vendor_filter(where), limit=limit, params=params)

    def _point(self, scope: Scope, point: IndexPoint) -> models.PointStruct:
        lexical = self._m.SparseVector(indices=list(point.sparse.indices), values=list(point.sparse.values))
        vector = {DENSE: point.dense.tolist(), LEXICAL: lexical}
        return self._m.PointStruct(id=point.id, vector=vector, payload=payload_of(scope, point))


class ServerDialect:
    """`conditions.Dialect` in the classes of qdrant_client."""

    def __init__(self) -> None:
        from qdrant_client import models

        self._m = models

    def group(self, *, must: list[Any], should: list[Any], must_not: list[Any]) -> Any:
        return self._m.Filter(must=must or None, should=should or None, must_not=must_not or None)

    def match(self, path: str, values: Sequence[str]) -> Any:
        match = self._m.MatchValue(value=values[0]) if len(values) == 1 else self._m.MatchAny(any=list(values))
        return self._m.FieldCondition(key=path, match=match)

    def number_range(self, path: str, bounds: Mapping[str, Number]) -> Any:
        return self._m.FieldCondition(key=path, range=self._m.Range(**bounds))

    def time_range(self, path: str, bounds: Mapping[str, str]) -> Any:
        return self._m.FieldCondition(key=path, range=self._m.DatetimeRange.model_validate(bounds))

    def is_empty(self, path: str) -> Any:
        return self._m.IsEmptyCondition(is_empty=self._m.PayloadField(key=path))

    def has_id(self, ids: Sequence[ChunkId]) -> Any:
        return self._m.HasIdCondition(has_id=list(ids))


def drop_collection(settings: IndexSettings, name: str) -> None:
    """Remove a collection; none of that name is fine. Raises: BackendUnavailable, ConfigurationError."""
    with closing(_client(settings)) as client, _translated(settings):
        client.delete_collection(name)


def _client(settings: IndexSettings) -> QdrantClient:
    from qdrant_client import QdrantClient

    return QdrantClient(
        url=settings.url,
        grpc_port=settings.grpc_port,
        prefer_grpc=True,
        api_key=settings.api_key.get_secret_value() if settings.api_key else None,
        timeout=math.ceil(settings.timeout_s),
        check_compatibility=False,  # it would print a warning
    )


def _translated(settings: IndexSettings) -> _Translated:
    import grpc

    return _Translated(f"Qdrant at {urlsplit(settings.url).hostname}:{settings.grpc_port}", grpc.RpcError)


class _Translated:
    """Turns what the client raises into our errors. Names the server's address, never the key."""

    def __init__(self, server: str, rpc_error: type[Exception]) -> None:
        self._server = server
        self._rpc_error = rpc_error

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        from qdrant_client.common.client_exceptions import QdrantException

        if isinstance(error, self._rpc_error):
            status = _status(error)
            raise _ERRORS.get(status, BackendUnavailable)(f"{self._server}: {_details(error)} ({status})") from error
        if isinstance(error, QdrantException):
            raise BackendUnavailable(f"{self._server}: {error}") from error
        if isinstance(error, ValueError) and "closed channel" in str(error):
            raise BackendUnavailable(f"{self._server}: the connection is closed") from error


# Any other status is an outage, and trying again may help.
_ERRORS: dict[str, type[PlumblineError]] = dict.fromkeys(
    ("INVALID_ARGUMENT", "NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED", "UNIMPLEMENTED"), ConfigurationError
)


def _status(error: Any) -> str:
    return str(error.code().name)


def _details(error: Any) -> str:
    return str(error.details() or "no details")[:300]
