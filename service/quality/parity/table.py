"""The table that an application searches with `LIKE`, opened to be read and never written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Inspector,
    Text,
    bindparam,
    cast,
    column,
    create_engine,
    func,
    inspect,
    make_url,
    or_,
    select,
)
from sqlalchemy import table as table_of
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlalchemy.types import Enum, NullType, String

from ingestion.errors import InvalidRequest, SourceUnavailable

_ESCAPE = "!"
_NAMED = 40
_ROWS_AT_A_TIME = 500
_CONNECT_S = 10
_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "sqlite": "sqlite",
}


@dataclass(frozen=True, slots=True)
class TableName:
    """What a user asks for: a table or view (`schema.table` too), the column that identifies a row, those searched."""

    table: str
    key: str
    columns: tuple[str, ...]


class LikeTable:
    """One table over one connection; not for several threads. `schema` and names are as the database spells them."""

    def __init__(self, connection: Connection, address: str, asked: TableName) -> None:
        self._connection = connection
        self.address = address
        self.dialect = connection.dialect.name
        inspector = inspect(connection)
        self.schema, self.table = _found(inspector, asked.table)
        self._types = types = {entry["name"]: entry["type"] for entry in inspector.get_columns(self.table, self.schema)}
        self.key, *columns = (self.spelled(name) for name in (asked.key, *asked.columns))
        self.columns = tuple(dict.fromkeys(columns))
        self._textual = {name: isinstance(kind, String) and not isinstance(kind, Enum) for name, kind in types.items()}
        names = dict.fromkeys((self.key, *self.columns))
        self._rows = table_of(self.table, *(column(name) for name in names), schema=self.schema)

    def spelled(self, name: str) -> str:
        """A column as the database writes it. Raises: InvalidRequest that lists what there is."""
        return _spelled(name, list(self._types), self.table)

    @property
    def operator(self) -> str:
        """How it is asked without regard to case: in SQLite LIKE itself is so for ASCII, in MySQL by collation."""
        return "ILIKE" if self.dialect == "postgresql" else "LIKE"

    @property
    def quoted(self) -> str:
        """The name as a source of ours takes it: every part in quotes."""
        parts = [part for part in (self.schema, self.table) if part is not None]
        return ".".join('"' + part.replace('"', '""') + '"' for part in parts)

    def count(self) -> int:
        """Rows of the table."""
        found: int = self._connection.execute(select(func.count()).select_from(self._rows)).scalar_one()
        return found

    def find(self, query: str, limit: int) -> list[Any]:
        """Keys of up to `limit` rows in which a column is LIKE `%query%`, the query's own wildcards escaped."""
        pattern = f"%{escaped(query)}%"
        among = or_(*(self._holds(name, pattern) for name in self.columns))
        statement = select(self._rows.c[self.key]).where(among).limit(limit)
        return list(self._connection.execute(statement).scalars())

    def read(self, keys: Sequence[Any]) -> dict[Any, Mapping[str, Any]]:
        """The searched columns of those rows that there are, by key."""
        found: dict[Any, Mapping[str, Any]] = {}
        key = self._rows.c[self.key]
        for start in range(0, len(keys), _ROWS_AT_A_TIME):
            batch = list(keys[start : start + _ROWS_AT_A_TIME])
            among = key.in_(bindparam("keys", batch, expanding=True, type_=NullType()))
            columns = (self._rows.c[name].label(f"c{i}") for i, name in enumerate(self.columns))
            for row in self._connection.execute(select(key.label("k"), *columns).where(among)):
                found[row[0]] = dict(zip(self.columns, row[1:], strict=True))
        return found

    def _holds(self, name: str, pattern: str) -> ColumnElement[bool]:
        if self.dialect != "postgresql":
            return self._rows.c[name].like(pattern, escape=_ESCAPE)
        # A text column is compared as it is, so that its index serves.
        compared = self._rows.c[name] if self._textual[name] else cast(self._rows.c[name], Text)
        return compared.ilike(pattern, escape=_ESCAPE)


