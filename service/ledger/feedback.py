"""Feedback: what people did with a result and said of it, joined to its trace.

What a trace showed, and whether feedback fits it, is left to `service.tracking.feedback`; what is learnt from it to
`service.quality`.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, insert, select

from ingestion.corpus.catalog_reader import Page, older_than, page_of
from ingestion.corpus.database import write_transaction
from ingestion.corpus.scope import TenantId
from service.ledger.tables import feedback


class Kind(StrEnum):
    CLICK = "click"
    RATING = "rating"
    CORRECTION = "correction"
    OUTCOME = "outcome"


class Rating(StrEnum):
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class FeedbackRecord:
    """One piece of feedback. The columns of the table `feedback`; `text` is as it may be kept (see `Masker`).

    `rank` counts what the trace showed from 1. What does not belong to the kind is None.
    """

    tenant: str
    trace_id: str
    kind: str
    chunk_id: str | None = None
    rank: int | None = None
    rating: str | None = None
    text: str | None = None
    outcome: str | None = None
    key_id: str | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class FeedbackFilter:
    """Which feedback; None: all. Times are half-open: `since <= at < until`."""

    kind: Kind | None = None
    rating: Rating | None = None
    trace_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


_FIELDS = tuple(one.name for one in fields(FeedbackRecord))
_ALL = FeedbackFilter()


class Feedback:
    """Keeps and reads feedback. Safe from several threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, record: FeedbackRecord) -> None:
        """It is stored when this returns."""
        with write_transaction(self._engine) as connection:
            connection.execute(insert(feedback).values(asdict(record)))

    def of_trace(self, tenant: TenantId, trace_id: str) -> tuple[FeedbackRecord, ...]:
        """All feedback on one trace, oldest first."""
        return self.of_traces(tenant, [trace_id])

    def of_traces(self, tenant: TenantId, trace_ids: Sequence[str]) -> tuple[FeedbackRecord, ...]:
        """All feedback on those traces, oldest first."""
        wanted = select(feedback).where(feedback.c.tenant == tenant, feedback.c.trace_id.in_(trace_ids))
        with self._engine.connect() as connection:
            rows = connection.execute(wanted.order_by(feedback.c.at, feedback.c.id)).all()
        return tuple(_record(row) for row in rows)

    def list(
        self, tenant: TenantId, wanted: FeedbackFilter = _ALL, *, cursor: str | None = None, limit: int = 50
    ) -> Page[FeedbackRecord]:
        """Feedback, newest first. Raises: InvalidRequest for a cursor that this method did not give."""
        conditions = _conditions(tenant, wanted)
        if cursor is not None:
            conditions.append(older_than(cursor, feedback.c.at, feedback.c.id))
        ordered = select(feedback).where(*conditions).order_by(feedback.c.at.desc(), feedback.c.id.desc())
        with self._engine.connect() as connection:
            rows = connection.execute(ordered.limit(limit + 1)).all()
        return page_of([_record(row) for row in rows], limit, lambda record: (record.at, record.id))


def _conditions(tenant: TenantId, wanted: FeedbackFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [feedback.c.tenant == tenant]
    for column, value in (
        (feedback.c.kind, wanted.kind),
        (feedback.c.rating, wanted.rating),
        (feedback.c.trace_id, wanted.trace_id),
    ):
        if value is not None:
            conditions.append(column == str(value))
    if wanted.since is not None:
        conditions.append(feedback.c.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(feedback.c.at < wanted.until)
    return conditions


def _record(row: Row[Any]) -> FeedbackRecord:
    return FeedbackRecord(**{name: row._mapping[name] for name in _FIELDS})
