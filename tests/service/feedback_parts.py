"""Traces and clicks for tests, as searches leave them in the ledger."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine

from ingestion.corpus.database import write_transaction
from service.ledger.feedback import Feedback, FeedbackRecord, Kind
from service.ledger.traces import Operation, Trace, write_traces

TENANT = "acme"
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def passage(name: str, score: float = 0.5, **more: Any) -> dict[str, Any]:
    """A passage as the body of a trace holds it; `name` is its chunk's id."""
    uri = f"docs/{name}.md"
    return {"chunk_id": name, "document": f"key-{name}", "uri": uri, "title": name, "score": score} | more


def search_trace(*names: str, query: str = "how to restart", **changes: Any) -> Trace:
    """A search that showed these chunks, best first."""
    id_ = str(uuid.uuid4())
    trace = Trace(
        id=id_,
        query_id=id_,
        tenant=TENANT,
        at=AT,
        operation=Operation.SEARCH,
        outcome="ok",
        total_ms=1.0,
        hits=len(names),
        query=query,
        query_hash=f"hash of {query}",
        collection="docs",
        body={"passages": [passage(name) for name in names]},
    )
    return replace(trace, **changes)


def keep(engine: Engine, *traces: Trace) -> None:
    with write_transaction(engine) as connection:
        write_traces(connection, traces)


def click(engine: Engine, trace: Trace, chunk: str, *, at: str | None = None) -> None:
    """What opening a hit leaves in the ledger; `at`: the hit that the chunk was folded into."""
    ranks = [one["chunk_id"] for one in trace.body["passages"]]
    rank = ranks.index(at or chunk) + 1 + trace.body.get("offset", 0)
    Feedback(engine).add(
        FeedbackRecord(trace.tenant, trace.id, Kind.CLICK, chunk_id=chunk, rank=rank, key_id=trace.key_id)
    )
