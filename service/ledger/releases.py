"""Releases: which prompt, model or generation was made live in the place of what the settings say, and how it ended.

Whether one may go live, and what a process does when it has, is left to `service.quality` and `service.releasing`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select, update

from ingestion.corpus.catalog_reader import Page, older_than, page_of
from ingestion.corpus.database import write_transaction
from ingestion.errors import Conflict, NotFound
from service.ledger.audit import SERVICE, SERVICE_CHAIN, Action, Note, append
from service.ledger.tables import releases


class ReleaseKind(StrEnum):
    """What is released: an index generation, a version of the answer prompt, or the name of the fast model."""

    GENERATION = "generation"
    PROMPT = "prompt"
    MODEL = "model"


class ReleaseState(StrEnum):
    ACTIVE = "active"
    SUPERSEDED = "superseded"
    """Another one of its kind took its place."""
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True, slots=True)
class Release:
    """A row of `releases`, whose columns say what each means. `watch` is written and read by `service.releasing`."""

    id: str
    kind: ReleaseKind
    value: str
    previous: str | None
    state: ReleaseState
    promoted_at: datetime
    ended_at: datetime | None
    reason: str | None
    watch: Mapping[str, Any]
    actor: str


@dataclass(frozen=True, slots=True)
class NewRelease:
    """What is to go live, made by `actor`. `previous` is what it takes the place of; None: what the settings say.

    `replaces` is the release of its kind that was active when it was decided.
    """

    kind: ReleaseKind
    value: str
    previous: str | None
    replaces: Release | None
    actor: str
    watch: Mapping[str, Any] = field(default_factory=dict)


_FIELDS = tuple(one.name for one in fields(Release))
_columns = releases.c


class Releases:
    """The releases of an installation: they concern all tenants. Safe from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def active(self) -> dict[ReleaseKind, Release]:
        """Those that are live; of a kind without one, what the settings say is live."""
        query = select(releases).where(_columns.state == ReleaseState.ACTIVE).order_by(_columns.promoted_at)
        with self._engine.connect() as connection:
            return {one.kind: one for one in map(_release, connection.execute(query))}

    def get(self, id_: str) -> Release:
        """Raises: NotFound."""
        with self._engine.connect() as connection:
            row = connection.execute(select(releases).where(_columns.id == id_)).one_or_none()
        if row is None:
            raise NotFound(f"no release {id_!r}; `plumbline releases` lists them")
        return _release(row)

    def latest(self, kind: ReleaseKind, state: ReleaseState) -> Release | None:
        """The one of that kind in that state that was made last."""
        query = select(releases).where(_columns.kind == kind, _columns.state == state)
        query = query.order_by(_columns.promoted_at.desc(), _columns.id.desc())
        with self._engine.connect() as connection:
            row = connection.execute(query.limit(1)).one_or_none()
        return None if row is None else _release(row)

    def list(self, *, cursor: str | None = None, limit: int = 50) -> Page[Release]:
        """All of them, newest first. Raises: InvalidRequest for a foreign cursor."""
        query = select(releases)
        if cursor is not None:
            query = query.where(older_than(cursor, _columns.promoted_at, _columns.id))
        query = query.order_by(_columns.promoted_at.desc(), _columns.id.desc()).limit(limit + 1)
        with self._engine.connect() as connection:
            found = [_release(row) for row in connection.execute(query)]
        return page_of(found, limit, lambda one: (one.promoted_at, one.id))

    def promote(self, new: NewRelease) -> Release:
        """Write the release and end the one before it, in one transaction.

        Raises: Conflict if that is not the active one any more: somebody released something meanwhile.
        """
        now = datetime.now(UTC)
        with write_transaction(self._engine) as connection:
            _alone(connection)
            row = connection.execute(_active(new.kind)).one_or_none()
            if (None if row is None else row.id) != (None if new.replaces is None else new.replaces.id):
                raise Conflict(f"another {new.kind} was released meanwhile: look at it, then decide again")
            if row is not None:
                ending = {"state": ReleaseState.SUPERSEDED, "ended_at": now, "reason": f"{new.value} took its place"}
                connection.execute(update(releases).where(_columns.id == row.id).values(ending))
            made = _insert(connection, new, now)
            forced = new.watch.get("forced")
            _noted(connection, Action.RELEASE_PROMOTE, new.actor, made, previous=new.previous, forced=forced)
            return made

    def end(self, release: Release, reason: str, watch: Mapping[str, Any] | None = None, by: str = SERVICE) -> bool:
        """Roll the release back: what was released before it, if anything was, is live again. `by` is told to the
        audit log.

        False, and nothing is done, if it is not active any more: of several processes that want to, one does it.
        """
        with write_transaction(self._engine) as connection:
            _alone(connection)
            if not _end(connection, release, ReleaseState.ROLLED_BACK, reason, watch):
                return False
            _noted(connection, Action.RELEASE_ROLL_BACK, by, release, previous=release.previous, reason=reason)
            earlier = connection.execute(_before(release)).first()
            if earlier is not None:
                back = NewRelease(release.kind, earlier.value, earlier.previous, None, f"return from {release.value}")
                _insert(connection, back, datetime.now(UTC))
        return True

    def supersede(self, release: Release, reason: str) -> bool:
        """End the release without going back from it. False if it is not active any more."""
        with write_transaction(self._engine) as connection:
            return _end(connection, release, ReleaseState.SUPERSEDED, reason, None)

    def note(self, release: Release, **facts: object) -> None:
        """Keep further facts with what is watched of the release."""
        with write_transaction(self._engine) as connection:
            known = connection.scalar(select(_columns.watch).where(_columns.id == release.id)) or {}
            connection.execute(update(releases).where(_columns.id == release.id).values(watch={**known, **facts}))


