"""The record of calls to models: written beside the answer, counted, and never in its way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text

from ingestion.corpus.database import open_database
from ingestion.settings import Settings
from service.generation.models.llm import CallContext, ChatModel, ChatRequest
from service.generation.models.metering import Meter, Metered
from service.generation.models.resilience import resilient
from service.ledger.database import migrate_ledger
from service.ledger.metrics import Metrics
from service.ledger.model_calls import CallRecorder, ModelCall, open_recorder
from service.ledger.tables import model_calls
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


def rows(engine: Engine) -> list[dict[str, object]]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(model_calls)).mappings()]


def test_calls_are_written_and_counted(database: Engine) -> None:
    metrics = Metrics()
    with open_recorder(database, metrics) as recorder:
        recorder.record(lambda: CALL)
        recorder.record(lambda: replace(CALL, id="2", outcome="closed", cost_usd=None, completion_tokens=None))

    written = rows(database)
    assert {row["outcome"] for row in written} == {"ok", "closed"}
    (first,) = [row for row in written if row["outcome"] == "ok"]
    assert (first["tenant"], first["prompt_tokens"], first["cost_usd"], first["at"]) == ("acme", 10, 0.5, CALL.at)
    shown = metrics.exposition().decode()
    assert 'plumbline_llm_tokens_total{kind="prompt",model="m"} 20.0' in shown
    assert 'plumbline_llm_tokens_total{kind="completion",model="m"} 2.0' in shown
    assert 'plumbline_llm_cost_usd_total{model="m"} 0.5' in shown
    assert 'plumbline_llm_calls_total{model="m",outcome="closed"} 1.0' in shown
    assert "plumbline_llm_unrecorded_calls_total 0.0" in shown


def test_a_write_that_fails_is_counted_and_fails_nothing(database: Engine) -> None:
    metrics = Metrics()
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE model_calls RENAME TO gone"))
    with open_recorder(database, metrics) as recorder:
        recorder.record(lambda: CALL)
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO model_calls"))
    with open_recorder(database, metrics) as recorder:
        recorder.record(lambda: CALL)

    assert len(rows(database)) == 1
    assert "plumbline_llm_unrecorded_calls_total 1.0" in metrics.exposition().decode()


def test_recording_never_waits(database: Engine) -> None:
    gate = threading.Event()

    def slow() -> ModelCall:
        gate.wait(30)
        return CALL

    with open_recorder(database, Metrics()) as recorder:
        recorder.record(slow)
        recorder.record(lambda: replace(CALL, id="2"))
        assert rows(database) == []  # it came back though nothing could be written yet
        gate.set()
    assert len(rows(database)) == 2


def test_too_many_that_wait_are_dropped_and_counted(database: Engine) -> None:
    gate, metrics = threading.Event(), Metrics()

    def slow() -> ModelCall:
        gate.wait(30)
        return CALL

    recorder = CallRecorder(database, metrics, max_pending=1)
    recorder.record(slow)
    recorder.record(lambda: replace(CALL, id="2"))
    gate.set()
    recorder.close()
    assert len(rows(database)) == 1
    assert "plumbline_llm_unrecorded_calls_total 1.0" in metrics.exposition().decode()


def test_a_call_after_the_end_is_counted_as_lost(database: Engine) -> None:
    metrics = Metrics()
    recorder = CallRecorder(database, metrics)
    recorder.close()
    recorder.record(lambda: CALL)
    assert "plumbline_llm_unrecorded_calls_total 1.0" in metrics.exposition().decode()
    assert rows(database) == []


def test_a_whole_call_arrives_in_the_ledger(database: Engine) -> None:
    request = ChatRequest(MESSAGES, 50, context=CallContext("acme", "answer-1", "answer", "fast", "answer@3"))
    with running(saying("Hel", "lo")) as endpoint, open_recorder(database, Metrics()) as recorder:
        meter = Meter("m", "fast", None, len)

        async def work(model: ChatModel) -> None:
            await drain(resilient(model, QUICK, lambda paced: Metered(paced, meter, recorder.record)), request)

        with_model(settings_for(endpoint.url), work)
    (row,) = rows(database)
    assert (row["answer_id"], row["prompt_tokens"], row["completion_tokens"]) == ("answer-1", 12, 3)
    assert row["cost_usd"] is None
