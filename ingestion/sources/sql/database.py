"""A database that is only read: short read-only transactions with a time limit. What is read is left to the caller.

No transaction outlives the step that needs it, so that nothing of the origin is held while documents are embedded:
no snapshot that stops a vacuum, no lock, no stream that the server would give up on. One idle connection to a server
stays for the next step, and is replaced if the server has closed it.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, assert_never
from urllib.parse import quote

from pydantic import SecretStr
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool, QueuePool

from ingestion.errors import InvalidRequest, SourceUnavailable

_CONNECT_S = 10
_GRACE_S = 10
_STEPS_BETWEEN_LOOKS = 10_000
_MESSAGE_CHARS = 400
_NO_LIMIT = 2**64 - 1
_TIMED_OUT = re.compile(r"statement timeout|max_statement_time|maximum statement execution time|interrupted", re.I)


class Backend(StrEnum):
    POSTGRES = "postgresql"
    MYSQL = "mysql"
    """MariaDB too."""
    SQLITE = "sqlite"


_BACKENDS = {
    "postgresql": Backend.POSTGRES,
    "postgres": Backend.POSTGRES,
    "mysql": Backend.MYSQL,
    "mariadb": Backend.MYSQL,
    "sqlite": Backend.SQLITE,
}


def address_of(name: str, databases: Mapping[str, SecretStr]) -> SecretStr:
    """The address of a database by its name, in upper or lower case. Raises: InvalidRequest if there is none."""
    for known, address in databases.items():
        if known.lower() == name.lower():
            return address
    raise InvalidRequest(f"no database is named {name!r}: set {variable(name)} to its address", pointer="/database")


def variable(name: str) -> str:
    """The environment variable that holds the address."""
    return f"PLUMBLINE_SOURCES__DATABASES__{name.upper()}"


class Database:
    """One database by the name that its address has in the settings. Messages carry the name, never the address.

    One transaction at a time.
    """

    def __init__(self, name: str, address: SecretStr, *, timeout_s: float) -> None:
        self.name = name
        url = _url(name, address)
        self.backend = _BACKENDS[url.get_backend_name()]
        self._password = url.password
        self._deadline = _Deadline(timeout_s)
        self._engine = _engine(url, self.backend, self._deadline)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One read-only transaction; what it sees does not change while it lasts.

        Raises: SourceUnavailable for whatever the database refuses, and where it does not answer in time.
        """
        try:
            with self._engine.connect() as connection, connection.begin():
                yield connection
        except SQLAlchemyError as error:
            raise SourceUnavailable(f"database {self.name!r}: {self.described(error)}") from error

    def rows_came(self) -> None:
        """Start the time limit of a statement anew where we keep it ourselves: what we do with its rows is no fault."""
        self._deadline.start()

    def close(self) -> None:
        """Let the connection go. The next transaction opens another."""
        self._engine.dispose()

    def described(self, error: Exception) -> str:
        """The server's own words: neither the statement nor its parameters, and not the password."""
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        said = " ".join(str(cause).split())
        if self._password:
            said = said.replace(self._password, "***")
        if _TIMED_OUT.search(said):
            said = (
                f"a query took longer than {self._deadline.timeout_s:g} s ({said}): "
                "give the key column an index, or raise PLUMBLINE_SOURCES__STATEMENT_TIMEOUT_S"
            )
        return said[:_MESSAGE_CHARS]


def _url(name: str, address: SecretStr) -> URL:
    try:
        url = make_url(address.get_secret_value())
        backend = _BACKENDS.get(url.get_backend_name())
    except (ArgumentError, ValueError):
        # Not chained: the library's message may quote the address.
        raise InvalidRequest(f"{variable(name)} is not an address of a database") from None
    if backend is None:
        raise InvalidRequest(
            f"{variable(name)} names {url.get_backend_name()!r}; only postgresql, mysql, mariadb and sqlite can be read"
        )
    if backend is Backend.SQLITE and (not url.database or url.database.startswith((":", "file:"))):
        raise InvalidRequest(f"{variable(name)} must name a file: sqlite:////path/to/file.db")
    return url


