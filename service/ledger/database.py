"""Brings the service's own tables up to date; the database itself belongs to `ingestion.corpus.database`."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from ingestion.corpus.database import migrate

VERSION_TABLE = "alembic_version_service"
MIGRATIONS = Path(__file__).parent / "migrations"


def migrate_ledger(engine: Engine) -> None:
    """Create or upgrade the tables. Raises: ConfigurationError if the database is newer than this program."""
    migrate(engine, MIGRATIONS, version_table=VERSION_TABLE)
