"""Calls to language models as they were billed: counted, and kept in the ledger off the path of the answer.

What a call cost is left to `generation.metering`, which hands in the call still to be counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import Connection, Engine, select

from ingestion.corpus.database import insert_if_absent
from ingestion.corpus.scope import TenantId
from service.ledger.metrics import LLM_CALLS, LLM_COST, LLM_TOKENS, Metrics
from service.ledger.recording import Recorder
from service.ledger.tables import model_calls


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


def write_model_calls(connection: Connection, records: Sequence[ModelCall]) -> None:
    """Insert the calls; what is there already stays as it is."""
    insert_if_absent(connection, model_calls, *(asdict(call) for call in records))


class CallRecorder:
    """Counts calls and keeps them. Safe from several threads."""

    def __init__(self, recorder: Recorder, metrics: Metrics) -> None:
        self._recorder = recorder
        self._metrics = metrics

    def record(self, tell: Callable[[], ModelCall]) -> None:
        """Count and keep the call that `tell` returns. Never waits, never fails: both happen in the ledger's thread."""

        def told() -> ModelCall:
            call = tell()
            self._count(call)
            return call

        self._recorder.record(told)

    def _count(self, call: ModelCall) -> None:
        self._metrics.count(LLM_CALLS, call.model, call.outcome)
        self._metrics.count(LLM_TOKENS, call.model, "prompt", by=call.prompt_tokens or 0)
        self._metrics.count(LLM_TOKENS, call.model, "completion", by=call.completion_tokens or 0)
        if call.cost_usd is not None:
            self._metrics.count(LLM_COST, call.model, by=call.cost_usd)


def calls_of(engine: Engine, tenant: TenantId, answer_id: str) -> list[ModelCall]:
    """The calls that were made for one answer, first to last."""
    wanted = (
        select(model_calls)
        .where(model_calls.c.tenant == tenant, model_calls.c.answer_id == answer_id)
        .order_by(model_calls.c.at, model_calls.c.id)
    )
    with engine.connect() as connection:
        return [ModelCall(**row._mapping) for row in connection.execute(wanted)]
