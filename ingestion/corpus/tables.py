"""The tables of the catalogue and the job list, for SQLite and Postgres alike; migrations/ creates them."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
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
    text,
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
    # As `versions.GenerationState`; exactly one is active.
    Column("state", String(16), nullable=False, server_default="active"),
    Column("chunker", Text, nullable=False, server_default=""),
    # What it takes to open the generation again when the settings name another one; without secrets.
    Column("embedder_settings", JSON),
    Column("chunking_settings", JSON),
    Column("activated_at", UtcDateTime),
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
    # The key of the document that this one was attached to: it goes when that one goes.
    Column("parent", String(36)),
    Column("submitted_at", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("tenant", "collection", "id", name="uq_documents_id"),
    Index("ix_documents_tenant", "tenant", "created_at", "key"),
    Index("ix_documents_source", "tenant", "source"),
    Index("ix_documents_parent", "parent"),
)

versions = Table(
    "versions",
    metadata,
    Column("document_key", String(36), primary_key=True),
    Column("version", String(24), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("generation", String(64), nullable=False, server_default=""),
    Column("state", String(8), nullable=False),
    Column("text", Text, nullable=False),
    Column("outline", JSON, nullable=False),
    # What the parser found, as [kind, start, end, level, page]: another chunker can cut anew without the origin.
    Column("elements", JSON),
    Column("staged_at", UtcDateTime, nullable=False),
    Index("ix_versions_state", "state"),
    Index("ix_versions_generation", "generation", "state", "document_key", "version"),
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
    # A hash of what was embedded: the same text elsewhere takes the vector that is there.
    Column("embedding_key", String(32)),
    ForeignKeyConstraint(
        ["document_key", "version"], ["versions.document_key", "versions.version"], ondelete="CASCADE"
    ),
    Index("ix_chunks_version", "document_key", "version", "position"),
    Index("ix_chunks_embedding", "embedding_key"),
)

# What exact search compares, as `literal` cuts it. `literal_store` keeps an index over the trigrams of `folded`.
chunk_texts = Table(
    "chunk_texts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("generation", String(64), nullable=False),
    Column("document_key", String(36), nullable=False),
    Column("version", String(24), nullable=False),
    # Of the chunk; -1 is the title.
    Column("position", Integer, nullable=False),
    Column("start", Integer, nullable=False),
    Column("own", Integer, nullable=False),
    Column("folded", Text, nullable=False),
    ForeignKeyConstraint(
        ["document_key", "version"], ["versions.document_key", "versions.version"], ondelete="CASCADE"
    ),
    UniqueConstraint("document_key", "version", "position", name="uq_chunk_texts_position"),
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

# How often a tenant's words have changed, and at which change they were last counted anew.
vocabularies = Table(
    "vocabularies",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("changes", Integer, nullable=False),
    Column("counted_at_change", Integer, nullable=False),
)

# The words of a tenant's documents and in about how many each stands, for spelling; a word that has gone may stay.
words = Table(
    "words",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("word", String(64), primary_key=True),
    Column("documents", Integer, nullable=False),
    # The change that brought it: who has read up to a change reads on from there.
    Column("added", Integer, nullable=False),
    Index("ix_words_added", "tenant", "added"),
)

# The languages of a tenant's documents, and in about how many each: a query is stemmed in each.
languages = Table(
    "languages",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("language", String(16), primary_key=True),
    Column("documents", Integer, nullable=False),
)

# How the legs are weighed in a generation; the collection "" stands for all that have no row of their own.
rankings = Table(
    "rankings",
    metadata,
    Column("generation", String(64), primary_key=True),
    Column("tenant", String(64), primary_key=True),
    Column("collection", String(64), primary_key=True),
    Column("profile", JSON, nullable=False),
    Column("fitted_at", UtcDateTime, nullable=False),
)

sources = Table(
    "sources",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    # The definition as JSON; it holds no secret.
    Column("definition", JSON, nullable=False),
    Column("paused", Boolean, nullable=False),
    # Counts the scans: an item whose `scan` is older was not met by the last complete one.
    Column("scans", Integer, nullable=False),
    # The origin's own state at the last complete scan.
    Column("token", Text),
    Column("failures", Integer, nullable=False),
    Column("error_code", String(32)),
    Column("error_detail", Text),
    Column("counts", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("attempted_at", UtcDateTime),
    Column("succeeded_at", UtcDateTime),
    # When the scheduler submits the next sync; None: only on demand.
    Column("due_at", UtcDateTime),
    Index("ix_sources_due", "due_at"),
)

source_items = Table(
    "source_items",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("source", String(64), primary_key=True),
    Column("document_id", String(36), primary_key=True),
    Column("key", Text, nullable=False),
    Column("uri", Text, nullable=False),
    # As the origin gave it with the content that is live; None: fetch it again.
    Column("revision", Text),
    Column("state", JSON, nullable=False),
    Column("scan", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    # What the failing attempts were made on: other content starts the count anew.
    Column("attempted_sha256", String(64)),
    Column("code", String(32)),
    Column("detail", Text),
    ForeignKeyConstraint(["tenant", "source"], ["sources.tenant", "sources.id"], ondelete="CASCADE"),
    Index("ix_source_items_scan", "tenant", "source", "scan"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("tenant", String(64), nullable=False),
    # `upload`: the items are the work. `sync`, `rebuild`: the items are a record of what changed or failed.
    Column("kind", String(16), nullable=False, server_default="upload"),
    Column("source", String(64)),
    Column("state", String(16), nullable=False),
    Column("stage", String(16)),
    Column("counts", JSON),
    # Items per second of the recent past; None while it can't be said how long the job will take.
    Column("pace", Float),
    Column("total", Integer, nullable=False),
    Column("stage_seconds", JSON, nullable=False),
    Column("detail", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Index("ix_jobs_tenant", "tenant", "created_at", "id"),
    Index("ix_jobs_source", "tenant", "source", "created_at"),
    # One job of a source at a time, whoever submits it.
    Index(
        "uq_jobs_open_source",
        "tenant",
        "kind",
        "source",
        unique=True,
        sqlite_where=text("finished_at IS NULL"),
        postgresql_where=text("finished_at IS NULL"),
    ),
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
    # Counted before each try, so that a document that kills the process is counted too.
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("code", String(32)),
    Column("detail", Text),
    Column("seconds", Float),
    ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
    # Counts by status, and what waits, must not read past the bytes.
    Index("ix_job_items_status", "job_id", "status", "attempts", "position"),
)
