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
    Index("ix_model_calls_answer_id", "answer_id"),
    Index("ix_model_calls_at", "at"),
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

TALLIED = (
    "operation",
    "collection",
    "outcome",
    "hits",
    "relevance",
    "confidence",
    "top_score",
    "legs_agree",
    "refusal",
    "degraded",
    "grounding",
    "sentences",
    "unsupported",
    "citation_precision",
    "model",
    "prompt_version",
)
"""Columns of `traces` that signals are counted from."""

traces = Table(
    "traces",
    metadata,
    # Of a search and a context pack the query's id; of an answer the answer's, its query's id stands beside it.
    Column("id", String(36), primary_key=True),
    Column("query_id", String(36), nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    # `search`, `context` or `answer`.
    Column("operation", String(16), nullable=False),
    # Who asked: a key's id, or NULL without a key.
    Column("key_id", String(16)),
    Column("request_id", String(128)),
    # The one that was searched, or that of the best hit.
    Column("collection", String(128)),
    # NULL where the settings say that it is not kept. The hash is keyed (`ledger_secrets`).
    Column("query", Text),
    Column("query_hash", String(64)),
    # `ok`, `refused`, `closed` by who asked, or the code of an error.
    Column("outcome", String(32), nullable=False),
    Column("hits", Integer, nullable=False),
    Column("relevance", String(16)),
    Column("confidence", Float),
    Column("top_score", Float),
    Column("margin", Float),
    Column("legs_agree", Boolean),
    Column("refusal", String(32)),
    Column("degraded", String(32)),
    Column("degraded_mode", String(16)),
    Column("grounding", String(16)),
    Column("grounding_score", Float),
    Column("sentences", Integer),
    Column("unsupported", Integer),
    Column("citation_precision", Float),
    Column("citation_recall", Float),
    Column("tier", String(16)),
    Column("model", String(200)),
    Column("prompt_version", String(64)),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("cost_usd", Float),
    Column("index_version", String(64)),
    Column("embedder", String(200)),
    Column("total_ms", Float, nullable=False),
    # Milliseconds by stage.
    Column("timings", JSON, nullable=False),
    # Keys of the documents that were shown, best first.
    Column("documents", JSON, nullable=False),
    # Everything else: candidates with all scores, weights, sentences with verdicts, decisions, the text of the answer.
    Column("body", JSON, nullable=False),
    # Holds all that `tallies` reads: without it a day of traces is read with their bodies, which fill a page each.
    Index("ix_traces_signals", "tenant", "at", "id", *TALLIED),
    Index("ix_traces_query_id", "query_id"),
    Index("ix_traces_at", "at", "tenant"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("tenant", String(64), nullable=False),
    # Of `traces`; feedback outlives the trace it is about.
    Column("trace_id", String(36), nullable=False),
    # `click`, `rating`, `correction` or `outcome`.
    Column("kind", String(16), nullable=False),
    Column("chunk_id", String(36)),
    Column("rank", Integer),
    Column("rating", String(8)),
    Column("text", Text),
    Column("outcome", String(64)),
    Column("key_id", String(16)),
    Column("at", UtcDateTime, nullable=False),
    Index("ix_feedback_tenant_at", "tenant", "at"),
    Index("ix_feedback_trace_id", "trace_id"),
    Index("ix_feedback_at", "at"),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("tenant", String(64), primary_key=True),
    # Counts from 1 without a gap in each tenant. What all tenants share has a chain of its own, `_service`.
    Column("n", Integer, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    # `key:<id>`, `keyless`, `cli:<user>` or `service`.
    Column("actor", String(128), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(400)),
    Column("detail", JSON, nullable=False),
    # The hash of the entry before, and SHA-256 over that and everything above (`service.ledger.chain`).
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("ix_audit_log_at", "at"),
)

audit_heads = Table(
    "audit_heads",
    metadata,
    # The last entry of each tenant's chain; its row is locked while the chain grows.
    Column("tenant", String(64), primary_key=True),
    Column("n", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
)

releases = Table(
    "releases",
    metadata,
    Column("id", String(36), primary_key=True),
    # `generation`, `prompt` or `model`.
    Column("kind", String(16), nullable=False),
    Column("value", String(200), nullable=False),
    # What it took the place of; NULL: what the settings say.
    Column("previous", String(200)),
    # `active`, `superseded` or `rolled_back`.
    Column("state", String(16), nullable=False),
    Column("promoted_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    # Why it ended, for people.
    Column("reason", Text),
    # The online signals before it, and the bounds within which they must stay.
    Column("watch", JSON, nullable=False),
    Column("actor", String(128), nullable=False),
    Index("ix_releases_kind_state", "kind", "state"),
)

ledger_secrets = Table(
    "ledger_secrets",
    metadata,
    # Made at random by the first process that needs it; `query_hash` keys the hashes of queries.
    Column("name", String(32), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
