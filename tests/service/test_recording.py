"""Records reach the ledger whatever happens on the way, or it is told how many did not, and why."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, text

from ingestion.corpus.database import open_database
from ingestion.errors import InvalidRequest
from ingestion.settings import Settings
from service.ledger.metrics import Metrics
from service.ledger.recording import BATCH, Recorder, open_recorder
from service.settings import LedgerSettings

WAIT_S = 60


@dataclass(frozen=True, slots=True)
class Note:
    """A record of these tests' own kind."""

    id: int
    text: str | None = ""


def write_notes(connection: Connection, records: Sequence[Note]) -> None:
    connection.execute(
        text("INSERT INTO notes VALUES (:id, :text) ON CONFLICT DO NOTHING"),
        [{"id": note.id, "text": note.text} for note in records],
    )


@contextmanager
def notes(settings: Settings) -> Iterator[Engine]:
    engine = open_database(settings)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE notes (id INTEGER PRIMARY KEY, text VARCHAR(20) NOT NULL)"))
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    with notes(Settings(data_dir=tmp_path)) as engine:
        yield engine


@pytest.fixture
def postgres(tmp_path: Path, postgres_url: str) -> Iterator[Engine]:
    with notes(Settings(data_dir=tmp_path, database_url=SecretStr(postgres_url))) as engine:
        yield engine


