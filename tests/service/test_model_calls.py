"""The record of calls to models: written beside the answer, counted, and never in its way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from ingestion.corpus.database import open_database
from ingestion.corpus.scope import TenantId
from ingestion.settings import Settings
from service.generation.models.llm import CallContext, ChatModel, ChatRequest
from service.generation.models.metering import Meter, Metered
from service.generation.models.resilience import resilient
from service.ledger.database import migrate_ledger
from service.ledger.metrics import Metrics
from service.ledger.model_calls import CallRecorder, ModelCall, calls_of, write_model_calls
from service.ledger.recording import open_recorder
from service.ledger.tables import model_calls
from service.settings import LedgerSettings
from tests.chat_endpoint import running_endpoint as running
from tests.chat_endpoint import saying
from tests.service.model_parts import MESSAGES, QUICK, drain, settings_for, with_model


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(Settings(data_dir=tmp_path))
    migrate_ledger(engine)
    yield engine
    engine.dispose()


CALL = ModelCall(
    tenant="acme",
    answer_id="a",
    purpose="answer",
    tier="fast",
    model="m",
    prompt_version="answer@3",
    outcome="ok",
    prompt_tokens=10,
    completion_tokens=2,
    estimated=False,
    cost_usd=0.5,
    duration_ms=12.5,
)


@contextmanager
def calling(engine: Engine, metrics: Metrics) -> Iterator[CallRecorder]:
    """A recorder of calls that has written everything when the context ends."""
    with open_recorder(engine, metrics, {ModelCall: write_model_calls}, LedgerSettings()) as recorder:
        yield CallRecorder(recorder, metrics)


def rows(engine: Engine) -> list[dict[str, object]]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(model_calls)).mappings()]


def test_calls_are_written_and_counted(database: Engine) -> None:
    metrics = Metrics()
    with calling(database, metrics) as calls:
        calls.record(lambda: CALL)
        calls.record(lambda: replace(CALL, id="2", outcome="closed", cost_usd=None, completion_tokens=None))

    written = rows(database)
    assert {row["outcome"] for row in written} == {"ok", "closed"}
    (first,) = [row for row in written if row["outcome"] == "ok"]
    assert (first["tenant"], first["prompt_tokens"], first["cost_usd"], first["at"]) == ("acme", 10, 0.5, CALL.at)
    shown = metrics.exposition().decode()
    assert 'plumbline_llm_tokens_total{kind="prompt",model="m"} 20.0' in shown
    assert 'plumbline_llm_tokens_total{kind="completion",model="m"} 2.0' in shown
    assert 'plumbline_llm_cost_usd_total{model="m"} 0.5' in shown
    assert 'plumbline_llm_calls_total{model="m",outcome="closed"} 1.0' in shown
    assert "plumbline_ledger_written_total 2.0" in shown


def test_the_calls_of_an_answer_are_found_in_their_order(database: Engine) -> None:
    later = replace(CALL, id="2", at=CALL.at + timedelta(seconds=1))
    others = (replace(CALL, id="3", tenant="other"), replace(CALL, id="4", answer_id="another"))
    with calling(database, Metrics()) as calls:
        for call in (later, CALL, *others):
            calls.record(lambda call=call: call)  # type: ignore[misc]
    assert calls_of(database, TenantId("acme"), "a") == [CALL, later]


def test_a_call_that_is_written_twice_is_there_once(database: Engine) -> None:
    for _ in range(2):
        with calling(database, Metrics()) as calls:
            calls.record(lambda: CALL)
    assert len(rows(database)) == 1


def test_counting_and_writing_never_hold_up_who_records(database: Engine) -> None:
    gate = threading.Event()

    def slow() -> ModelCall:
        gate.wait(30)
        return CALL

    with calling(database, Metrics()) as calls:
        calls.record(slow)
        calls.record(lambda: replace(CALL, id="2"))
        assert rows(database) == []  # it came back though nothing could be written yet
        gate.set()
    assert len(rows(database)) == 2


def test_a_whole_call_arrives_in_the_ledger(database: Engine) -> None:
    request = ChatRequest(MESSAGES, 50, context=CallContext("acme", "answer-1", "answer", "fast", "answer@3"))
    with running(saying("Hel", "lo")) as endpoint, calling(database, Metrics()) as calls:
        meter = Meter("m", "fast", None, len)

        async def work(model: ChatModel) -> None:
            await drain(resilient(model, QUICK, lambda paced: Metered(paced, meter, calls.record)), request)

        with_model(settings_for(endpoint.url), work)
    (row,) = rows(database)
    assert (row["answer_id"], row["prompt_tokens"], row["completion_tokens"]) == ("answer-1", 12, 3)
    assert row["cost_usd"] is None
