"""What is remembered of each item of a source: written in batches, and only while the sync has its turn.

An item is written before its document is handed to the pipeline, so that no crash leaves a document that nobody
knows. Its revision is written after, so that no crash leaves one that is believed to be there and is not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Text,
    and_,
    bindparam,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    update,
)

from ingestion.corpus import tables
from ingestion.corpus.database import write_transaction
from ingestion.corpus.records import DocumentId
from ingestion.errors import RejectionCode
from ingestion.source_store import SourceStore, check_turn
from ingestion.sources.definitions import SourceId
from ingestion.sources.origin import KnownItem, Unavailable
from ingestion.syncing.filing import Filing, marked, unmarked

UNDER_WAY = "under_way"
"""Code of an item that was handed to the pipeline and has no outcome. After a crash: one of these may be to blame."""
_GONE = -1
"""As `scan` of an item: the origin itself said that it no longer exists."""
_MAX_DETAIL = 1000
_MAX_URI = 4000

_items = tables.source_items.c


@dataclass(frozen=True, slots=True)
class Item:
    """An item as it is remembered. `failed_before` counts the tries of the content with this hash."""

    id: DocumentId
    key: str
    uri: str
    code: str | None
    detail: str | None
    attempts: int
    sha256: str | None

    def failed_before(self, sha256: str) -> int:
        return self.attempts if self.sha256 == sha256 else 0

    @property
    def is_quarantined(self) -> bool:
        return self.code == RejectionCode.QUARANTINED


@dataclass(frozen=True, slots=True)
class Handed:
    """An item whose document goes to the pipeline. `attempts` are the tries of this content so far that failed.

    `alone`: it was under way when a process died. Its try is counted before, as nothing could count it after.
    """

    id: DocumentId
    key: str
    uri: str
    sha256: str
    revision: str | None
    state: dict[str, Any]
    attempts: int
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of an item that was fetched; `revision` is None if it is to be fetched again."""

    id: DocumentId
    revision: str | None
    sha256: str
    state: dict[str, Any]
    attempts: int = 0
    code: str | None = None
    detail: str | None = None


