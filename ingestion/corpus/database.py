"""The relational database: one engine for SQLite or Postgres, brought up to date by Alembic at start."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, Engine, Table, create_engine, event, func, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from ingestion.errors import BackendUnavailable, ConfigurationError
from ingestion.settings import Settings

DATABASE_FILE = "plumbline.sqlite"
_BUSY_TIMEOUT_S = 30
_WRITES = "plumbline_writes"


def database_url(settings: Settings) -> URL:
    """Address of the database. Raises: ConfigurationError for an address that is neither SQLite nor Postgres."""
    if settings.database_url is None:
        return URL.create("sqlite", database=str(settings.data_dir / DATABASE_FILE))
    try:
        url = make_url(settings.database_url.get_secret_value())
    except ArgumentError as error:
        raise ConfigurationError("PLUMBLINE_DATABASE_URL is not a database address") from error
    backend = url.get_backend_name()
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        return url
    raise ConfigurationError(f"PLUMBLINE_DATABASE_URL names {backend}; only sqlite and postgresql are supported")


def open_database(settings: Settings) -> Engine:
    """An engine whose connections are ready to use; close it with `dispose()`.

    Raises: BackendUnavailable if the database does not answer, naming its address without the password.
    """
    url = database_url(settings)
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    try:
        engine = create_engine(url, pool_pre_ping=url.get_backend_name() == "postgresql")
    except (ArgumentError, NoSuchModuleError) as error:
        raise ConfigurationError(f"cannot use the database {url.render_as_string()}: {error}") from error
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    ping_database(engine)
    return engine


def ping_database(engine: Engine) -> None:
    """Raises: BackendUnavailable if the database cannot answer now."""
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except OperationalError as error:
        raise BackendUnavailable(f"database {engine.url.render_as_string()} does not answer: {error.orig}") from error


@contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction that reads and then writes; on SQLite it takes the write lock before its first read."""
    with engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
        yield connection


def insert_if_absent(connection: Connection, table: Table, *rows: Mapping[str, object]) -> None:
    """Insert each row unless its primary or unique key is there already."""
    dialect_insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(dialect_insert(table).on_conflict_do_nothing(), [dict(row) for row in rows])


def unindexed(column: ColumnElement[str]) -> ColumnElement[str]:
    """The column for a condition on rows that other conditions find: no index over it is used.

    SQLite keeps no statistics, and would go through all of a tenant's rows rather than look up fifty keys.
    """
    return func.coalesce(column, "")


def migrate(engine: Engine, scripts: Path, *, version_table: str) -> None:
    """Bring the tables that `scripts` describes to their newest version; safe to call at every start.

    Raises: ConfigurationError if the database is newer than this program.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            config.attributes["version_table"] = version_table
            command.upgrade(config, "head")
    except SQLAlchemyError as error:
        raise BackendUnavailable(f"could not migrate {engine.url.render_as_string()}: {error}") from error
    except CommandError as error:
        raise ConfigurationError(
            f"the database {engine.url.render_as_string()} was written by a newer version of this program: {error}"
        ) from error


def migrate_corpus(engine: Engine) -> None:
    """Bring the catalogue's own tables up to date."""
    migrate(engine, Path(__file__).parent / "migrations", version_table="alembic_version_corpus")


def _prepare_sqlite(connection: sqlite3.Connection, _record: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite, not by the driver
    cursor = connection.cursor()
    # WAL lets readers go on while one writer works; NORMAL is safe against a killed process.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", f"busy_timeout={_BUSY_TIMEOUT_S}000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later could lose its lock to another writer in between.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITES) else "BEGIN")
