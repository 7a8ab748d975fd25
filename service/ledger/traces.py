"""Traces: one record of every search, context pack and answer, with all that is needed to judge it later.

How a result becomes a trace is left to `service.tracking`, aggregates over traces to `service.quality`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, Engine, Row, String, and_, case, exists, func, or_, select

from ingestion.corpus.catalog_reader import Page
from ingestion.corpus.scope import TenantId
from ingestion.errors import InvalidRequest, NotFound
from service.ledger.model_calls import ModelCall, calls_of
from service.ledger.tables import feedback, traces


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


@dataclass(frozen=True, slots=True)
class TraceRow:
    """A trace as the database takes it, column by column: its JSON is written."""

    values: tuple[Any, ...]


_FIELDS = tuple(one.name for one in fields(Trace))
_AT = _FIELDS.index("at")
_JSON = frozenset(name for name in _FIELDS if isinstance(traces.c[name].type, JSON))
_LENGTHS = tuple(
    (position, length)
    for position, name in enumerate(_FIELDS)
    if isinstance(kind := traces.c[name].type, String) and (length := kind.length)
)
_ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)
_SQLITE_TIME = "%Y-%m-%d %H:%M:%S.%f"
"""As SQLAlchemy writes it."""


def row_of(trace: Trace) -> TraceRow:
    """The trace, ready to be written; texts that are too long for their column lose their end."""
    values = [
        _ENCODER.encode(value) if name in _JSON else value
        for name, value in zip(_FIELDS, map(trace.__getattribute__, _FIELDS), strict=True)
    ]
    for position, length in _LENGTHS:
        if values[position] is not None and len(values[position]) > length:
            values[position] = values[position][:length]
    return TraceRow(tuple(values))


def write_trace_rows(connection: Connection, rows: Sequence[TraceRow]) -> None:
    """Insert the traces; what is there already stays as it is.

    Through the driver: SQLAlchemy would spend four times as long over a row as the database does, in a process that
    others wait for.
    """
    sqlite = connection.dialect.name == "sqlite"
    mark = "?" if sqlite else "%s"
    names = ", ".join(f'"{name}"' for name in _FIELDS)
    marks = ", ".join([mark] * len(_FIELDS))
    values = [
        (*row.values[:_AT], row.values[_AT].astimezone(UTC).strftime(_SQLITE_TIME), *row.values[_AT + 1 :])
        if sqlite
        else row.values
        for row in rows
    ]
    statement = f"INSERT INTO traces ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608 (our own names)
    connection.exec_driver_sql(statement, values)


def write_traces(connection: Connection, records: Sequence[Trace]) -> None:
    """Insert the traces; what is there already stays as it is."""
    write_trace_rows(connection, [row_of(record) for record in records])


class Sort(StrEnum):
    NEWEST = "newest"
    WORST = "worst"
    """What someone complained about first (a rating `down` or a correction); then by the grounding score of answers,
    in its absence by the confidence of the search, lowest first; what failed has neither, and counts as 0."""


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """Which traces; None: all. Times are half-open: `since <= at < until`."""

    operation: Operation | None = None
    outcome: str | None = None
    relevance: str | None = None
    grounding: str | None = None
    collection: str | None = None
    model: str | None = None
    prompt_version: str | None = None
    query_hash: str | None = None
    since: datetime | None = None
    until: datetime | None = None


_ALL = TraceFilter()
_EQUAL = ("operation", "outcome", "relevance", "grounding", "collection", "model", "prompt_version", "query_hash")
_LISTED = tuple(name for name in _FIELDS if name != "body")


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

    def calls(self, tenant: TenantId, trace: Trace) -> Sequence[ModelCall]:
        """The calls to models that were made for it, first to last."""
        return calls_of(self._engine, tenant, trace.id) if trace.operation == Operation.ANSWER else ()

    def list(
        self,
        tenant: TenantId,
        wanted: TraceFilter = _ALL,
        *,
        sort: Sort = Sort.NEWEST,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Trace]:
        """Traces without their bodies. Raises: InvalidRequest for a cursor that this method did not give."""
        order = _order(tenant) if sort is Sort.WORST else ()
        conditions = _conditions(tenant, wanted)
        if cursor is not None:
            conditions.append(_after(order, cursor))
        chosen = select(*(traces.c[name] for name in _LISTED), *(key.label(f"key{n}") for n, key in enumerate(order)))
        ordered = chosen.where(*conditions).order_by(*order, traces.c.at.desc(), traces.c.id.desc())
        with self._engine.connect() as connection:
            rows = connection.execute(ordered.limit(limit + 1)).all()
        items = tuple(Trace(**{name: row._mapping[name] for name in _LISTED}) for row in rows[:limit])
        return Page(items, _cursor(rows[limit - 1], len(order)) if len(rows) > limit else None)


def _trace(row: Row[Any]) -> Trace:
    return Trace(**{name: row._mapping[name] for name in _FIELDS})


def _conditions(tenant: TenantId, wanted: TraceFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [traces.c.tenant == tenant]
    for name in _EQUAL:
        if (value := getattr(wanted, name)) is not None:
            conditions.append(traces.c[name] == str(value))
    if wanted.since is not None:
        conditions.append(traces.c.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(traces.c.at < wanted.until)
    return conditions


def _order(tenant: TenantId) -> tuple[ColumnElement[Any], ...]:
    """Of the worst first, ascending: 0 where someone complained, else 1; then the score."""
    complaint = exists().where(
        feedback.c.tenant == tenant,
        feedback.c.trace_id == traces.c.id,
        or_(feedback.c.rating == "down", feedback.c.kind == "correction"),
    )
    return case((complaint, 0), else_=1), func.coalesce(traces.c.grounding_score, traces.c.confidence, 0.0)


def _cursor(last: Row[Any], keys: int) -> str:
    told = last._mapping
    position = [*(told[f"key{n}"] for n in range(keys)), told["at"].isoformat(), told["id"]]
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _after(order: Sequence[ColumnElement[Any]], cursor: str) -> ColumnElement[bool]:
    """What comes after the cursor. Raises: InvalidRequest."""
    try:
        *keys, moment, id_ = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        when = datetime.fromisoformat(moment)
        numbers = [float(key) for key in keys]
        if when.tzinfo is None or not isinstance(id_, str) or len(keys) != len(order):
            raise ValueError(cursor)
    except (ValueError, TypeError, binascii.Error) as error:
        raise InvalidRequest(
            "not a cursor of this list: use `next_cursor` of the page before, and the same `sort`", pointer="/cursor"
        ) from error
    after: ColumnElement[bool] = or_(traces.c.at < when, and_(traces.c.at == when, traces.c.id < id_))
    for key, number in reversed(list(zip(order, numbers, strict=True))):
        after = or_(key > number, and_(key == number, after))
    return after