class ItemBook:
    """The items of one source, for one turn. Safe from two threads."""

    def __init__(self, store: SourceStore, filing: Filing, scan: int) -> None:
        self._engine = store.engine
        self.filing = filing
        self._scope = filing.scope
        self._source = SourceId(filing.definition.id)
        self._scan = scan
        self._mark = filing.mark()
        self._mine = and_(_items.tenant == filing.scope.tenant, _items.source == filing.definition.id)

    # -- what is remembered

    def get(self, keys: Collection[str]) -> dict[str, KnownItem]:
        """See `Known`."""
        rows = self._rows([self.filing.document_id(key) for key in keys])
        return {row.key: self._known(row) for row in rows.values() if _was_fetched(row)}

    def sample(self) -> KnownItem | None:
        """See `Known`."""
        fetched = or_(
            _items.revision.is_not(None), _items.attempted_sha256.is_not(None), cast(_items.state, Text) != "{}"
        )
        with self._engine.connect() as connection:
            row = connection.execute(select(tables.source_items).where(self._mine, fetched).limit(1)).one_or_none()
        return None if row is None else self._known(row)

    def items(self, ids: Sequence[DocumentId]) -> dict[DocumentId, Item]:
        return {
            id_: Item(id_, row.key, row.uri, row.code, row.detail, row.attempts, row.attempted_sha256)
            for id_, row in self._rows(ids).items()
        }

    def count(self, *, quarantined: bool = False) -> int:
        condition = and_(self._mine, _items.code == RejectionCode.QUARANTINED) if quarantined else self._mine
        return self._count(condition)

    def is_settled(self) -> bool:
        """Whether each item is in the corpus as it was last met, or quarantined."""
        revision = _items.revision
        healthy = and_(
            _items.code.is_(None), revision.is_not(None), revision.startswith(f"{self._mark}|", autoescape=True)
        )
        return self._count(and_(self._mine, not_(or_(healthy, self._put_aside())))) == 0

    # -- what a scan finds

    def met(self, ids: Sequence[DocumentId]) -> int:
        """These were met, as they were when they were last fetched: a failure to fetch them is over.

        Returns how many of them are quarantined, and stay so.
        """
        some = and_(self._mine, _items.document_id.in_(ids))
        aside = _items.code == RejectionCode.QUARANTINED
        with self._writing() as connection:
            connection.execute(update(tables.source_items).where(some).values(scan=self._scan))
            troubled = connection.scalars(select(_items.code).where(some, _items.code.is_not(None))).all()
            if troubled:
                over = {"code": None, "detail": None, "attempts": 0}
                connection.execute(update(tables.source_items).where(some, not_(aside)).values(over))
        return troubled.count(RejectionCode.QUARANTINED)

    def gone(self, ids: Sequence[DocumentId]) -> None:
        """The origin no longer has these."""
        self._mark_scan(ids, _GONE)

    def compared(self, ids: Sequence[DocumentId]) -> None:
        """These were met by a scan that only looks."""
        self._mark_scan(ids, self._scan)

    def unavailable(self, found: Sequence[Unavailable]) -> None:
        """These could not be had. What is indexed of them stays; what is quarantined stays so."""
        by_id = {self.filing.document_id(item.key): item for item in found}
        with self._writing() as connection:
            known = self._rows(list(by_id), connection)
            aside = [id_ for id_, row in known.items() if row.code == RejectionCode.QUARANTINED]
            if aside:
                connection.execute(
                    update(tables.source_items).where(self._mine, _items.document_id.in_(aside)).values(scan=self._scan)
                )
            for id_, item in by_id.items():
                if id_ in aside:
                    continue
                values = {"code": item.code, "detail": item.detail[:_MAX_DETAIL], "attempted_sha256": None}
                row = known.get(id_)
                if row is None:
                    connection.execute(
                        insert(tables.source_items).values(
                            self._new(id_, item.key, item.uri) | values | {"attempts": 1}
                        )
                    )
                    continue
                attempts = row.attempts + 1 if row.attempted_sha256 is None else 1
                connection.execute(
                    update(tables.source_items)
                    .where(self._mine, _items.document_id == id_)
                    .values(values | {"scan": self._scan, "attempts": attempts})
                )

    # -- what the pipeline does

    def hand_over(self, handed: Sequence[Handed]) -> None:
        """These go to the pipeline. Until they are settled they count as never fetched."""
        with self._writing() as connection:
            known = self._rows([item.id for item in handed], connection)
            new, old = [], []
            for item in handed:
                values = {
                    "uri": item.uri[:_MAX_URI],
                    "revision": None,
                    "state": item.state,
                    "scan": self._scan,
                    "attempts": item.attempts + item.alone,
                    "attempted_sha256": item.sha256,
                    "code": UNDER_WAY,
                    "detail": None,
                }
                if item.id in known:
                    old.append({"item": item.id} | values)
                else:
                    new.append(self._new(item.id, item.key, item.uri) | values)
            if new:
                connection.execute(insert(tables.source_items), new)
            if old:
                names = [name for name in old[0] if name != "item"]
                self._update_each(connection, old, names)

    def settle(self, settled: Sequence[Settled]) -> None:
        """These have an outcome, or need none."""
        if not settled:
            return
        rows = [
            {
                "item": item.id,
                "revision": marked(self._mark, item.revision),
                "state": item.state,
                "scan": self._scan,
                "attempts": item.attempts,
                "attempted_sha256": item.sha256,
                "code": item.code,
                "detail": None if item.detail is None else item.detail[:_MAX_DETAIL],
            }
            for item in settled
        ]
        with self._writing() as connection:
            self._update_each(connection, rows, [name for name in rows[0] if name != "item"])

    def release(self, alone: Collection[DocumentId]) -> None:
        """The sync ends early, in order: nothing that this turn handed over is to blame.

        What was under way before it is as suspect as it was; `alone` are those of them whose try was counted.
        """
        ours = and_(self._mine, _items.code == UNDER_WAY, _items.scan == self._scan)
        with self._writing() as connection:
            for id_ in alone:
                suspect = and_(ours, _items.document_id == id_)
                connection.execute(
                    update(tables.source_items).where(suspect).values(attempts=_items.attempts - 1, scan=0)
                )
            connection.execute(update(tables.source_items).where(ours).values(code=None))

    def check(self) -> None:
        """Raises: NotFound, Conflict if the turn is over."""
        with self._writing():
            pass

    # -- what is to be deleted

    def forget_lost(self) -> int:
        """Have items fetched again whose documents are not in the corpus, as when someone deleted one there."""
        documents = tables.documents.c
        live = exists().where(
            documents.tenant == self._scope.tenant,
            documents.collection == self.filing.definition.collection,
            documents.id == _items.document_id,
            documents.version.is_not(None),
        )
        with self._writing() as connection:
            lost = and_(self._mine, _items.revision.is_not(None), not_(self._put_aside()), not_(live))
            return connection.execute(update(tables.source_items).where(lost).values(revision=None)).rowcount

    def unmet(self, *, complete: bool, limit: int) -> list[tuple[DocumentId, str]]:
        """Items to delete, with their URIs: what is gone, and if the scan was complete, what it did not meet."""
        condition = _items.scan != self._scan if complete else _items.scan == _GONE
        query = select(_items.document_id, _items.uri).where(self._mine, condition).order_by(_items.document_id)
        with self._writing() as connection:
            return [(DocumentId(row.document_id), row.uri) for row in connection.execute(query.limit(limit))]

    def forget(self, ids: Sequence[DocumentId]) -> None:
        with self._writing() as connection:
            connection.execute(delete(tables.source_items).where(self._mine, _items.document_id.in_(ids)))

    # --

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with write_transaction(self._engine) as connection:
            check_turn(connection, self._scope, self._source, self._scan)
            yield connection

    def _rows(self, ids: Sequence[DocumentId], connection: Connection | None = None) -> dict[DocumentId, Row[Any]]:
        query = select(tables.source_items).where(self._mine, _items.document_id.in_(ids))
        if connection is not None:
            return {DocumentId(row.document_id): row for row in connection.execute(query)}
        with self._engine.connect() as reading:
            return {DocumentId(row.document_id): row for row in reading.execute(query)}

    def _known(self, row: Row[Any]) -> KnownItem:
        return KnownItem(row.key, unmarked(self._mark, row.revision), row.state)

    def _new(self, id_: DocumentId, key: str, uri: str) -> dict[str, Any]:
        return {
            "tenant": self._scope.tenant,
            "source": self._source,
            "document_id": id_,
            "key": key,
            "uri": uri[:_MAX_URI],
            "revision": None,
            "state": {},
            "scan": self._scan,
            "attempts": 0,
        }

    def _put_aside(self) -> ColumnElement[bool]:
        return func.coalesce(_items.code == RejectionCode.QUARANTINED, literal(False))

    def _mark_scan(self, ids: Sequence[DocumentId], scan: int) -> None:
        with self._writing() as connection:
            connection.execute(
                update(tables.source_items).where(self._mine, _items.document_id.in_(ids)).values(scan=scan)
            )

    def _update_each(self, connection: Connection, rows: list[dict[str, Any]], names: Sequence[str]) -> None:
        statement = (
            update(tables.source_items)
            .where(self._mine, _items.document_id == bindparam("item"))
            .values({name: bindparam(name) for name in names})
        )
        connection.execute(statement, rows)

    def _count(self, condition: ColumnElement[bool]) -> int:
        with self._engine.connect() as connection:
            return connection.scalar(select(func.count()).select_from(tables.source_items).where(condition)) or 0


def _was_fetched(row: Row[Any]) -> bool:
    return row.revision is not None or row.attempted_sha256 is not None or bool(row.state)
