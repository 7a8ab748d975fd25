"""Points for the contract suite of the index: small, deterministic, with real text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus import filters
from ingestion.corpus.index.engine import IndexPoint, IndexQuery
from ingestion.corpus.records import ChunkId, DocumentKey, VersionId, chunk_id, document_key
from ingestion.corpus.records import DocumentId as Id
from ingestion.corpus.scope import Scope, TenantId
from ingestion.corpus.sparse import SparseEncoder

DIMENSION = 16
ACME = Scope(TenantId("acme"))
OTHER = Scope(TenantId("other"))
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)


def unit(seed: int) -> NDArray[np.float32]:
    """A unit vector of `DIMENSION`, the same for the same seed."""
    vector = np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def key_of(scope: Scope, number: int, collection: str = "default") -> DocumentKey:
    return document_key(scope.tenant, collection, Id(f"doc-{number}"))


def point(scope: Scope, number: int, text: str = "", **changes: Any) -> IndexPoint:
    """The only chunk of document `number`, dated `number` days after the epoch, with the words of `text`; `changes`
    replace fields.
    """
    version = VersionId(changes.get("version", "v1"))
    key = key_of(scope, number, changes.get("collection", "default"))
    fields: dict[str, Any] = {
        "id": chunk_id(key, version, changes.pop("position", 0)),
        "document_key": key,
        "version": version,
        "collection": "default",
        "labels": (),
        "dense": unit(number),
        "sparse": SparseEncoder().encode_document(text),
        "source": "upload",
        "title": f"Document {number}",
        "updated_at": EPOCH + timedelta(days=number),
        "document_id": f"doc-{number}",
    }
    return IndexPoint(**(fields | changes))


def points(scope: Scope, texts: Sequence[str]) -> list[IndexPoint]:
    """One point per text, numbered from 0."""
    return [point(scope, number, text) for number, text in enumerate(texts)]


def selecting(*must: dict[str, Any], **groups: list[dict[str, Any]]) -> IndexQuery:
    """A query whose filter is the given JSON."""
    return IndexQuery(filter=filters.parse({"must": list(must), **groups}))


def ids(found: Sequence[IndexPoint]) -> set[ChunkId]:
    return {one.id for one in found}
