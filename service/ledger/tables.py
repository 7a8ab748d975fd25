"""The service's own tables, beside the catalogue's in the same database; migrations/ creates them."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Float, Index, Integer, LargeBinary, MetaData, String, Table, Text

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

model_calls = Table(
    "model_calls",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("tenant", String(64), nullable=False),
    # What it was for: an answer's id. One answer may take several calls.
    Column("answer_id", String(36)),
    Column("purpose", String(32), nullable=False),
    Column("tier", String(16), nullable=False),
    Column("model", String(200), nullable=False),
    Column("prompt_version", String(64)),
    # How it ended: `ok`, `closed` by who asked, or the reason of the failure.
    Column("outcome", String(32), nullable=False),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    # Counted by this service, because the endpoint told nothing: the call was cut off, or it never tells.
    Column("estimated", Boolean, nullable=False),
    # NULL: no price is known for this model.
    Column("cost_usd", Float),
    Column("duration_ms", Float, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("ix_model_calls_tenant_at", "tenant", "at"),
)

cached_answers = Table(
    "cached_answers",
    metadata,
    Column("tenant", String(64), primary_key=True),
    # SHA-256 over the question, the passages and everything else that the answer was made from.
    Column("key", String(64), primary_key=True),
    Column("answer", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_cached_answers_created_at", "created_at"),
)
