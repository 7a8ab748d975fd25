"""The origin `sql`: one document for each row of a table or a query. What is stored of them is the sync's affair.

A scan reads the keys of all rows and their stamps in one statement, ends the transaction, and then reads the changed
rows in batches, each batch in a short transaction of its own. A row's stamp is read again together with its text,
so that the two belong together however long the scan takes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection, Result, Select
from sqlalchemy.exc import DataError

from ingestion.errors import DocumentRejected, RejectionCode, SourceUnavailable
from ingestion.sources.definitions import SqlOrigin
from ingestion.sources.listing import Listed, sightings
from ingestion.sources.origin import End, Fetched, Gone, Known, KnownItem, Sighting, Unavailable
from ingestion.sources.sql.database import Database
from ingestion.sources.sql.rows import document_of, key_of, too_large, uri_of
from ingestion.sources.sql.snapshot import Entry, Snapshot
from ingestion.sources.sql.stamps import Look, revision_of, stamp_text
from ingestion.sources.sql.statements import Statements, check_definition, probe, statements

_ROWS_AT_A_TIME = 2000
_GROUP_BYTES = 8_000_000
_NO_KEY = "(rows without a key)"

_Given = Fetched | Unavailable | Gone
_Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows of a batch that were read together, or why one could not be, and which rows of the batch there are."""

    rows: Mapping[str, _Row | DocumentRejected]
    there: Collection[str]
    look: Look


