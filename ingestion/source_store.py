"""The list of sources with how their syncs went, in the catalogue's database; items are the matter of `syncing`."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, and_, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from ingestion.corpus import tables
from ingestion.corpus.catalog_reader import Page, older_than, page_of
from ingestion.corpus.database import write_transaction
from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import Conflict, NotFound, PlumblineError, RejectionCode
from ingestion.sources.definitions import SourceDefinition, SourceId

Clock = Callable[[], datetime]

INCOMPLETE = "incomplete_scan"
_SHORTEST_PAUSE_S = 30.0
_LONGEST_PAUSE_S = 6 * 3600.0
_CLAIM_S = 900.0
"""A claimed sync that was never begun is due again after this time."""
_LATE_AFTER = 3
"""Intervals without success after which a source is called stalled."""
_MAX_DETAIL = 1000


def utc_now() -> datetime:
    return datetime.now(UTC)


class SourceHealth(StrEnum):
    OK = "ok"
    NEVER_SYNCED = "never_synced"
    FAILING = "failing"
    STALLED = "stalled"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class SourceError:
    """Why the last sync did not end well."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Source:
    """A source with how its syncs went. `counts` are those of the last sync that ended, by `SyncReport`'s names.

    `failures` counts the syncs since the last success. `due_at` is when it is to be synced next; None: on demand.
    """

    tenant: TenantId
    definition: SourceDefinition
    paused: bool
    failures: int
    error: SourceError | None
    counts: Mapping[str, int]
    created_at: datetime
    attempted_at: datetime | None
    succeeded_at: datetime | None
    due_at: datetime | None
    health: SourceHealth

    @property
    def id(self) -> SourceId:
        return SourceId(self.definition.id)


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to sync a source once: writes are refused as soon as a later turn was given.

    `token` is the origin's at the last complete scan, as `SourceStore.succeeded` was given it.
    """

    scan: int
    token: str | None


class SourceStore:
    """Reads and writes of sources. A source belongs to a tenant: every method takes the scope first.

    Safe from several threads and processes. `clock` gives the times that are stored and compared.
    """

    def __init__(self, engine: Engine, clock: Clock = utc_now) -> None:
        self.engine = engine
        self._clock = clock

    def add(self, scope: Scope, definition: SourceDefinition) -> Source:
        """The source, due at once if it has an interval. Raises: Conflict if the id is taken."""
        now = self._clock()
        row = {
            "tenant": scope.tenant,
            "id": definition.id,
            "kind": definition.origin.kind,
            "definition": definition.model_dump(mode="json"),
            "paused": False,
            "scans": 0,
            "failures": 0,
            "counts": {},
            "created_at": now,
            "due_at": now if definition.interval_s is not None else None,
        }
        try:
            with write_transaction(self.engine) as connection:
                connection.execute(insert(tables.sources).values(row))
        except IntegrityError as error:
            raise Conflict(f"there is a source {definition.id!r} already: update it, or choose another id") from error
        return self.get(scope, SourceId(definition.id))

    def update(self, scope: Scope, definition: SourceDefinition) -> Source:
        """The source with another definition of the same kind, due at once if it has an interval.

        Raises: NotFound; Conflict for another kind of origin.
        """
        id_ = SourceId(definition.id)
        if self.get(scope, id_).definition.origin.kind != definition.origin.kind:
            raise Conflict(f"source {id_!r} is of another kind: remove it and add it anew, or choose another id")
        due_at = self._clock() if definition.interval_s is not None else None
        self._set(scope, id_, definition=definition.model_dump(mode="json"), due_at=due_at)
        return self.get(scope, id_)

    def get(self, scope: Scope, id_: SourceId) -> Source:
        """Raises: NotFound."""
        with self.engine.connect() as connection:
            row = connection.execute(select(tables.sources).where(of_source(scope, id_))).one_or_none()
        if row is None:
            raise NotFound(f"no source {id_!r}")
        return self._source(row)

    def list(self, scope: Scope, *, cursor: str | None = None, limit: int = 50) -> Page[Source]:
        """Sources, newest first. Raises: InvalidRequest for a foreign cursor."""
        sources = tables.sources.c
        condition: ColumnElement[bool] = sources.tenant == scope.tenant
        if cursor is not None:
            condition = and_(condition, older_than(cursor, sources.created_at, sources.id))
        newest_first = select(tables.sources).where(condition).order_by(sources.created_at.desc(), sources.id.desc())
        with self.engine.connect() as connection:
            rows = connection.execute(newest_first.limit(limit + 1)).all()
        found = [self._source(row) for row in rows]
        return page_of(found, limit, lambda source: (source.created_at, source.id))

    def all_sources(self) -> tuple[Source, ...]:
        """Every source of every tenant: for the scheduler, readiness and metrics alone."""
        with self.engine.connect() as connection:
            rows = connection.execute(select(tables.sources).order_by(tables.sources.c.tenant, tables.sources.c.id))
            return tuple(map(self._source, rows))

    def remove(self, scope: Scope, id_: SourceId) -> None:
        """Forget the source and its items; its documents are the caller's matter."""
        with write_transaction(self.engine) as connection:
            connection.execute(delete(tables.sources).where(of_source(scope, id_)))

    def set_paused(self, scope: Scope, id_: SourceId, paused: bool) -> Source:
        """Raises: NotFound."""
        self._set(scope, id_, paused=paused)
        return self.get(scope, id_)

    def due(self, now: datetime) -> tuple[tuple[TenantId, SourceId], ...]:
        """What is to be synced by now, longest due first, across tenants: for the scheduler alone."""
        sources = tables.sources.c
        query = (
            select(sources.tenant, sources.id)
            .where(sources.due_at <= now, sources.paused.is_(False))
            .order_by(sources.due_at, sources.tenant, sources.id)
        )
        with self.engine.connect() as connection:
            return tuple((TenantId(row.tenant), SourceId(row.id)) for row in connection.execute(query))

    def claim(self, tenant: TenantId, id_: SourceId, due_at: datetime) -> bool:
        """Whether the source was due at or before that time, and is no longer: one of several callers gets True.

        A claim that leads to no sync makes the source due again after a quarter of an hour.
        """
        sources = tables.sources.c
        with write_transaction(self.engine) as connection:
            claimed = connection.execute(
                update(tables.sources)
                .where(sources.tenant == tenant, sources.id == id_, sources.due_at <= due_at)
                .values(due_at=due_at + timedelta(seconds=_CLAIM_S))
            )
        return claimed.rowcount == 1

    def make_due(self, scope: Scope, id_: SourceId) -> None:
        """Have the source synced soon; once more if it is being synced now. Raises: NotFound."""
        self._set(scope, id_, due_at=self._clock())

    def now(self) -> datetime:
        return self._clock()

    def retry(self, scope: Scope, id_: SourceId) -> int:
        """Have quarantined items fetched and tried again by the next sync; returns how many. Raises: NotFound."""
        self.get(scope, id_)
        items = tables.source_items.c
        aside = and_(items.tenant == scope.tenant, items.source == id_, items.code == RejectionCode.QUARANTINED)
        with write_transaction(self.engine) as connection:
            again = update(tables.source_items).where(aside).values(revision=None, code=None, detail=None, attempts=0)
            return connection.execute(again).rowcount

    def begin(self, scope: Scope, id_: SourceId, *, syncs: bool = True) -> Turn:
        """A new turn; whoever had the one before can no longer write. `syncs`: not only to compare.

        Raises: NotFound.
        """
        sources, now = tables.sources.c, self._clock()
        with write_transaction(self.engine) as connection:
            row = connection.execute(
                select(sources.scans, sources.token, sources.due_at).where(of_source(scope, id_)).with_for_update()
            ).one_or_none()
            if row is None:
                raise NotFound(f"no source {id_!r}")
            values: dict[str, object] = {"scans": row.scans + 1}
            if syncs:
                values["attempted_at"] = now
            if syncs and row.due_at is not None and row.due_at <= now:
                # This sync is the one that was due. Should it never end, the source is due again.
                values["due_at"] = now + timedelta(seconds=_CLAIM_S)
            connection.execute(update(tables.sources).where(of_source(scope, id_)).values(values))
        return Turn(row.scans + 1, row.token)

    def succeeded(self, scope: Scope, id_: SourceId, counts: Mapping[str, int], token: str | None) -> None:
        """Record a sync that met everything. `token` is the origin's before the scan."""
        now = self._clock()
        values = {"token": token, "failures": 0, "error_code": None, "error_detail": None, "succeeded_at": now}
        self._ended(scope, id_, values | {"counts": dict(counts)}, lambda source: _later(now, _interval_s(source)))

    def incomplete(self, scope: Scope, id_: SourceId, counts: Mapping[str, int], detail: str) -> None:
        """Record a sync that could not meet everything, so that nothing was deleted. It is tried again as usual."""
        values = self._failure(INCOMPLETE, detail) | {"counts": dict(counts)}
        self._ended(scope, id_, values, lambda source: _later(self._clock(), _interval_s(source)))

    def failed(self, scope: Scope, id_: SourceId, error: PlumblineError) -> None:
        """Record a sync that ended in an error. A source with an interval waits the longer, the more often."""

        def due_at(source: Row[Any]) -> datetime | None:
            interval_s = _interval_s(source)
            if interval_s is None:
                return None
            return _later(self._clock(), pause_s(f"{scope.tenant}/{id_}", interval_s, source.failures + 1))

        self._ended(scope, id_, self._failure(error.code, error.detail), due_at)

    @contextmanager
    def exclusively(self, scope: Scope, id_: SourceId) -> Iterator[None]:
        """Hold the source against every other thread and process until the context ends, or the process does.

        Postgres: an advisory lock of a connection of its own. SQLite: a locked file beside the database.
        Raises: Conflict if another holds it.
        """
        name = hashlib.sha256(f"{scope.tenant}\0{id_}".encode()).digest()
        lock = self._file_lock if self.engine.dialect.name == "sqlite" else self._advisory_lock
        with lock(name) as held:
            if not held:
                raise Conflict(f"source {id_!r} is being synced or compared already; wait for that to end")
            yield

    @contextmanager
    def _file_lock(self, name: bytes) -> Iterator[bool]:
        database = Path(self.engine.url.database or "")
        folder = database.with_name(f"{database.name}-locks")
        folder.mkdir(exist_ok=True)
        with (folder / name.hex()[:32]).open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    @contextmanager
    def _advisory_lock(self, name: bytes) -> Iterator[bool]:
        key = int.from_bytes(name[:8], signed=True)
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            held = bool(connection.scalar(select(func.pg_try_advisory_lock(key))))
            try:
                yield held
            finally:
                if held:
                    connection.execute(select(func.pg_advisory_unlock(key)))

    def _set(self, scope: Scope, id_: SourceId, **values: object) -> None:
        with write_transaction(self.engine) as connection:
            found = connection.execute(update(tables.sources).where(of_source(scope, id_)).values(values))
        if not found.rowcount:
            raise NotFound(f"no source {id_!r}")

    def _failure(self, code: str, detail: str) -> dict[str, object]:
        return {"failures": tables.sources.c.failures + 1, "error_code": code, "error_detail": detail[:_MAX_DETAIL]}

    def _ended(
        self, scope: Scope, id_: SourceId, values: Mapping[str, object], due_at: Callable[[Row[Any]], datetime | None]
    ) -> None:
        with write_transaction(self.engine) as connection:
            row = connection.execute(
                select(tables.sources).where(of_source(scope, id_)).with_for_update()
            ).one_or_none()
            if row is None:
                return
            # Made due while the sync ran: what was changed then may not be in it.
            again = row.due_at is not None and row.due_at <= self._clock()
            due = {} if again else {"due_at": due_at(row)}
            connection.execute(update(tables.sources).where(of_source(scope, id_)).values({**values, **due}))

    def _source(self, row: Row[Any]) -> Source:
        error = None if row.error_code is None else SourceError(row.error_code, row.error_detail or "")
        return Source(
            tenant=TenantId(row.tenant),
            definition=SourceDefinition.model_validate(row.definition),
            paused=row.paused,
            failures=row.failures,
            error=error,
            counts=row.counts,
            created_at=row.created_at,
            attempted_at=row.attempted_at,
            succeeded_at=row.succeeded_at,
            due_at=row.due_at,
            health=_health(row, self._clock()),
        )


