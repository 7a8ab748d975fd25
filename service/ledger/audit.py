"""The audit log: who did what, in one hash chain for each tenant.

The chain itself is left to `service.ledger.chain`, what a request tells to `service.api.auditing`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, Row, delete, func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from ingestion.corpus.database import insert_if_absent, write_transaction
from ingestion.errors import PlumblineError
from service.errors import AuditUnavailable
from service.ledger.chain import CUT, GENESIS, Entry, Head, moment
from service.ledger.tables import audit_heads, audit_log
from service.settings import AuditSettings

log = structlog.get_logger(__name__)

SERVICE_CHAIN = "_service"
"""The chain of what all tenants share: settings, generations, releases, keys that no one knows. No tenant's name."""
SERVICE = "service"
KEYLESS = "keyless"

_SUBJECT_CHARS = 400
_ACTOR_CHARS = 128
_VALUE_CHARS = 1_000
_LISTED = 200
_PAGE = 500
_CUT_AT_LEAST = timedelta(days=1)


class Action(StrEnum):
    """What was done. Stable: programs match on it."""

    ASKED = "asked"
    DOCUMENTS_ADD = "documents.add"
    DOCUMENT_DELETE = "document.delete"
    SOURCE_ADD = "source.add"
    SOURCE_CHANGE = "source.change"
    SOURCE_REMOVE = "source.remove"
    SOURCE_SYNC = "source.sync"
    SOURCE_RETRY = "source.retry"
    SOURCE_PAUSE = "source.pause"
    SOURCE_RESUME = "source.resume"
    JOB_CANCEL = "job.cancel"
    GENERATION_BUILD = "generation.build"
    GENERATION_SWITCH = "generation.switch"
    RELEASE_PROMOTE = "release.promote"
    RELEASE_ROLL_BACK = "release.roll_back"
    KEY_CREATE = "key.create"
    KEY_REVOKE = "key.revoke"
    SERVICE_START = "service.start"
    SETTINGS_CHANGE = "settings.change"
    FEEDBACK_GIVE = "feedback.give"
    FEEDBACK_READ = "feedback.read"
    TRACES_READ = "traces.read"
    GAPS_READ = "gaps.read"
    AUDIT_READ = "audit.read"
    ACCESS_REFUSE = "access.refuse"
    RETENTION_DELETE = "retention.delete"
    CUT = CUT
    FAILED = "failed"
    """A change that an earlier entry announced was not made, or not wholly; `detail.entry` is its number."""


