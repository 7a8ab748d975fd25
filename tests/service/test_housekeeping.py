"""Duties beside the requests: done again and again, whatever goes wrong with them; and what is too old goes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, Table, func, insert, select

from ingestion.errors import BackendUnavailable
from ingestion.settings import Settings
from service.ledger.metrics import Metrics
from service.ledger.retention import BATCH, Retention
from service.ledger.tables import feedback, model_calls, traces
from service.settings import LedgerSettings
from service.tracking.housekeeping import Duty, keeping
from tests.service.ledger_parts import open_ledger

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOON_S = 0.001
WAIT_S = 60


def test_a_duty_is_done_again_though_it_failed() -> None:
    metrics, times, enough = Metrics(), [0], threading.Event()

    def work() -> None:
        times[0] += 1
        if times[0] == 1:
            raise BackendUnavailable("away")
        if times[0] == 3:
            enough.set()

    with keeping([Duty("look", SOON_S, work)], metrics):
        assert enough.wait(WAIT_S)
    shown = metrics.exposition().decode()
    assert 'plumbline_duties_total{duty="look",outcome="failed"} 1.0' in shown
    assert 'duty="look",outcome="ok"' in shown
    assert not [thread for thread in threading.enumerate() if thread.name == "duty-look"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_ends_its_own_duty_only_and_is_told() -> None:
    metrics, other = Metrics(), threading.Event()
    broken = threading.Event()

    def bug() -> None:
        broken.set()
        raise KeyError("a bug")

    def work() -> None:
        if broken.is_set():
            other.set()

    with keeping([Duty("broken", SOON_S, bug), Duty("whole", SOON_S, work)], metrics):
        assert other.wait(WAIT_S)
        for thread in threading.enumerate():
            if thread.name == "duty-broken":
                thread.join(WAIT_S)
        assert 'plumbline_duties_total{duty="broken",outcome="ended"} 1.0' in metrics.exposition().decode()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    yield from open_ledger(Settings(data_dir=tmp_path))


@pytest.fixture
def postgres(tmp_path: Path, postgres_url: str) -> Iterator[Engine]:
    yield from open_ledger(Settings(data_dir=tmp_path, database_url=SecretStr(postgres_url)))


def _fill(engine: Engine, table: Table, days: int, rows: int = 1) -> None:
    shared = {"at": NOW - timedelta(days=days), "tenant": "acme"}
    match table.name:
        case "traces":
            own = {"query_id": "q", "operation": "search", "outcome": "ok", "hits": 0, "total_ms": 1.0}
            own |= {"timings": {}, "documents": [], "body": {}}  # type: ignore[dict-item]
        case "feedback":
            own = {"trace_id": "t", "kind": "click"}
        case _:
            own = {"purpose": "answer", "tier": "fast", "model": "m", "outcome": "ok", "estimated": False}
            own |= {"duration_ms": 1.0}
    with engine.begin() as connection:
        connection.execute(insert(table), [{"id": f"{days}-{row}", **shared, **own} for row in range(rows)])


def _left(engine: Engine, table: Table) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _old_goes(engine: Engine) -> None:
    for table in (traces, feedback, model_calls):
        _fill(engine, table, days=4)
        _fill(engine, table, days=6)
    _fill(engine, traces, days=9, rows=2 * BATCH + 1)
    Retention(engine, LedgerSettings(trace_days=5, feedback_days=5, model_call_days=0)).sweep(NOW)
    assert (_left(engine, traces), _left(engine, feedback), _left(engine, model_calls)) == (1, 1, 2)


def test_what_is_past_its_time_goes_and_zero_days_keep(sqlite: Engine) -> None:
    _old_goes(sqlite)


@pytest.mark.postgres
def test_what_is_past_its_time_goes_on_postgres(postgres: Engine) -> None:
    _old_goes(postgres)


def test_a_stopped_sweep_deletes_nothing_more(sqlite: Engine) -> None:
    _fill(sqlite, traces, days=9)
    retention = Retention(sqlite, LedgerSettings(trace_days=5))
    retention.stop()
    retention.sweep(NOW)
    assert _left(sqlite, traces) == 1
