"""What every query left behind, feedback on it, the audit log, and what was promoted."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    _traces()
    op.create_table(
        "feedback",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("trace_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("chunk_id", sa.String(length=36)),
        sa.Column("rank", sa.Integer()),
        sa.Column("rating", sa.String(length=8)),
        sa.Column("text", sa.Text()),
        sa.Column("outcome", sa.String(length=64)),
        sa.Column("key_id", sa.String(length=16)),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_feedback_tenant_at", "feedback", ["tenant", "at"])
    op.create_index("ix_feedback_trace_id", "feedback", ["trace_id"])
    op.create_index("ix_feedback_at", "feedback", ["at"])
    op.create_index("ix_model_calls_answer_id", "model_calls", ["answer_id"])
    op.create_index("ix_model_calls_at", "model_calls", ["at"])
    _audit()
    op.create_table(
        "releases",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("value", sa.String(length=200), nullable=False),
        sa.Column("previous", sa.String(length=200)),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("promoted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("reason", sa.Text()),
        sa.Column("watch", sa.JSON(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_releases_kind_state", "releases", ["kind", "state"])
    op.create_table(
        "ledger_secrets",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def _traces() -> None:
    op.create_table(
        "traces",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("query_id", sa.String(length=36), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("operation", sa.String(length=16), nullable=False),
        sa.Column("key_id", sa.String(length=16)),
        sa.Column("request_id", sa.String(length=128)),
        sa.Column("collection", sa.String(length=128)),
        sa.Column("query", sa.Text()),
        sa.Column("query_hash", sa.String(length=64)),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("hits", sa.Integer(), nullable=False),
        sa.Column("relevance", sa.String(length=16)),
        sa.Column("confidence", sa.Float()),
        sa.Column("top_score", sa.Float()),
        sa.Column("margin", sa.Float()),
        sa.Column("legs_agree", sa.Boolean()),
        sa.Column("refusal", sa.String(length=32)),
        sa.Column("degraded", sa.String(length=32)),
        sa.Column("degraded_mode", sa.String(length=16)),
        sa.Column("grounding", sa.String(length=16)),
        sa.Column("grounding_score", sa.Float()),
        sa.Column("sentences", sa.Integer()),
        sa.Column("unsupported", sa.Integer()),
        sa.Column("citation_precision", sa.Float()),
        sa.Column("citation_recall", sa.Float()),
        sa.Column("tier", sa.String(length=16)),
        sa.Column("model", sa.String(length=200)),
        sa.Column("prompt_version", sa.String(length=64)),
        sa.Column("prompt_tokens", sa.Integer()),
        sa.Column("completion_tokens", sa.Integer()),
        sa.Column("cost_usd", sa.Float()),
        sa.Column("index_version", sa.String(length=64)),
        sa.Column("embedder", sa.String(length=200)),
        sa.Column("total_ms", sa.Float(), nullable=False),
        sa.Column("timings", sa.JSON(), nullable=False),
        sa.Column("documents", sa.JSON(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_traces_signals",
        "traces",
        [
            *("tenant", "at", "id", "operation", "collection", "outcome", "hits"),
            *("relevance", "confidence", "top_score", "legs_agree", "refusal", "degraded"),
            *("grounding", "sentences", "unsupported", "citation_precision", "model", "prompt_version"),
        ],
    )
    op.create_index("ix_traces_query_id", "traces", ["query_id"])
    op.create_index("ix_traces_at", "traces", ["at", "tenant"])


def _audit() -> None:
    op.create_table(
        "audit_log",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=400)),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "n"),
    )
    op.create_index("ix_audit_log_at", "audit_log", ["at"])
    op.create_table(
        "audit_heads",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tenant"),
    )
