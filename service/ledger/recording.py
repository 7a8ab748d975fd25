"""Records on their way into the ledger: taken without waiting, written in batches by a thread of their own.

What a record consists of, and how its kind is written, is left to the modules of each kind.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError, StatementError

from ingestion.corpus.database import write_transaction
from ingestion.errors import PlumblineError
from service.ledger.metrics import LEDGER_DROPPED, LEDGER_WRITTEN, Metrics
from service.settings import LedgerSettings

log = structlog.get_logger(__name__)

Write = Callable[[Connection, Sequence[Any]], None]
"""Writes records of one kind, in the order in which they were recorded. It may be called again with the same records,
if it is not known whether the database took them."""

BATCH = 32
_PAUSES_S = (0.2, 1.0, 5.0)
"""Between tries while the database does not answer; the last one again and again."""
_CLOSING_S = 5.0
"""For how long a closing process goes on trying."""
_YIELD_S = 0.001
"""Between two records: Python code in a thread that never rests holds up every other by 5 ms at a time."""
_LOGGED_EVERY_S = 10.0


class Drop(StrEnum):
    """Why a record is not in the ledger."""

    QUEUE_FULL = "queue_full"
    DATABASE = "database"
    """The database did not answer until the process ended."""
    INVALID = "invalid"
    """The database, or what makes the record, refuses this one."""
    BUG = "bug"
    """Making or writing it raised what nobody thought of; the log has the trace."""
    CLOSED = "closed"
    """It came after the end."""


class Recorder:
    """Takes records and writes each batch in one transaction. Safe from several threads.

    What was recorded is in the database `flush_ms` later, however the process ends then; that is the window in which a
    killed process may lose it. Half of it is spent waiting for company, half is there for the writing. While the
    database does not answer, records wait, `max_pending` of them; of further ones the newest are dropped. Whatever is
    dropped is counted with the reason (`plumbline_ledger_dropped_total`).
    """

    def __init__(
        self, engine: Engine, metrics: Metrics, writers: Mapping[type, Write], settings: LedgerSettings
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._writers = writers
        self._wait_s = settings.flush_ms / 2000
        self._max_pending = settings.max_pending
        self._changed = threading.Condition()
        self._waiting: deque[Callable[[], object]] = deque()
        self._taken = self._settled = self._hurry = 0
        self._closed_at: float | None = None
        self._logged: dict[str, float] = {}
        # The rest is the thread's own. A thread that dies leaves it to its successor.
        self._untold: deque[Callable[[], object]] = deque()
        self._told: deque[object] = deque()
        self._alone = self._writing = self._tries = 0
        self._thread = self._start()

    def record(self, tell: Callable[[], object]) -> None:
        """Keep the record that `tell` returns; it runs in the recorder's thread. Never waits, never fails."""
        with self._changed:
            if self._closed_at is not None:
                reason = Drop.CLOSED
            elif self._taken - self._settled >= self._max_pending:
                reason = Drop.QUEUE_FULL
            else:
                self._waiting.append(tell)
                self._taken += 1
                if len(self._waiting) == BATCH or not self._wait_s:
                    self._changed.notify_all()
                return
        self._drop(reason)

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Whether all that was recorded before this call has been written, or dropped, within `timeout_s`."""
        with self._changed:
            upto = self._taken
            self._hurry += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: self._settled >= upto, timeout_s)
            finally:
                self._hurry -= 1

    def close(self) -> None:
        """Write what is pending, then stop. What can't be written within some seconds is dropped and counted."""
        with self._changed:
            if self._closed_at is not None:
                return
            self._closed_at = time.monotonic()
            self._changed.notify_all()
            # The last try may hang in the database for longer than anyone wants to wait for the end.
            if not self._changed.wait_for(lambda: self._settled >= self._taken, 2 * _CLOSING_S):
                left, self._settled = self._taken - self._settled, self._taken
                self._drop(Drop.DATABASE, left)
                return
        self._thread.join(_CLOSING_S)

    def _start(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        thread.start()
        return thread

    def _run(self) -> None:
        over = False
        try:
            while self._collect():
                self._tell()
                self._write()
            over = True
        finally:
            # Only what nobody thought of gets here without being over; Python prints it when this thread ends.
            if not over:
                self._succeed()

    def _succeed(self) -> None:
        """Go on in a new thread, without the record that ended this one."""
        if self._writing > 1:
            self._alone, self._writing = self._writing, 0
        else:
            self._drop(Drop.BUG)
            if self._writing:
                self._done(1)
            else:
                self._settle(1)
            self._writing = 0
        self._thread = self._start()

    def _collect(self) -> bool:
        """Take in what is due, after waiting for it. False at the end."""
        with self._changed:
            if self._tries:
                pause_s = _PAUSES_S[min(self._tries, len(_PAUSES_S)) - 1]
                self._changed.wait_for(lambda: self._closed_at is not None, pause_s)
            elif not self._told and not self._untold:
                # It looks by itself: to wake it for a record would cost the request a switch of threads.
                while not self._waiting and self._closed_at is None:
                    self._changed.wait(self._wait_s or None)
            while self._waiting and (self._tries or len(self._untold) + len(self._told) < BATCH):
                self._untold.append(self._waiting.popleft())
            return bool(self._untold or self._told)

    def _is_urgent(self) -> bool:
        return len(self._waiting) >= BATCH or self._hurry > 0 or self._closed_at is not None

    def _tell(self) -> None:
        while self._untold:
            tell = self._untold.popleft()
            try:
                record = tell()
            except PlumblineError as error:
                self._drop(Drop.INVALID, error=type(error).__name__)
                self._settle(1)
            else:
                self._told.append(record)
            if not self._is_urgent():
                time.sleep(_YIELD_S)

    def _write(self) -> None:
        batch = [self._told[i] for i in range(min(len(self._told), 1 if self._alone else BATCH))]
        self._writing = len(batch)
        try:
            if batch:
                self._write_together(batch)
        except (SQLAlchemyError, PlumblineError, ValueError, TypeError, OverflowError) as error:
            # The last three are what drivers raise for values that they can't take.
            self._failed(error)
        else:
            self._metrics.count(LEDGER_WRITTEN, by=len(batch))
            self._done(len(batch))
        self._writing = 0

    def _write_together(self, records: Sequence[object]) -> None:
        by_kind: dict[type, list[object]] = defaultdict(list)
        for record in records:
            by_kind[type(record)].append(record)
        with write_transaction(self._engine) as connection:
            for kind, several in by_kind.items():
                self._writers[kind](connection, several)

    def _failed(self, error: Exception) -> None:
        """The batch was not written: look for the one that is wrong, wait for the database, or give up."""
        if _is_of_records(error):
            if self._writing > 1:
                self._alone = self._writing
            else:
                self._drop(Drop.INVALID, error=type(error).__name__)
                self._done(1)
        elif self._closed_at is not None and time.monotonic() > self._closed_at + _CLOSING_S:
            self._drop(Drop.DATABASE, self._writing, error=type(error).__name__)
            self._done(self._writing)
        else:
            self._tries += 1
            self._note("ledger_waits", error=type(error).__name__, records=len(self._told))
            if self._closed_at is not None:
                time.sleep(_PAUSES_S[0])

    def _done(self, count: int) -> None:
        for _ in range(count):
            self._told.popleft()
        self._alone = max(0, self._alone - count)
        self._tries = 0
        self._settle(count)

    def _settle(self, count: int) -> None:
        with self._changed:
            # `close` may have given up already, and settled all.
            self._settled = min(self._taken, self._settled + count)
            self._changed.notify_all()

    def _drop(self, reason: Drop, count: int = 1, **about: str) -> None:
        self._metrics.count(LEDGER_DROPPED, reason, by=count)
        self._note("ledger_dropped", reason=reason, records=count, **about)

    def _note(self, event: str, **about: Any) -> None:
        """Log, but not every time: what repeats would fill the disk. The metrics have the numbers."""
        what, now = f"{event}:{about.get('reason')}", time.monotonic()
        if now - self._logged.get(what, -_LOGGED_EVERY_S) >= _LOGGED_EVERY_S:
            self._logged[what] = now
            log.warning(event, **about)


def _is_of_records(error: Exception) -> bool:
    """Whether the records are wrong, and not the database away."""
    if isinstance(error, ProgrammingError):
        # With a state it is the server's word (a table is missing); without, the driver can't take a value.
        return getattr(error.orig, "sqlstate", None) is None
    if isinstance(error, SQLAlchemyError):
        return isinstance(error, IntegrityError | DataError) or (
            isinstance(error, StatementError) and not isinstance(error, DBAPIError)
        )
    return True


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
