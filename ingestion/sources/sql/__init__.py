"""Rows of a relational database as documents: Postgres, MySQL, MariaDB and SQLite, read and never written."""

from ingestion.sources.sql.database import address_of
from ingestion.sources.sql.origin import Sql

__all__ = ["Sql", "address_of"]