@dataclass(frozen=True, slots=True)
class Note:
    """What is to be an entry. `tenant` names the chain; `detail` holds strings, whole numbers, truths and lists."""

    tenant: str
    actor: str
    action: Action
    subject: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Question:
    """One operation that was asked for, without its words. `id` is that of its trace."""

    tenant: str
    actor: str
    operation: str
    id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Later:
    """A record for the ledger's queue. One kind for both: their chains must be locked in one order."""

    what: Note | Question


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries of a chain: those with a number above `after` and, where given, of that actor or action."""

    after: int = 0
    since: datetime | None = None
    actor: str | None = None
    action: str | None = None


def actor_of(key_id: str | None) -> str:
    """How the log names whoever calls over HTTP."""
    return KEYLESS if key_id is None else f"key:{key_id}"


def append(connection: Connection, tenant: str, notes: Sequence[Note]) -> Head:
    """Put the notes at the end of a chain, within the transaction of `connection`; the new head.

    The chain's head stays locked until the transaction ends: processes append one after the other, without gaps.
    A transaction that appends to several chains must take them in the order of their names.
    """
    head = _locked_head(connection, tenant)
    rows = []
    for note in notes:
        entry = _entry(note, tenant, head)
        rows.append({**entry.facts(), "at": note.at})
        head = Head(entry.hash, entry.n)
    connection.execute(insert(audit_log), rows)
    moved = "UPDATE audit_heads SET n = ?, hash = ? WHERE tenant = ?"
    connection.exec_driver_sql(_in_dialect(connection, moved), (head.n, head.hash, tenant))
    return head


def write_notes(connection: Connection, records: Sequence[Note]) -> None:
    """Append notes of several chains: what may be written in a batch beside the requests."""
    by_tenant: dict[str, list[Note]] = defaultdict(list)
    for note in records:
        by_tenant[note.tenant].append(note)
    for tenant in sorted(by_tenant):
        append(connection, tenant, by_tenant[tenant])


def write_later(connection: Connection, records: Sequence[Later]) -> None:
    """Append what came over the queue: notes, and all questions of a tenant and actor in one entry."""
    questions = [record.what for record in records if isinstance(record.what, Question)]
    notes = [record.what for record in records if isinstance(record.what, Note)]
    write_notes(connection, [*_asked(questions), *notes])


def _asked(records: Sequence[Question]) -> list[Note]:
    """One note for each tenant and actor with the ids of all that was asked."""
    asked: dict[tuple[str, str], list[Question]] = defaultdict(list)
    for question in records:
        asked[question.tenant, question.actor].append(question)
    notes = []
    for (tenant, actor), questions in asked.items():
        ids: dict[str, list[str]] = defaultdict(list)
        for question in questions:
            ids[question.operation].append(question.id)
        at = max(question.at for question in questions)
        notes.append(Note(tenant, actor, Action.ASKED, None, {"number": len(questions), **ids}, at))
    return notes


class Audit:
    """Writes and reads the chains. Safe from several threads and processes."""

    def __init__(self, engine: Engine, settings: AuditSettings) -> None:
        self._engine = engine
        self._settings = settings

    def write(self, *notes: Note) -> Head:
        """Append to one chain; when it returns, the entries are in the database. Raises: AuditUnavailable."""
        try:
            with write_transaction(self._engine) as connection:
                return append(connection, notes[0].tenant, notes)
        except SQLAlchemyError as error:
            log.error("audit_unavailable", error=type(error).__name__, action=notes[0].action)
            raise AuditUnavailable(
                "nothing was changed, because the audit log can't be written: try again once the database answers"
            ) from error

    @contextmanager
    def change(self, note: Note) -> Iterator[None]:
        """Announce a change, and let it be made in the context; one that fails is followed by an entry `failed`.

        Written first: a process that dies in between leaves an entry too many, never a change without one.
        Raises: AuditUnavailable before anything is changed.
        """
        head = self.write(note)
        code: str | None = "internal"
        try:
            yield
            code = None
        except PlumblineError as error:
            code = error.code
            raise
        finally:
            if code is not None:
                self._failed(note, head, code)

    def _failed(self, note: Note, head: Head, code: str) -> None:
        detail = {"entry": head.n, "action": note.action.value, "code": code}
        failed = replace(note, action=Action.FAILED, detail=detail, at=datetime.now(UTC))
        try:
            self.write(failed)
        except AuditUnavailable:
            # The announcement stands: it says at worst more than what happened. The error itself goes its way.
            log.error("audit_failure_not_written", chain=note.tenant, entry=head.n, code=code)

    def entries(self, tenant: str, wanted: Wanted = Wanted(), limit: int | None = None) -> list[Entry]:
        """Entries in the order of the chain, oldest first."""
        columns = audit_log.c
        query = select(audit_log).where(columns.tenant == tenant, columns.n > wanted.after)
        for column, value in ((columns.actor, wanted.actor), (columns.action, wanted.action)):
            query = query if value is None else query.where(column == value)
        if wanted.since is not None:
            query = query.where(columns.at >= wanted.since)
        with self._engine.connect() as connection:
            return [_read(row) for row in connection.execute(query.order_by(columns.n).limit(limit))]

    def chain(self, tenant: str, since: datetime | None = None) -> Iterator[Entry]:
        """All entries of a chain in order, read page by page; with `since` from the first one of then on."""
        after = 0 if since is None else self._before(tenant, since)
        while page := self.entries(tenant, Wanted(after), _PAGE):
            yield from page
            after = page[-1].n

    def last(self, tenant: str, most: int) -> list[Entry]:
        """The newest entries, newest first."""
        query = select(audit_log).where(audit_log.c.tenant == tenant).order_by(audit_log.c.n.desc()).limit(most)
        with self._engine.connect() as connection:
            return [_read(row) for row in connection.execute(query)]

    def heads(self) -> dict[str, Head]:
        """The head of every chain."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(audit_heads).order_by(audit_heads.c.tenant)).all()
        return {row.tenant: Head(row.hash, row.n) for row in rows if row.n}

    def tell_heads(self) -> None:
        """Put the head of every chain into the log of the process, so that it stands outside the database."""
        for tenant, head in self.heads().items():
            log.info("audit_head", chain=tenant, n=head.n, hash=head.hash)

    def keep_house(self, now: datetime | None = None) -> None:
        """Cut off what is past its time, and tell the heads."""
        if self._settings.days:
            before = (now or datetime.now(UTC)) - timedelta(days=self._settings.days)
            for tenant in self.heads():
                self.cut(tenant, before)
        self.tell_heads()

    def cut(self, tenant: str, before: datetime) -> int:
        """How many entries older than that were cut off the old end of a chain: none until a day's worth has come
        together, because each cut adds an entry. The entry that says so has the hash at the cut.
        """
        columns = audit_log.c
        with write_transaction(self._engine) as connection:
            head = _locked_head(connection, tenant)
            oldest, first = _ends(connection, tenant)
            if oldest is None or oldest >= before - _CUT_AT_LEAST:
                return 0
            kept: int | None = connection.execute(
                select(func.min(columns.n)).where(columns.tenant == tenant, columns.at >= before)
            ).scalar()
            upto: int = (head.n or 0) if kept is None else kept - 1
            if upto < first:
                return 0
            at = select(columns.hash).where(columns.tenant == tenant, columns.n == upto)
            detail = {"n": upto, "hash": connection.execute(at).scalar_one(), "entries": upto - first + 1}
            append(connection, tenant, [Note(tenant, SERVICE, Action.CUT, None, detail)])
            connection.execute(delete(audit_log).where(columns.tenant == tenant, columns.n <= upto))
        log.info("audit_cut", chain=tenant, entries=detail["entries"])
        return upto - first + 1

    def _before(self, tenant: str, since: datetime) -> int:
        found = select(func.min(audit_log.c.n)).where(audit_log.c.tenant == tenant, audit_log.c.at >= since)
        with self._engine.connect() as connection:
            first: int | None = connection.execute(found).scalar()
        head = self.heads().get(tenant)
        return (head.n or 0 if head is not None else 0) if first is None else first - 1


