"""The service's own tables, beside the catalogue's in the same database; migrations/ creates them."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Index, Integer, LargeBinary, MetaData, String, Table

from ingestion.corpus.tables import UtcDateTime

metadata = MetaData()

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(16), primary_key=True),
    # SHA-256 of the secret, in hex. The secret has 256 random bits, so there is nothing to guess and a slow
    # password hash would only make every request slower.
    Column("secret_sha256", String(64), nullable=False),
    Column("name", String(128), nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("scopes", JSON, nullable=False),
    # JSON null: the key reads every document of its tenant.
    Column("labels", JSON, nullable=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    # Of the first result; NULL while the first request runs.
    Column("status", Integer),
    Column("body", LargeBinary),
    Index("ix_idempotency_keys_started_at", "started_at"),
)