def _engine(url: URL, backend: Backend, deadline: _Deadline) -> Engine:
    # Without parameters in its errors: keys of rows are nothing for a log.
    create = partial(create_engine, hide_parameters=True)
    pool = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0, "pool_pre_ping": True}
    match backend:
        case Backend.POSTGRES:
            arguments = {
                "client_encoding": "utf8",
                "connect_timeout": _CONNECT_S,
                "keepalives_idle": 30,
                "keepalives_interval": 10,
                "keepalives_count": 3,
                # A prepared statement would be lost behind a pooler that changes servers between transactions.
                "prepare_threshold": None,
            }
            url = url.set(drivername="postgresql+psycopg")
            engine = create(url, connect_args=_unless_given(url, arguments), use_native_hstore=False, **pool)
            event.listen(engine, "connect", _prepare_postgres)
            event.listen(engine, "begin", partial(_begin_postgres, deadline.timeout_s))
            event.listen(engine, "handle_error", _close_cursor)
        case Backend.MYSQL:
            arguments = {
                "charset": "utf8mb4",
                "connect_timeout": _CONNECT_S,
                # For a server that says nothing any more; a slow statement is ended by the server itself before.
                "read_timeout": deadline.timeout_s + _GRACE_S,
                "write_timeout": _CONNECT_S + _GRACE_S,
                "binary_prefix": True,
            }
            url = url.set(drivername="mysql+pymysql")
            engine = create(url, connect_args=_unless_given(url, arguments), **pool)
            event.listen(engine, "connect", partial(_prepare_mysql, deadline.timeout_s))
        case Backend.SQLITE:
            assert url.database is not None
            opener = partial(_open_sqlite, Path(url.database), deadline.passed)
            # Opened for each step: it costs nothing, and the file may be replaced by a new one.
            engine = create("sqlite://", creator=opener, poolclass=NullPool)
            event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
            event.listen(engine, "before_cursor_execute", deadline.start)
        case _:
            assert_never(backend)
    return engine


def _unless_given(url: URL, arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name not in url.query}


def _prepare_postgres(connection: Any, _record: object) -> None:
    from psycopg import DataError, IsolationLevel
    from psycopg.types.datetime import DateLoader, TimestampLoader, TimestamptzLoader
    from psycopg.types.string import TextLoader

    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    for json_type in ("json", "jsonb"):
        connection.adapters.register_loader(json_type, TextLoader)  # as it is stored, to the character
    loaders = (("date", DateLoader), ("timestamp", TimestampLoader), ("timestamptz", TimestamptzLoader))
    for type_name, loader in loaders:

        class Lenient(loader):  # type: ignore[valid-type, misc]
            """`infinity` and years that Python has not are given as the server writes them."""

            def load(self, data: Any) -> Any:
                try:
                    return super().load(data)
                except DataError:
                    return bytes(data).decode()

        connection.adapters.register_loader(type_name, Lenient)


def _begin_postgres(timeout_s: float, connection: Connection) -> None:
    # For this transaction only, so that it works behind a pooler too.
    connection.exec_driver_sql(
        f"SELECT set_config('statement_timeout', '{round(timeout_s * 1000)}', true), "
        "set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO, YMD', true)"
    )


def _close_cursor(context: ExceptionContext) -> None:
    # Left open on a broken connection, it would complain when it is thrown away.
    if context.is_disconnect and context.execution_context is not None:
        context.execution_context.cursor.close()


def _prepare_mysql(timeout_s: float, connection: Any, _record: object) -> None:
    is_mariadb = "mariadb" in connection.get_server_info().lower()
    limit = f"max_statement_time={timeout_s:.3f}" if is_mariadb else f"max_execution_time={round(timeout_s * 1000)}"
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SET SESSION TRANSACTION READ ONLY")
        # A server-wide sql_select_limit would cut the list of rows short, and what is missing there counts as deleted.
        cursor.execute(f"SET SESSION time_zone='+00:00', sql_select_limit={_NO_LIMIT}, {limit}")


class _Deadline:
    """When the running statement must end. SQLite has no limit of its own."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._end = 0.0

    def start(self, *_arguments: object) -> None:
        self._end = time.monotonic() + self.timeout_s

    def passed(self) -> bool:
        return time.monotonic() > self._end


def _open_sqlite(path: Path, interrupted: Callable[[], bool]) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode=ro",
        uri=True,
        timeout=_CONNECT_S,
        isolation_level=None,  # transactions are begun by the engine, not by the driver
        check_same_thread=False,  # used by one thread at a time, not always the same one
    )
    connection.execute("PRAGMA query_only=ON")
    # Bytes that are no UTF-8 must not fail the rows around them.
    connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    connection.set_progress_handler(interrupted, _STEPS_BETWEEN_LOOKS)
    return connection
