"""What a point carries beside its vectors, the same on both engines; the text itself stays in the catalogue.

tenant, collection, document_key, document_id, version, source, title    strings
readers       who may read it: its labels, or `*` (scope.readers_of)
labels        its labels, possibly none
updated_at    RFC 3339 UTC
facts         every metadata key and value as one list of strings, so that one keyword index serves any key
metadata      the numbers and times among the metadata again, for ranges; keys percent-encoded
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus.filters import Value, is_finite, is_time
from ingestion.corpus.index.engine import IndexPoint
from ingestion.corpus.literal import encodable
from ingestion.corpus.records import ChunkId, Metadata
from ingestion.corpus.scope import Scope, readers_of
from ingestion.errors import DimensionMismatch

DENSE = "dense"
LEXICAL = "lexical"
KEYWORD_INDEXES = ("collection", "readers", "labels", "document_key", "document_id", "source", "title", "facts")
"""Payload fields with a keyword index, beside `tenant`, which is indexed as the tenant."""
TIME_INDEXES = ("updated_at",)


def payload_of(scope: Scope, point: IndexPoint) -> dict[str, Any]:
    """The payload of a point written in this scope."""
    payload: dict[str, Any] = {
        "tenant": scope.tenant,
        "collection": point.collection,
        "readers": list(readers_of(point.labels)),
        "labels": list(point.labels),
        "document_key": point.document_key,
        "document_id": point.document_id,
        "version": point.version,
        "source": point.source,
        "title": encodable(point.title),
        "updated_at": timestamp(point.updated_at),
        **metadata_facts(point.metadata),
    }
    return payload


def timestamp(moment: datetime) -> str:
    """RFC 3339 UTC; a moment without zone is taken as UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")


def metadata_path(name: str) -> str:
    """JSON path of a metadata key inside `metadata`, safe for any name."""
    return f'metadata."{_encode(name)}"'


def fact(name: str, value: Value) -> str:
    """What `facts` holds if the metadata key has this value: 3 and 3.0 are the same, 3 and "3" and True are not."""
    key = _encode(name)
    match value:
        case bool():
            return f"bool:{key}={value}"
        case str():
            return f"text:{key}={encodable(value)}"
        case _:
            return f"number:{key}={float(value) + 0.0!r}"  # + 0.0 makes -0.0 equal 0.0


def presence(name: str) -> str:
    """What `facts` holds if the metadata key has any value."""
    return f"key:{_encode(name)}"


def dense_vectors(records: Iterable[Any]) -> dict[ChunkId, NDArray[np.float32]]:
    """Dense vectors of either engine's records."""
    return {ChunkId(str(record.id)): np.asarray(record.vector[DENSE], dtype=np.float32) for record in records}


def check_dimension(vectors: Sequence[NDArray[np.float32]], dimension: int) -> None:
    """Raises DimensionMismatch for the first vector that is not `(dimension,)`."""
    for vector in vectors:
        if vector.shape != (dimension,):
            raise DimensionMismatch(f"the index holds vectors of {dimension} dimensions, got shape {vector.shape}")


def mismatch(name: str, stored: int, wanted: int) -> DimensionMismatch:
    return DimensionMismatch(
        f"index {name} holds vectors of {stored} dimensions, but the embedding model gives {wanted}: "
        "set the embedding model back, or ingest again into a new data folder or index prefix"
    )


def metadata_facts(metadata: Metadata) -> dict[str, Any]:
    """`facts` and `metadata` of a payload."""
    facts: list[str] = []
    ranges: dict[str, Any] = {}
    for name, value in metadata.items():
        values = [one for one in (value if isinstance(value, list) else [value]) if _is_storable(one)]
        facts += [fact(name, one) for one in values]
        if values:
            facts.append(presence(name))
        ordered = [one if isinstance(one, str) else float(one) for one in values if _has_order(one)]
        if ordered:
            ranges[_encode(name)] = ordered
    return {"facts": facts, "metadata": ranges}


def _is_storable(value: Value) -> bool:
    return is_finite(value) if isinstance(value, int | float) else True


def _has_order(value: Value) -> bool:
    return is_time(value) if isinstance(value, str) else not isinstance(value, bool)


def _encode(name: str) -> str:
    # Neither quotes nor backslashes, which JSON paths have no way to write, come out of percent-encoding.
    return quote(name, safe="", errors="surrogatepass")
