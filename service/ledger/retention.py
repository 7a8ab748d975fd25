"""Deletes from the ledger what is past its time, in small batches between which others may write."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Engine, Table, delete, select

from ingestion.corpus.database import write_transaction
from service.ledger.audit import SERVICE, SERVICE_CHAIN, Action, Note, append
from service.ledger.tables import feedback, model_calls, traces
from service.settings import LedgerSettings

log = structlog.get_logger(__name__)

BATCH = 500
"""Rows per transaction: some milliseconds under SQLite's one write lock."""
_PAUSE_S = 0.05
"""Between batches. SQLite hands its lock to whoever happens to ask, so a loop without a pause would starve others."""


class Retention:
    """Keeps traces, feedback and billed calls for as long as the settings say. Safe from several processes."""

    def __init__(self, engine: Engine, settings: LedgerSettings) -> None:
        self._engine = engine
        self._days: tuple[tuple[Table, int], ...] = (
            (traces, settings.trace_days),
            (feedback, settings.feedback_days),
            (model_calls, settings.model_call_days),
        )
        self._stopped = threading.Event()

    def sweep(self, now: datetime | None = None) -> None:
        """Delete everything that is past its time at `now`, or as much as there is time for before `stop`."""
        now = now or datetime.now(UTC)
        for table, days in self._days:
            before = now - timedelta(days=days)
            if days and (deleted := self._sweep(table, before)):
                log.info("ledger_swept", table=table.name, rows=deleted)
                self._note(table, deleted, before)

    def stop(self) -> None:
        """End a sweep after the batch it is at, and every later one."""
        self._stopped.set()

    def _note(self, table: Table, rows: int, before: datetime) -> None:
        detail = {"rows": rows, "before": before.isoformat()}
        with write_transaction(self._engine) as connection:
            note = Note(SERVICE_CHAIN, SERVICE, Action.RETENTION_DELETE, table.name, detail)
            append(connection, SERVICE_CHAIN, [note])

    def _sweep(self, table: Table, before: datetime) -> int:
        deleted = 0
        while not self._stopped.is_set():
            gone = self._delete_batch(table, before)
            deleted += gone
            if gone < BATCH:
                break
            self._stopped.wait(_PAUSE_S)
        return deleted

    def _delete_batch(self, table: Table, before: datetime) -> int:
        # Read first, outside the write lock. `at` goes into the delete, too: with Postgres another process may have
        # written a new row under the same id in between.
        old = select(table.c.id).where(table.c.at < before).limit(BATCH)
        with self._engine.connect() as connection:
            ids = list(connection.execute(old).scalars())
        if ids:
            with write_transaction(self._engine) as connection:
                connection.execute(delete(table).where(table.c.id.in_(ids), table.c.at < before))
        return len(ids)
