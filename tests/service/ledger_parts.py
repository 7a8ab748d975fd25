"""Traces, feedback and calls to models made by hand, written as the service writes them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, insert

from ingestion.corpus.database import open_database, write_transaction
from ingestion.settings import Settings
from service.ledger.database import migrate_ledger
from service.ledger.model_calls import ModelCall
from service.ledger.tables import feedback, model_calls
from service.ledger.traces import Trace, write_traces

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
PASSAGES = [
    {"chunk_id": f"c{rank}", "document": "d", "uri": f"{rank}.md", "title": "", "score": 1 / rank} for rank in (1, 2, 3)
]


def open_ledger(settings: Settings) -> Iterator[Engine]:
    """A database with the tables of the ledger, closed at the end."""
    engine = open_database(settings)
    migrate_ledger(engine)
    yield engine
    engine.dispose()


def search(at: datetime = NOW, **values: Any) -> Trace:
    """A search that found something."""
    told: dict[str, Any] = {
        "tenant": "acme",
        "operation": "search",
        "outcome": "ok",
        "total_ms": 12.0,
        "hits": 10,
        "collection": "runbooks",
        "relevance": "strong",
        "confidence": 0.9,
        "top_score": 0.8,
        "legs_agree": True,
        "timings": {"embed": 6.0, "total": 12.0},
        "body": {"offset": 0, "passages": PASSAGES},
    } | values
    return Trace(**({"id": str(uuid.uuid4()), "query_id": str(uuid.uuid4()), "at": at} | told))


def answer(at: datetime = NOW, **values: Any) -> Trace:
    """An answer of a model whose three sentences are supported."""
    told: dict[str, Any] = {
        "operation": "answer",
        "total_ms": 900.0,
        "timings": {"generate": 850.0, "total": 900.0},
        "grounding": "grounded",
        "sentences": 3,
        "unsupported": 0,
        "citation_precision": 1.0,
        "model": "m",
        "prompt_version": "answer@3",
    } | values
    return search(at, **told)


def refusal(at: datetime = NOW, reason: str = "nothing_relevant", **values: Any) -> Trace:
    """A refusal, which has no sentence and no verdict."""
    none: dict[str, Any] = dict.fromkeys(("grounding", "unsupported", "citation_precision", "model", "prompt_version"))
    return answer(at, **(none | {"outcome": "refused", "refusal": reason, "sentences": 0} | values))


def call(at: datetime = NOW, **values: Any) -> ModelCall:
    told: dict[str, Any] = {
        "tenant": "acme",
        "answer_id": None,
        "purpose": "answer",
        "tier": "fast",
        "model": "m",
        "prompt_version": "answer@3",
        "outcome": "ok",
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "estimated": False,
        "cost_usd": 0.01,
        "duration_ms": 800.0,
        "at": at,
    } | values
    return ModelCall(**told)


def say(trace: Trace, kind: str, at: datetime = NOW, **values: Any) -> dict[str, Any]:
    """A row of feedback on that trace."""
    row = {"id": str(uuid.uuid4()), "tenant": trace.tenant, "trace_id": trace.id, "kind": kind, "at": at}
    return row | dict.fromkeys(("chunk_id", "rank", "rating", "text", "outcome", "key_id")) | values


def keep(
    engine: Engine,
    traces: Iterable[Trace] = (),
    calls: Iterable[ModelCall] = (),
    said: Iterable[dict[str, Any]] = (),
) -> None:
    """Write all of them in one transaction."""
    with write_transaction(engine) as connection:
        if found := list(traces):
            write_traces(connection, found)
        for one in calls:
            connection.execute(insert(model_calls).values(**{name: getattr(one, name) for name in one.__slots__}))
        for row in said:
            connection.execute(insert(feedback).values(**row))