def ids(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT id FROM notes ORDER BY id")).scalars())


def recording(engine: Engine, metrics: Metrics, **settings: float) -> Recorder:
    return Recorder(engine, metrics, {Note: write_notes}, LedgerSettings(**settings))  # type: ignore[arg-type]


def dropped(metrics: Metrics, reason: str) -> float:
    wanted = f'plumbline_ledger_dropped_total{{reason="{reason}"}} '
    found = [line for line in metrics.exposition().decode().splitlines() if line.startswith(wanted)]
    return float(found[0].removeprefix(wanted)) if found else 0


def written(metrics: Metrics) -> float:
    name = "plumbline_ledger_written_total "
    (found,) = [line for line in metrics.exposition().decode().splitlines() if line.startswith(name)]
    return float(found.removeprefix(name))


def test_everything_is_written_in_its_order_and_counted(sqlite: Engine) -> None:
    metrics = Metrics()
    with open_recorder(sqlite, metrics, {Note: write_notes}, LedgerSettings()) as recorder:
        for number in range(3 * BATCH + 1):
            recorder.record(lambda number=number: Note(number))  # type: ignore[misc]
    assert ids(sqlite) == list(range(3 * BATCH + 1))
    assert written(metrics) == 3 * BATCH + 1


def test_a_flush_does_not_wait_for_the_window(sqlite: Engine) -> None:
    recorder = recording(sqlite, Metrics(), flush_ms=10_000)
    recorder.record(lambda: Note(1))
    assert recorder.flush(WAIT_S)
    assert ids(sqlite) == [1]
    recorder.close()


def test_it_is_written_without_being_asked(sqlite: Engine) -> None:
    done = threading.Event()

    def write(connection: Connection, records: Sequence[Note]) -> None:
        write_notes(connection, records)
        done.set()

    recorder = Recorder(sqlite, Metrics(), {Note: write}, LedgerSettings(flush_ms=50))
    recorder.record(lambda: Note(1))
    assert done.wait(WAIT_S)
    recorder.close()


def _wrong_one(engine: Engine, wrong: Note | Callable[[], Note], reason: str) -> None:
    """The wrong one is dropped and counted; those before, beside and behind it are kept, in their order."""
    metrics = Metrics()
    recorder = recording(engine, metrics, flush_ms=10_000)
    for number in range(1, 6):
        if number == 3:
            recorder.record(wrong if callable(wrong) else lambda: wrong)
        else:
            recorder.record(lambda number=number: Note(number))  # type: ignore[misc]
    assert recorder.flush(WAIT_S)
    recorder.record(lambda: Note(6))
    recorder.close()
    assert ids(engine) == [1, 2, 4, 5, 6]
    assert (written(metrics), dropped(metrics, reason)) == (5, 1)


def test_one_that_the_database_refuses(sqlite: Engine) -> None:
    _wrong_one(sqlite, Note(3, None), "invalid")


@pytest.mark.parametrize("text_", ["\ud800", {"a": 1}], ids=["lone surrogate", "no text at all"])
def test_one_that_the_driver_refuses(sqlite: Engine, text_: str) -> None:
    _wrong_one(sqlite, Note(3, text_), "invalid")


@pytest.mark.postgres
@pytest.mark.parametrize(
    "text_",
    [None, "\x00", "\ud800", "longer than twenty characters", {"a": 1}],
    ids=["null", "nul", "lone", "long", "{}"],
)
def test_one_that_postgres_refuses(postgres: Engine, text_: str) -> None:
    _wrong_one(postgres, Note(3, text_), "invalid")


def test_one_that_cannot_be_made(sqlite: Engine) -> None:
    def tell() -> Note:
        raise InvalidRequest("no")

    _wrong_one(sqlite, tell, "invalid")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_in_making_a_record_costs_that_record_only(sqlite: Engine) -> None:
    def tell() -> Note:
        raise KeyError("a bug")

    _wrong_one(sqlite, tell, "bug")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_record_of_no_known_kind_costs_that_record_only(sqlite: Engine) -> None:
    def unknown() -> Note:
        return "no note"  # type: ignore[return-value]

    _wrong_one(sqlite, unknown, "bug")


def _gone_for_a_while(engine: Engine) -> None:
    metrics, tried = Metrics(), threading.Event()

    def write(connection: Connection, records: Sequence[Note]) -> None:
        tried.set()
        write_notes(connection, records)

    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE notes RENAME TO gone"))
    recorder = Recorder(engine, metrics, {Note: write}, LedgerSettings(flush_ms=0))
    recorder.record(lambda: Note(1))
    assert tried.wait(WAIT_S)
    for number in range(2, 3 * BATCH):
        recorder.record(lambda number=number: Note(number))  # type: ignore[misc]
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO notes"))
    assert recorder.flush(WAIT_S)
    assert ids(engine) == list(range(1, 3 * BATCH))
    assert written(metrics) == 3 * BATCH - 1
    recorder.close()


def test_a_database_that_is_gone_for_a_while_loses_nothing(sqlite: Engine) -> None:
    _gone_for_a_while(sqlite)


@pytest.mark.postgres
def test_a_postgres_that_is_gone_for_a_while_loses_nothing(postgres: Engine) -> None:
    _gone_for_a_while(postgres)


@pytest.mark.postgres
def test_a_cut_connection_loses_nothing(postgres: Engine) -> None:
    metrics, cut = Metrics(), [True]

    def write(connection: Connection, records: Sequence[Note]) -> None:
        write_notes(connection, records)
        if cut.pop() if cut else False:
            with postgres.connect() as other:
                own = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
                other.exec_driver_sql(f"SELECT pg_terminate_backend({own})")

    recorder = Recorder(postgres, metrics, {Note: write}, LedgerSettings(flush_ms=0))
    recorder.record(lambda: Note(1))
    assert recorder.flush(WAIT_S)
    assert not cut
    assert ids(postgres) == [1]
    recorder.close()


def test_a_locked_database_loses_nothing(sqlite: Engine) -> None:
    recorder = recording(sqlite, Metrics(), flush_ms=0)
    with sqlite.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
        for number in range(BATCH):
            recorder.record(lambda number=number: Note(number))  # type: ignore[misc]
        connection.exec_driver_sql("ROLLBACK")
    assert recorder.flush(WAIT_S)
    assert ids(sqlite) == list(range(BATCH))
    recorder.close()


def test_more_than_may_wait_are_dropped_and_counted(sqlite: Engine) -> None:
    metrics, gate = Metrics(), threading.Event()

    def slow() -> Note:
        gate.wait(WAIT_S)
        return Note(0)

    recorder = recording(sqlite, metrics, max_pending=5, flush_ms=0)
    recorder.record(slow)
    for number in range(1, 8):
        recorder.record(lambda number=number: Note(number))  # type: ignore[misc]
    assert dropped(metrics, "queue_full") == 3
    gate.set()
    recorder.close()
    assert ids(sqlite) == [0, 1, 2, 3, 4]


def test_what_comes_after_the_end_is_counted(sqlite: Engine) -> None:
    metrics = Metrics()
    recorder = recording(sqlite, metrics)
    recorder.close()
    recorder.record(lambda: Note(1))
    recorder.close()
    assert dropped(metrics, "closed") == 1
    assert ids(sqlite) == []


def test_what_a_closing_process_cannot_write_is_counted(sqlite: Engine) -> None:
    metrics = Metrics()
    with sqlite.begin() as connection:
        connection.execute(text("DROP TABLE notes"))
    recorder = recording(sqlite, metrics)
    for number in range(BATCH + 1):
        recorder.record(lambda number=number: Note(number))  # type: ignore[misc]
    recorder.close()
    assert dropped(metrics, "database") == BATCH + 1
    assert written(metrics) == 0


@given(
    kinds=st.lists(st.sampled_from(["fine", "refused", "error"]), max_size=3 * BATCH), flush_ms=st.sampled_from([0, 1])
)
def test_every_record_is_written_or_counted(kinds: list[str], flush_ms: int) -> None:
    def tell(number: int, kind: str) -> Note:
        if kind == "error":
            raise InvalidRequest("no")
        return Note(number, None if kind == "refused" else "")

    metrics = Metrics()
    with tempfile.TemporaryDirectory() as folder, notes(Settings(data_dir=Path(folder))) as engine:
        recorder = recording(engine, metrics, flush_ms=flush_ms)
        for number, kind in enumerate(kinds):
            recorder.record(lambda number=number, kind=kind: tell(number, kind))  # type: ignore[misc]
        recorder.close()
        assert ids(engine) == [number for number, kind in enumerate(kinds) if kind == "fine"]
    assert written(metrics) + dropped(metrics, "invalid") == len(kinds)