def _ends(connection: Connection, tenant: str) -> tuple[datetime | None, int]:
    """The oldest time in a chain, and its lowest number."""
    columns = audit_log.c
    row = connection.execute(
        select(func.min(columns.at), func.coalesce(func.min(columns.n), 0)).where(columns.tenant == tenant)
    ).one()
    return row[0], row[1]


def _locked_head(connection: Connection, tenant: str) -> Head:
    """The head of a chain, nobody else's until the transaction ends. SQLite's write lock is taken already."""
    wanted = "SELECT hash, n FROM audit_heads WHERE tenant = ?"
    if connection.dialect.name != "sqlite":
        wanted += " FOR UPDATE"
    row = connection.exec_driver_sql(_in_dialect(connection, wanted), (tenant,)).one_or_none()
    if row is None:
        insert_if_absent(connection, audit_heads, {"tenant": tenant, "n": 0, "hash": GENESIS})
        row = connection.exec_driver_sql(_in_dialect(connection, wanted), (tenant,)).one()
    return Head(row.hash, row.n)


def _in_dialect(connection: Connection, statement: str) -> str:
    """The statement for the driver itself. A chain grows with every batch of questions, and SQLAlchemy would spend ten
    times as long over it as the database, in a process that others wait for.
    """
    return statement if connection.dialect.name == "sqlite" else statement.replace("?", "%s")


def _entry(note: Note, tenant: str, head: Head) -> Entry:
    assert head.n is not None
    entry = Entry(
        tenant=tenant,
        n=head.n + 1,
        at=moment(note.at),
        actor=_plain(note.actor, _ACTOR_CHARS),
        action=note.action.value,
        subject=None if note.subject is None else _plain(note.subject, _SUBJECT_CHARS),
        detail={_plain(name, _SUBJECT_CHARS): _storable(value) for name, value in note.detail.items()},
        previous=head.hash,
    )
    return replace(entry, hash=entry.sealed())


def _read(row: Row[Any]) -> Entry:
    facts = dict(row._mapping)
    return Entry(**{**facts, "at": moment(facts["at"])})


def _storable(value: Any) -> Any:
    """The value as any database and any program gives it back: no floats, no text that has no UTF-8."""
    match value:
        case None | bool() | int():
            return value
        case str():
            return _plain(value, _VALUE_CHARS)
        case Mapping():
            return {_plain(str(name), _SUBJECT_CHARS): _storable(inner) for name, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_storable(inner) for inner in list(value)[:_LISTED]]
        case _:
            return _plain(str(value), _VALUE_CHARS)


def _plain(text: str, most: int) -> str:
    """Without NUL and lone surrogates, which Postgres does not take, and no longer than that."""
    shown = text.encode("utf-8", "replace").decode().replace("\x00", "?")
    return shown if len(shown) <= most else shown[: most - 1] + "…"
