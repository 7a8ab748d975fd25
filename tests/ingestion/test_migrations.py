"""The migrations make exactly the tables that the code works with, on both databases, however often they run."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import Connection, select, text

from ingestion.corpus import tables
from ingestion.corpus.database import migrate_corpus, open_database
from ingestion.errors import ConfigurationError
from ingestion.settings import Settings
from service.ledger.database import migrate_ledger
from service.ledger.tables import metadata as ledger_metadata
from tests.contracts.literal_world import ACME, OTHER, literal_world

VERSION_TABLES = {"alembic_version_corpus", "alembic_version_service"}


def _check(settings: Settings) -> None:
    engine = open_database(settings)
    try:
        for _ in range(2):
            migrate_corpus(engine)
            migrate_ledger(engine)
        with engine.connect() as connection:
            ours = set(tables.metadata.tables) | set(ledger_metadata.tables)
            for metadata in (tables.metadata, ledger_metadata):
                context = MigrationContext.configure(
                    connection,
                    opts={
                        "include_name": lambda name, kind, _parents, known=metadata.tables: (
                            kind != "table" or name not in ours | VERSION_TABLES or name in known
                        )
                    },
                )
                assert compare_metadata(context, metadata) == []
    finally:
        engine.dispose()


def test_on_sqlite(tmp_path: Path) -> None:
    _check(Settings(data_dir=tmp_path))


@pytest.mark.postgres
def test_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    _check(Settings(data_dir=tmp_path, database_url=SecretStr(postgres_url)))


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    engine = open_database(Settings(data_dir=tmp_path))
    try:
        migrate_corpus(engine)
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version_corpus SET version_num = '9999'"))
        with pytest.raises(ConfigurationError, match="newer version"):
            migrate_corpus(engine)
    finally:
        engine.dispose()


def _upgrade_with_documents(settings: Settings) -> None:
    """A corpus from before the texts of exact search were kept is searched exactly once it is opened again."""
    body = "first part İ\n\nsecond part 100%\n" * 40
    with literal_world(settings) as world:
        one = world.write(ACME, "one", body, [15, 200, 700], title="Pump 7")
        other = world.write(OTHER, "other", "of another tenant")
        with world.engine.connect() as connection:
            before = _texts(connection)
        with world.engine.begin() as connection:
            for statement in _NO_TEXTS[connection.dialect.name]:
                connection.execute(text(statement))
            connection.execute(text("UPDATE alembic_version_corpus SET version_num = '0003'"))
            for table in ("words", "languages", "vocabularies", "rankings"):
                connection.execute(text(f"DROP TABLE {table}"))
    with literal_world(settings) as world:
        with world.engine.connect() as connection:
            assert _texts(connection) == before
        assert world.store.is_indexed
        for needle in ("PUMP 7", "part 100%\nfirst", "i̇\n", body[190:420]):
            assert set(world.find(ACME, needle)) == one.holding(needle) != set()
        assert set(world.find(OTHER, "another")) == other.holding("another")


_NO_TEXTS = {
    "sqlite": ("DROP TABLE chunk_texts", "DROP TABLE chunk_trigrams"),
    "postgresql": ("DROP TABLE chunk_texts",),
}


def _texts(connection: Connection) -> set[tuple[object, ...]]:
    columns = [column for column in tables.chunk_texts.c if column.name != "id"]
    return {tuple(row) for row in connection.execute(select(*columns))}


def test_an_old_corpus_on_sqlite_gets_its_texts(tmp_path: Path) -> None:
    _upgrade_with_documents(Settings(data_dir=tmp_path))


@pytest.mark.postgres
def test_an_old_corpus_on_postgres_gets_its_texts(tmp_path: Path, postgres_url: str) -> None:
    _upgrade_with_documents(Settings(data_dir=tmp_path, database_url=SecretStr(postgres_url)))