@contextmanager
def open_table(address: SecretStr, asked: TableName, *, timeout_s: float) -> Iterator[LikeTable]:
    """The table, in a session that can't write and whose statements end after `timeout_s`.

    Raises: InvalidRequest for an address, a table or a column that is none, naming what there is; SourceUnavailable
    for whatever the database refuses. No message holds the password.
    """
    url = _url(address)
    engine = _engine(url, timeout_s)
    try:
        with engine.connect() as connection:
            yield LikeTable(connection, url.render_as_string(hide_password=True), asked)
    except SQLAlchemyError as error:
        raise SourceUnavailable(f"{url.render_as_string(hide_password=True)}: {_described(error, url)}") from error
    finally:
        engine.dispose()


def escaped(query: str) -> str:
    """The query with LIKE's wildcards taken for what they are."""
    for sign in (_ESCAPE, "%", "_"):
        query = query.replace(sign, _ESCAPE + sign)
    return query


def _url(address: SecretStr) -> URL:
    try:
        url = make_url(address.get_secret_value())
        driver = _DRIVERS.get(url.get_backend_name())
    except (ArgumentError, ValueError):
        # Not chained: the library's message may quote the address.
        raise InvalidRequest(
            "--dsn is neither a database's address (postgresql://user@host/name, mysql://…, sqlite:////path/file.db) "
            "nor a name in PLUMBLINE_SOURCES__DATABASES"
        ) from None
    if driver is None:
        raise InvalidRequest(f"--dsn names {url.get_backend_name()!r}; postgresql, mysql, mariadb and sqlite are read")
    if driver == "sqlite" and (not url.database or not Path(url.database).is_file()):
        raise InvalidRequest(f"--dsn names the file {url.database or ''!r}, which is not there")
    return url.set(drivername=driver)


def _engine(url: URL, timeout_s: float) -> Engine:
    create = partial(create_engine, hide_parameters=True, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    if url.drivername == "sqlite":
        assert url.database is not None
        return create("sqlite://", creator=partial(_open_sqlite, Path(url.database)))
    if url.drivername.startswith("postgresql"):
        options = f"-c default_transaction_read_only=on -c statement_timeout={round(timeout_s * 1000)}"
        return create(url, connect_args={"connect_timeout": _CONNECT_S, "options": options, "client_encoding": "utf8"})
    limits = {"connect_timeout": _CONNECT_S, "read_timeout": timeout_s, "charset": "utf8mb4"}
    return create(url, connect_args={**limits, "init_command": "SET SESSION TRANSACTION READ ONLY"})


def _open_sqlite(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, check_same_thread=False)
    connection.execute("PRAGMA query_only=ON")
    connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    return connection


def _described(error: SQLAlchemyError, url: URL) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    said = " ".join(str(cause).split())[:400]
    return said.replace(url.password, "***") if url.password else said


def _found(inspector: Inspector, asked: str) -> tuple[str | None, str]:
    """Schema and name of a table or view. Raises: InvalidRequest that lists what there is."""
    there = sorted({*inspector.get_table_names(), *inspector.get_view_names()})
    if (found := _match(asked, there)) is not None:
        return None, found
    schema, dot, name = asked.partition(".")
    if dot and inspector.has_table(name, schema):
        return schema, name
    raise InvalidRequest(f"there is no table {asked!r}{_offer(asked, there, 'the database has')}")


def _spelled(asked: str, there: list[str], table: str) -> str:
    """The column as the database writes it. Raises: InvalidRequest that lists what there is."""
    if (found := _match(asked, there)) is not None:
        return found
    raise InvalidRequest(f"{table} has no column {asked!r}{_offer(asked, there, 'it has')}")


def _match(asked: str, there: list[str]) -> str | None:
    """The name itself, or the only one that differs from it in case alone."""
    if asked in there:
        return asked
    same = [known for known in there if known.casefold() == asked.casefold()]
    return same[0] if len(same) == 1 else None


def _offer(asked: str, there: list[str], owner: str) -> str:
    if not there:
        return f"; {owner} none"
    near = get_close_matches(asked, there, n=1)
    guess = f" (did you mean {near[0]!r}?)" if near else ""
    more = f" and {len(there) - _NAMED} more" if len(there) > _NAMED else ""
    return f"{guess}; {owner} {', '.join(there[:_NAMED])}{more}"