def of_source(scope: Scope, id_: SourceId) -> ColumnElement[bool]:
    """The row of `sources`."""
    return and_(tables.sources.c.tenant == scope.tenant, tables.sources.c.id == id_)


def check_turn(connection: Connection, scope: Scope, id_: SourceId, scan: int) -> None:
    """Call first in every transaction of a sync: it then ends before a later turn begins, or not at all.

    Raises: NotFound if the source was removed; Conflict if a later turn was given.
    """
    current = connection.scalar(select(tables.sources.c.scans).where(of_source(scope, id_)).with_for_update(read=True))
    if current is None:
        raise NotFound(f"source {id_!r} was removed while it was synced")
    if current != scan:
        raise Conflict(f"another sync of source {id_!r} has begun and takes over")


def pause_s(name: str, interval_s: float, failures: int) -> float:
    """Seconds until the next try after so many failures: doubling up to six hours, and for each source a bit other."""
    pause = min(max(interval_s, _SHORTEST_PAUSE_S) * 2.0 ** min(failures, 32), _LONGEST_PAUSE_S)
    spread = hashlib.sha256(f"{name}\0{failures}".encode()).digest()[0] / 255
    return pause * (0.9 + 0.2 * spread)


def _interval_s(row: Row[Any]) -> float | None:
    interval_s: int | None = row.definition.get("interval_s")
    return interval_s


def _later(moment: datetime, seconds: float | None) -> datetime | None:
    return None if seconds is None else moment + timedelta(seconds=seconds)


def _health(row: Row[Any], now: datetime) -> SourceHealth:
    if row.paused:
        return SourceHealth.PAUSED
    if row.failures:
        return SourceHealth.FAILING
    if row.succeeded_at is None:
        return SourceHealth.NEVER_SYNCED
    interval_s = _interval_s(row)
    late = None if interval_s is None else _later(row.succeeded_at, _LATE_AFTER * interval_s)
    return SourceHealth.STALLED if late is not None and late < now else SourceHealth.OK
