"""Real databases with a table to read, each written as its own users write it; and a scan as a sync does it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Engine, create_engine, text

from ingestion.sources.definitions import SqlOrigin
from ingestion.sources.origin import Fetched, Sighting
from ingestion.sources.sql import Sql
from tests.contracts.origins import Memory

MAX_BYTES = 1_000_000


class Clock:
    """A clock that a test sets. It begins years after the stamps that tests write, so that these are long past."""

    def __init__(self) -> None:
        self.now = datetime(2040, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class OriginDatabase:
    """A database that a source reads. `kind` is sqlite, postgres or mariadb."""

    kind: str
    address: str
    engine: Engine
    clock: Clock = field(default_factory=Clock)

    def run(self, *commands: str, **values: Any) -> None:
        """Write, in one transaction."""
        with self.engine.begin() as connection:
            for command in commands:
                connection.execute(text(command), values)

    def put(self, rows: Iterable[Mapping[str, Any]], table: str = "notes") -> None:
        rows = list(rows)
        names = list(rows[0])
        command = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"
        with self.engine.begin() as connection:
            connection.execute(text(command), rows)

    def type(self, kind: str) -> str:
        """The type of a column for times, numbers and the like."""
        types = {
            "time": {"sqlite": "TEXT", "postgres": "TIMESTAMP", "mariadb": "DATETIME"},
            "text": {"sqlite": "TEXT", "postgres": "TEXT", "mariadb": "LONGTEXT"},
            "blob": {"sqlite": "BLOB", "postgres": "BYTEA", "mariadb": "LONGBLOB"},
            "number": {"sqlite": "NUMERIC", "postgres": "NUMERIC(20,4)", "mariadb": "DECIMAL(20,4)"},
        }
        return types[kind][self.kind]

    def notes(self) -> None:
        """The table `notes`: id, body, changed."""
        self.run(f"CREATE TABLE notes (id INTEGER PRIMARY KEY, body {self.type('text')}, changed {self.type('time')})")

    def source(self, *, timeout_s: float = 30, max_bytes: int = MAX_BYTES, **definition: Any) -> Sql:
        defaults: dict[str, Any] = {"database": "shop", "key": "id", "text": ("body",)}
        if "query" not in definition:
            defaults["table"] = "notes"
        return Sql(
            SqlOrigin(**defaults | definition),
            address=SecretStr(self.address),
            max_bytes=max_bytes,
            statement_timeout_s=timeout_s,
            now=self.clock,
        )

    def scan(self, memory: Memory, **definition: Any) -> list[Sighting]:
        """One sync by a fresh process."""
        with closing(self.source(**definition)) as source:
            return memory.learn(source.scan(memory))

    def texts(self, memory: Memory, **definition: Any) -> dict[str, str]:
        """What one sync fetches."""
        return texts(self.scan(memory, **definition))


def texts(seen: Iterable[Sighting]) -> dict[str, str]:
    return {one.key: one.document.data.decode() for one in seen if isinstance(one, Fetched)}


@contextmanager
def opened(kind: str, address: str) -> Iterator[OriginDatabase]:
    engine = create_engine(address)
    try:
        yield OriginDatabase(kind, address, engine)
    finally:
        engine.dispose()
