"""Calls to language models as they were billed: counted, and written to the ledger off the path of the answer.

What a call cost is left to `generation.metering`, which hands in the call still to be counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from threading import Lock
from uuid import uuid4

import structlog
from sqlalchemy import Engine, insert
from sqlalchemy.exc import SQLAlchemyError

from ingestion.corpus.database import write_transaction
from ingestion.errors import PlumblineError
from service.ledger.metrics import LLM_CALLS, LLM_COST, LLM_TOKENS, LLM_UNRECORDED, Metrics
from service.ledger.tables import model_calls

log = structlog.get_logger(__name__)

MAX_PENDING = 10_000
"""Calls that wait to be written; with a database that is gone for long, the oldest are worth more than memory."""


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One attempt at one endpoint. `outcome`: `ok`, `closed` by who asked, or the reason of the failure.

    Tokens None: could not be told or counted. Cost None: no price is known.
    """

    tenant: str
    answer_id: str | None
    purpose: str
    tier: str
    model: str
    prompt_version: str | None
    outcome: str
    prompt_tokens: int | None
    completion_tokens: int | None
    estimated: bool
    cost_usd: float | None
    duration_ms: float
    id: str = field(default_factory=lambda: str(uuid4()))
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


class CallRecorder:
    """Keeps calls in one thread of its own: `record` never waits and never fails. Safe from several threads."""

    def __init__(self, engine: Engine, metrics: Metrics, max_pending: int = MAX_PENDING) -> None:
        self._engine = engine
        self._max_pending = max_pending
        self._metrics = metrics
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="model-calls")
        self._lock = Lock()
        self._pending = 0
        self._closed = False

    def record(self, tell: Callable[[], ModelCall]) -> None:
        """Count and keep the call that `tell` returns; it runs in the recorder's thread, for counting takes time."""
        with self._lock:
            taken = not self._closed and self._pending < self._max_pending
            if taken:
                self._pending += 1
                self._writer.submit(self._keep, tell)
        if not taken:
            self._lost("the recorder is closed" if self._closed else "too many calls wait to be written")

    def close(self) -> None:
        """Write what is pending, then stop."""
        with self._lock:
            self._closed = True
        self._writer.shutdown()

    def _keep(self, tell: Callable[[], ModelCall]) -> None:
        try:
            call = tell()
            self._count(call)
            with write_transaction(self._engine) as connection:
                connection.execute(insert(model_calls).values(**asdict(call)))
        except (SQLAlchemyError, PlumblineError) as error:
            self._lost(type(error).__name__)
        finally:
            with self._lock:
                self._pending -= 1

    def _count(self, call: ModelCall) -> None:
        self._metrics.count(LLM_CALLS, call.model, call.outcome)
        self._metrics.count(LLM_TOKENS, call.model, "prompt", by=call.prompt_tokens or 0)
        self._metrics.count(LLM_TOKENS, call.model, "completion", by=call.completion_tokens or 0)
        if call.cost_usd is not None:
            self._metrics.count(LLM_COST, call.model, by=call.cost_usd)

    def _lost(self, why: str) -> None:
        self._metrics.count(LLM_UNRECORDED)
        log.warning("model_call_not_recorded", why=why)


@contextmanager
def open_recorder(engine: Engine, metrics: Metrics) -> Iterator[CallRecorder]:
    """A recorder that has written everything when the context ends."""
    recorder = CallRecorder(engine, metrics)
    try:
        yield recorder
    finally:
        recorder.close()