def _noted(connection: Connection, action: Action, by: str, release: Release, **detail: str | None) -> None:
    facts = {"kind": release.kind.value, "release": release.id, **detail}
    append(connection, SERVICE_CHAIN, [Note(SERVICE_CHAIN, by, action, release.value, facts)])


def _alone(connection: Connection) -> None:
    """Nobody else writes releases until the end of the transaction."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE releases IN SHARE ROW EXCLUSIVE MODE")


def _active(kind: ReleaseKind) -> Any:
    return select(releases).where(_columns.kind == kind, _columns.state == ReleaseState.ACTIVE)


def _before(release: Release) -> Any:
    """The release whose place it took, if what was live before it was one."""
    mine = (_columns.kind == release.kind, _columns.state == ReleaseState.SUPERSEDED)
    same = (_columns.value == release.previous, _columns.promoted_at < release.promoted_at)
    return select(releases).where(*mine, *same).order_by(_columns.promoted_at.desc()).limit(1)


def _end(
    connection: Connection, release: Release, state: ReleaseState, reason: str, watch: Mapping[str, Any] | None
) -> bool:
    values: dict[str, object] = {"state": state, "ended_at": datetime.now(UTC), "reason": reason}
    if watch is not None:
        values["watch"] = dict(watch)
    active = (_columns.id == release.id, _columns.state == ReleaseState.ACTIVE)
    return connection.execute(update(releases).where(*active).values(values)).rowcount == 1


def _insert(connection: Connection, new: NewRelease, now: datetime) -> Release:
    made = Release(
        id=str(uuid.uuid4()),
        kind=new.kind,
        value=new.value,
        previous=new.previous,
        state=ReleaseState.ACTIVE,
        promoted_at=now,
        ended_at=None,
        reason=None,
        watch=dict(new.watch),
        actor=new.actor,
    )
    connection.execute(insert(releases).values(asdict(made)))
    return made


def _release(row: Row[Any]) -> Release:
    values = {name: row._mapping[name] for name in _FIELDS}
    return Release(**values | {"kind": ReleaseKind(row.kind), "state": ReleaseState(row.state)})
