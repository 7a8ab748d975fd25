"""The keys and stamps of all rows, as one statement saw them, on disk: the origin can be let go at once.

In a temporary database of SQLite's own, which vanishes with its connection, however that ends.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from ingestion.sources.listing import Listed
from ingestion.sources.sql.rows import RowKey, key_of
from ingestion.sources.sql.stamps import stamp_text, time_of

_CACHE_KIB = 8192


@dataclass(frozen=True, slots=True)
class Entry:
    """A key in the listing; `copies` is over 1 where several rows have it."""

    key: RowKey
    copies: int


class Snapshot:
    """The listing of one scan. `without_key` counts the rows whose key is NULL."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(
            f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-{_CACHE_KIB};"
            # `name` is compared by its bytes: keys that differ in case or in blanks at the end are different rows.
            "CREATE TABLE listed(name TEXT PRIMARY KEY, kind TEXT, text TEXT, stamp TEXT, copies INTEGER)"
            " WITHOUT ROWID;"
        )
        self.without_key = 0
        self.newest: datetime | None = None
        self._highest = ""

    def fill(self, rows: Iterable[Sequence[object]]) -> None:
        """Take in all rows of the listing: their key, and their stamp if there is one."""
        self._database.execute("BEGIN")
        self._database.executemany(
            "INSERT INTO listed VALUES (?, ?, ?, ?, 1) ON CONFLICT (name) DO UPDATE SET copies = copies + 1",
            self._entries(rows),
        )
        self._database.execute("COMMIT")

    def __iter__(self) -> Iterator[Listed]:
        """Every key once, in order, with its stamp for a revision; without one where several rows have the key."""
        for name, stamp in self._database.execute(
            "SELECT name, CASE copies WHEN 1 THEN stamp END FROM listed ORDER BY name"
        ):
            yield Listed(name, stamp)

    def entries(self, names: Sequence[str]) -> list[Entry]:
        """What is known of some hundreds of keys."""
        marks = ",".join("?" * len(names))
        query = f"SELECT name, kind, text, copies FROM listed WHERE name IN ({marks}) ORDER BY name"  # noqa: S608
        return [
            Entry(RowKey(name, kind, name if text is None else text), copies)
            for name, kind, text, copies in self._database.execute(query, list(names))
        ]

    def close(self) -> None:
        self._database.close()

    def _entries(self, rows: Iterable[Sequence[object]]) -> Iterator[tuple[str, str, str | None, str | None]]:
        for row in rows:
            if row[0] is None:
                self.without_key += 1
                continue
            key = key_of(row[0])
            stamp = stamp_text(row[1]) if len(row) > 1 else None
            if stamp is not None:
                self._note(stamp)
            yield key.name, key.kind, None if key.text == key.name else key.text, stamp

    def _note(self, stamp: str) -> None:
        # Of two stamps in one format the later one sorts higher; where formats are mixed, too early a newest stamp
        # only means that rows are read once more.
        if len(stamp) == len(self._highest) and stamp <= self._highest:
            return
        moment = time_of(stamp)
        if moment is not None and (self.newest is None or moment > self.newest):
            self.newest, self._highest = moment, stamp
