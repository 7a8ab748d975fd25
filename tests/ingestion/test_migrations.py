"""The migrations make exactly the tables that the code works with, on both databases, however often they run."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import text

from ingestion.corpus import tables
from ingestion.corpus.database import migrate_corpus, open_database
from ingestion.errors import ConfigurationError
from ingestion.settings import Settings
from service.ledger.database import migrate_ledger
from service.ledger.tables import metadata as ledger_metadata

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
