"""Traces: one record of every search, context pack and answer, with all that is needed to judge it later.

How a result becomes a trace is left to `service.tracking`, aggregates over traces to `service.quality`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, or_, select

from ingestion.corpus.scope import TenantId
from ingestion.errors import NotFound
from service.ledger.tables import traces


class Operation(StrEnum):
    SEARCH = "search"
    CONTEXT = "context"
    ANSWER = "answer"


class Outcome(StrEnum):
    """How an operation ended; one that failed has the code of its error instead."""

    OK = "ok"
    REFUSED = "refused"
    CLOSED = "closed"
    """Whoever asked left before the end."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One operation. The columns of the table `traces`, which says what each means; scores lie in [0, 1].

    What an operation has not got is None. `body` holds what is only read one trace at a time (see
    `service.tracking.bodies`).
    """

    id: str
    query_id: str
    tenant: str
    at: datetime
    operation: str
    outcome: str
    total_ms: float
    hits: int = 0
    key_id: str | None = None
    request_id: str | None = None
    collection: str | None = None
    query: str | None = None
    query_hash: str | None = None
    relevance: str | None = None
    confidence: float | None = None
    top_score: float | None = None
    margin: float | None = None
    legs_agree: bool | None = None
    refusal: str | None = None
    degraded: str | None = None
    degraded_mode: str | None = None
    grounding: str | None = None
    grounding_score: float | None = None
    sentences: int | None = None
    unsupported: int | None = None
    citation_precision: float | None = None
    citation_recall: float | None = None
    tier: str | None = None
    model: str | None = None
    prompt_version: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    index_version: str | None = None
    embedder: str | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    documents: Sequence[str] = ()
    body: Mapping[str, Any] = field(default_factory=dict)


_FIELDS = tuple(one.name for one in fields(Trace))


def write_traces(connection: Connection, records: Sequence[Trace]) -> None:
    """Insert the traces."""
    connection.execute(insert(traces), [{name: getattr(record, name) for name in _FIELDS} for record in records])


class Traces:
    """Reads traces. Safe from several threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, tenant: TenantId, id_: str) -> Trace:
        """The trace with that id, or of that query. Raises: NotFound."""
        wanted = select(traces).where(traces.c.tenant == tenant, or_(traces.c.id == id_, traces.c.query_id == id_))
        with self._engine.connect() as connection:
            row = connection.execute(wanted.limit(1)).one_or_none()
        if row is None:
            raise NotFound(f"no trace {id_!r}: it was never made, is not written yet, or is past its time")
        return _trace(row)


def _trace(row: Row[Any]) -> Trace:
    return Trace(**{name: row._mapping[name] for name in _FIELDS})
