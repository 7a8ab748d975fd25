"""Traces and clicks for tests: a ledger of its own, and people who search as a click model says."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import Engine

from ingestion.corpus.database import write_transaction
from service.ledger.feedback import Feedback, FeedbackRecord, Kind
from service.ledger.traces import Operation, Trace, write_traces
from service.quality.clickmodels import Session

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


def click(engine: Engine, trace: Trace, chunk: str) -> None:
    """What opening a hit leaves in the ledger."""
    ranks = [one["chunk_id"] for one in trace.body["passages"]]
    rank = ranks.index(chunk) + 1 + trace.body.get("offset", 0)
    Feedback(engine).add(
        FeedbackRecord(trace.tenant, trace.id, Kind.CLICK, chunk_id=chunk, rank=rank, key_id=trace.key_id)
    )


class Crowd:
    """People of known habits over queries whose results attract them with known chances (`truth`).

    The engine that they ask ranks by `skill` parts of the truth and else by an error of its own, always the same; and
    `mixing` moves results from search to search, as another index or other filters do: without any no model could tell
    a rank from what stands there.
    """

    def __init__(
        self, seed: int, queries: int = 30, results: int = 8, *, skill: float = 0.3, mixing: float = 0.3
    ) -> None:
        self.random = np.random.default_rng(seed)
        self.truth = self.random.beta(1.0, 3.0, (queries, results))
        error = self.random.beta(1.0, 3.0, (queries, results))
        self.believed = skill * self.truth + (1 - skill) * error
        self.mixing = mixing * self.believed.std()

    def position_based(self, sessions: int, looks: Sequence[float]) -> list[Session]:
        """They look at each rank with the chance in `looks`."""
        return [
            self._session(row, lambda order, query: self._by_position(order, query, looks)) for row in range(sessions)
        ]

    def cascading(self, sessions: int, after_click: float, after_skip: float) -> list[Session]:
        """They look from the top down, and go on with these chances."""
        return [
            self._session(row, lambda order, query: self._by_cascade(order, query, after_click, after_skip))
            for row in range(sessions)
        ]

    def _session(self, row: int, clicks: Any) -> Session:
        query = int(self.random.integers(len(self.truth)))
        noisy = self.believed[query] + self.random.normal(0, self.mixing, self.truth.shape[1])
        order = np.argsort(-noisy)
        clicked = clicks(order, query)
        return Session(
            f"s{row}", f"q{query}", tuple(f"d{one}" for one in order), frozenset(f"d{one}" for one in clicked)
        )

    def _by_position(self, order: np.ndarray, query: int, looks: Sequence[float]) -> list[int]:
        drawn = self.random.random((2, len(order)))
        return [
            one
            for rank, one in enumerate(order)
            if drawn[0, rank] < looks[rank] and drawn[1, rank] < self.truth[query, one]
        ]

    def _by_cascade(self, order: np.ndarray, query: int, after_click: float, after_skip: float) -> list[int]:
        clicked = []
        for one in order:
            hit = self.random.random() < self.truth[query, one]
            if hit:
                clicked.append(one)
            if self.random.random() >= (after_click if hit else after_skip):
                break
        return clicked