class Sql:
    """Rows of one database. Reads only, in transactions that last no longer than one statement or two.

    `max_bytes` is the largest row that is read; larger ones are refused without fetching them. `now` is our clock.
    Raises: InvalidRequest for an address or a definition that can't work.
    """

    def __init__(
        self,
        definition: SqlOrigin,
        *,
        address: SecretStr,
        max_bytes: int,
        statement_timeout_s: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._definition = definition
        self._max_bytes = max_bytes
        self._now = now
        self._database = Database(definition.database, address, timeout_s=statement_timeout_s)
        check_definition(definition, self._database.backend)

    def token(self) -> str | None:
        """None: no database says cheaply and reliably that nothing in it changed."""
        return None

    def scan(self, known: Known) -> Iterator[Sighting]:
        """Every row with a text, in the order of the keys; without `updated_at`, or while it is too fresh, fetched."""
        with closing(Snapshot()) as snapshot, closing(self._database):
            to_read = self._list(snapshot)
            if snapshot.without_key:
                why = f"{snapshot.without_key} rows have no value in the key column {self._definition.key!r}"
                yield self._unavailable(_NO_KEY, DocumentRejected(RejectionCode.INVALID_DOCUMENT, why))

            def fetch(batch: Sequence[Listed]) -> Iterator[_Given]:
                names = [listed.key for listed in batch]
                before = {} if self._definition.updated_at is None else known.get(names)
                return self._fetch(to_read, snapshot, names, before)

            yield from sightings(snapshot, known, fetch)
        yield End(complete=True)

    def close(self) -> None:
        self._database.close()

    def _list(self, snapshot: Snapshot) -> Statements:
        with self._database.reading() as connection:
            present = list(connection.execute(probe(self._definition, self._database.backend)).keys())
            to_read = statements(self._definition, self._database.backend, present)
            rows = connection.execution_options(yield_per=_ROWS_AT_A_TIME).execute(to_read.listing())
            try:
                snapshot.fill(self._streamed(rows))
            except sqlite3.Error as error:
                raise SourceUnavailable(f"cannot keep the list of rows in a temporary file: {error}") from error
        return to_read

    def _streamed(self, rows: Result[Any]) -> Iterator[Sequence[Any]]:
        for some in rows.partitions():
            self._database.rows_came()
            yield from some

    def _fetch(
        self, to_read: Statements, snapshot: Snapshot, names: Sequence[str], before: Mapping[str, KnownItem]
    ) -> Iterator[_Given]:
        pending: dict[str, object] = {}
        for entry in snapshot.entries(names):
            try:
                pending[entry.key.name] = self._value(entry)
            except DocumentRejected as error:
                yield self._unavailable(entry.key.name, error)
        while pending:
            group = self._read(to_read, pending, snapshot)
            for name in list(pending):
                if name in group.rows or name not in group.there:
                    del pending[name]
                    yield self._given(name, group, before.get(name))

    def _value(self, entry: Entry) -> object:
        if entry.copies > 1:
            raise DocumentRejected(
                RejectionCode.INVALID_DOCUMENT,
                f"{entry.copies} rows have the same value in the key column {self._definition.key!r}",
            )
        return entry.key.value

    def _read(self, to_read: Statements, pending: Mapping[str, object], snapshot: Snapshot) -> _Group:
        """As many of the rows as `_GROUP_BYTES` hold, one at least, and which of them there are."""
        asked_at = self._now()
        with self._database.reading() as connection:
            found = _by_name(connection, to_read.sizes(list(pending.values())), pending)
            sizes = {name: int(row[1]) for name, row in found.items()}
            chosen = {name: pending[name] for name in _first_of(sizes, self._max_bytes)}
            try:
                rows = self._bodies(connection, to_read, chosen)
            except (DataError, ValueError):
                rows = {}
        answered_at = self._now()
        for name, value in chosen.items():
            if name not in rows:
                rows[name] = self._alone(to_read, name, value)
        rows |= {name: too_large(size, self._max_bytes) for name, size in sizes.items() if size > self._max_bytes}
        return _Group(rows, sizes, Look(asked_at, answered_at, snapshot.newest))

    def _alone(self, to_read: Statements, name: str, value: object) -> _Row | DocumentRejected:
        """One row, where one among those around it can't be read: only that one is refused."""
        with self._database.reading() as connection:
            try:
                found = self._bodies(connection, to_read, {name: value})
            except (DataError, ValueError) as error:
                return DocumentRejected(RejectionCode.UNREADABLE, self._database.described(error))
        return found.get(name) or DocumentRejected(RejectionCode.FETCH_FAILED, "the row changed while it was read")

    def _bodies(
        self, connection: Connection, to_read: Statements, keys: Mapping[str, object]
    ) -> dict[str, _Row | DocumentRejected]:
        if not keys:
            return {}
        found = _by_name(connection, to_read.bodies(list(keys.values())), keys)
        return {name: dict(zip(to_read.spelled, row, strict=True)) for name, row in found.items()}

    def _given(self, name: str, group: _Group, before: KnownItem | None) -> _Given:
        row = group.rows.get(name)
        if row is None:
            return Gone(name)
        if isinstance(row, DocumentRejected):
            return self._unavailable(name, row)
        stamp = None if self._definition.updated_at is None else stamp_text(row[self._definition.updated_at])
        try:
            document = document_of(self._definition, name, row, stamp, self._max_bytes)
        except DocumentRejected as error:
            return self._unavailable(name, error)
        if document is None:
            return Gone(name)
        revision, state = revision_of(stamp, before, group.look)
        return Fetched(name, document, revision, state)

    def _unavailable(self, name: str, why: DocumentRejected) -> Unavailable:
        return Unavailable(name, uri_of(self._definition, name), why.reason, why.detail)


def _first_of(sizes: Mapping[str, int], max_bytes: int) -> Iterator[str]:
    """The first rows that fit together, one at least; none that is too large by itself."""
    total = 0
    for name, size in sizes.items():
        if size <= max_bytes and (total == 0 or total + size <= _GROUP_BYTES):
            total += max(size, 1)
            yield name


def _by_name(connection: Connection, statement: Select[Any], wanted: Collection[str]) -> dict[str, Sequence[Any]]:
    """The rows that were asked for, by their keys: a collation may find others too, whose keys differ in case."""
    found: dict[str, Sequence[Any]] = {}
    for row in connection.execute(statement):
        name = key_of(row[0]).name
        if name in wanted:
            found.setdefault(name, row)
    return found
