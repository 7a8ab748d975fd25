"""Records on their way into the ledger: taken without waiting, written in batches by a thread of their own.

What a record consists of, and how its kind is written, is left to the modules of each kind.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from ingestion.corpus.database import write_transaction
from ingestion.errors import PlumblineError
from service.ledger.metrics import LEDGER_DROPPED, LEDGER_WRITTEN, Metrics
from service.settings import LedgerSettings

log = structlog.get_logger(__name__)

Write = Callable[[Connection, Sequence[Any]], None]
"""Writes records of one kind, in the order in which they were recorded."""

_BATCH = 200
_PAUSES_S = (0.2, 1.0, 5.0)
"""Between tries while the database does not answer; the last one again and again."""
_CLOSING_S = 5.0
"""For how long a closing process goes on trying."""


class Recorder:
    """Takes records and writes each batch in one transaction. Safe from several threads.

    What was recorded is in the database `flush_ms` later, however the process ends then; that is the window in which a
    killed process may lose it. While the database does not answer, records wait, `max_pending` of them; of further ones
    the newest are dropped. Whatever is dropped is counted with the reason (`plumbline_ledger_dropped_total`).
    """

    def __init__(
        self, engine: Engine, metrics: Metrics, writers: Mapping[type, Write], settings: LedgerSettings
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._writers = writers
        self._settings = settings
        self._waiting: deque[Callable[[], object]] = deque()
        self._changed = threading.Condition()
        self._taken = self._settled = 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
        self._thread.start()

    def record(self, tell: Callable[[], object]) -> None:
        """Keep the record that `tell` returns; it runs in the recorder's thread. Never waits, never fails."""
        with self._changed:
            if self._closed.is_set():
                reason = "closed"
            elif self._taken - self._settled >= self._settings.max_pending:
                reason = "queue_full"
            else:
                self._waiting.append(tell)
                self._taken += 1
                if len(self._waiting) == 1:
                    self._changed.notify_all()
                return
        self._drop(reason)

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Whether all that was recorded before this call has been written, or dropped, within `timeout_s`."""
        with self._changed:
            upto = self._taken
            return self._changed.wait_for(lambda: self._settled >= upto, timeout_s)

    def close(self) -> None:
        """Write what is pending, then stop. What can't be written within some seconds is dropped and counted."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._next():
            records = self._told(batch)
            self._write(records)
            with self._changed:
                self._settled += len(batch)
                self._changed.notify_all()

    def _next(self) -> list[Callable[[], object]]:
        """The next batch: `flush_ms` after its first record came, or when it is full. Empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed.is_set())
            self._changed.wait_for(
                lambda: len(self._waiting) >= _BATCH or self._closed.is_set(), self._settings.flush_ms / 1000
            )
            return [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]

    def _told(self, batch: Sequence[Callable[[], object]]) -> list[object]:
        records = []
        for tell in batch:
            try:
                records.append(tell())
            except PlumblineError as error:
                self._drop("invalid", error=type(error).__name__)
        return records

    def _write(self, records: Sequence[object]) -> None:
        tries = 0
        while records:
            try:
                self._write_together(records)
            except (IntegrityError, DataError):
                self._write_one_by_one(records)
                return
            except SQLAlchemyError as error:
                pause_s = _PAUSES_S[min(tries, len(_PAUSES_S) - 1)]
                tries += 1
                if self._closed.wait(pause_s) and tries * _PAUSES_S[0] > _CLOSING_S:
                    self._drop("database", len(records), error=type(error).__name__)
                    return
            else:
                self._metrics.count(LEDGER_WRITTEN, by=len(records))
                return

    def _write_together(self, records: Sequence[object]) -> None:
        by_kind: dict[type, list[object]] = defaultdict(list)
        for record in records:
            by_kind[type(record)].append(record)
        with write_transaction(self._engine) as connection:
            for kind, several in by_kind.items():
                self._writers[kind](connection, several)

    def _write_one_by_one(self, records: Sequence[object]) -> None:
        """One of them is wrong: the others are kept."""
        for record in records:
            try:
                self._write_together([record])
            except SQLAlchemyError as error:
                self._drop("invalid", error=type(error).__name__)
            else:
                self._metrics.count(LEDGER_WRITTEN)

    def _drop(self, reason: str, n: int = 1, **about: str) -> None:
        self._metrics.count(LEDGER_DROPPED, reason, by=n)
        log.warning("ledger_dropped", reason=reason, records=n, **about)


@contextmanager
def open_recorder(
    engine: Engine, metrics: Metrics, writers: Mapping[type, Write], settings: LedgerSettings
) -> Iterator[Recorder]:
    """A recorder that has written everything when the context ends."""
    recorder = Recorder(engine, metrics, writers, settings)
    try:
        yield recorder
    finally:
        recorder.close()
