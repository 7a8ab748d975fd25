"""Traces as the tracker would have kept them, for the tests of gaps and of knowledge health."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from service.ledger.traces import Trace, write_traces
from service.quality.windows import Window

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WEEK = Window(NOW - timedelta(days=7), NOW)


def trace(query: str | None, *, hours_ago: float = 1, at: datetime | None = None, **values: Any) -> Trace:
    """A search that found something, unless `values` say otherwise."""
    id_ = str(uuid.uuid4())
    given = {
        "id": id_,
        "query_id": id_,
        "tenant": "default",
        "at": at or NOW - timedelta(hours=hours_ago),
        "operation": "search",
        "outcome": "ok",
        "total_ms": 5.0,
        "hits": 3,
        "query": query,
        "query_hash": None if query is None else hashlib.sha256(query.casefold().encode()).hexdigest(),
        "relevance": "strong",
        "collection": "default",
    }
    return Trace(**{**given, **values})


def keep(engine: Engine, traces: Sequence[Trace]) -> None:
    with engine.begin() as connection:
        write_traces(connection, traces)
