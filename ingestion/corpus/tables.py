"""The tables of the catalogue and the job list, for SQLite and Postgres alike; migrations/ creates them."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC on every database (SQLite keeps no zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime has no place in the catalogue")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()

generations = Table(
    "generations",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("embedder", Text, nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("lexical", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

documents = Table(
    "documents",
    metadata,
    Column("key", String(36), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("collection", String(64), nullable=False),
    Column("id", String(512), nullable=False),
    Column("uri", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("source", String(128), nullable=False),
    Column("labels", JSON, nullable=False),
    # The labels again as "\x1fa\x1fb\x1f" (or "\x1f*\x1f"), so that one portable LIKE admits a reader.
    Column("readers", Text, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("media_type", String(128), nullable=False),
    Column("content_sha256", String(64), nullable=False),
    Column("version", String(24)),
    Column("chunk_count", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("failure", Text),
    Column("submitted_at", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("tenant", "collection", "id", name="uq_documents_id"),
    Index("ix_documents_tenant", "tenant", "created_at", "key"),
)

versions = Table(
    "versions",
    metadata,
    Column("document_key", String(36), primary_key=True),
    Column("version", String(24), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("state", String(8), nullable=False),
    Column("text", Text, nullable=False),
    Column("outline", JSON, nullable=False),
    Column("staged_at", UtcDateTime, nullable=False),
    Index("ix_versions_state", "state"),
)

chunks = Table(
    "chunks",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("document_key", String(36), nullable=False),
    Column("version", String(24), nullable=False),
    Column("position", Integer, nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("heading_path", JSON, nullable=False),
    Column("kinds", JSON, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("page", Integer),
    ForeignKeyConstraint(
        ["document_key", "version"], ["versions.document_key", "versions.version"], ondelete="CASCADE"
    ),
    Index("ix_chunks_version", "document_key", "version", "position"),
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("document_key", String(36), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("deleted_at", UtcDateTime, nullable=False),
)

# Which metadata keys a tenant has ever used: a filter on any other is a typing error, not an empty result.
metadata_keys = Table(
    "metadata_keys",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("key", String(128), primary_key=True),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("total", Integer, nullable=False),
    Column("stage_seconds", JSON, nullable=False),
    Column("detail", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Index("ix_jobs_tenant", "tenant", "created_at", "id"),
)

job_items = Table(
    "job_items",
    metadata,
    Column("job_id", String(36), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("document_id", String(512), nullable=False),
    Column("uri", Text, nullable=False),
    Column("attributes", JSON, nullable=False),
    # The uploaded bytes; gone as soon as the item is done.
    Column("data", LargeBinary),
    Column("status", String(16), nullable=False),
    Column("code", String(32)),
    Column("detail", Text),
    Column("seconds", Float),
    ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
)
