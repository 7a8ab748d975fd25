"""Sources and what is remembered of their items; generations side by side; attachments; reuse of embeddings."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    _extend_generations()
    _extend_documents()
    _create_sources()
    _extend_jobs()


def _extend_generations() -> None:
    op.add_column("generations", sa.Column("state", sa.String(length=16), nullable=False, server_default="active"))
    op.add_column("generations", sa.Column("chunker", sa.Text(), nullable=False, server_default=""))
    op.add_column("generations", sa.Column("embedder_settings", sa.JSON(), nullable=True))
    op.add_column("generations", sa.Column("chunking_settings", sa.JSON(), nullable=True))
    op.add_column("generations", sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("versions", sa.Column("generation", sa.String(length=64), nullable=False, server_default=""))
    op.add_column("versions", sa.Column("elements", sa.JSON(), nullable=True))
    # Until now a corpus had exactly one generation.
    op.execute("UPDATE versions SET generation = COALESCE((SELECT MAX(name) FROM generations), '')")


def _extend_documents() -> None:
    op.add_column("documents", sa.Column("parent", sa.String(length=36), nullable=True))
    op.create_index("ix_documents_source", "documents", ["tenant", "source"], unique=False)
    op.create_index("ix_documents_parent", "documents", ["parent"], unique=False)
    op.add_column("chunks", sa.Column("embedding_key", sa.String(length=32), nullable=True))
    op.create_index("ix_chunks_embedding", "chunks", ["embedding_key"], unique=False)


def _create_sources() -> None:
    op.create_table(
        "sources",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("scans", sa.Integer(), nullable=False),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("error_code", sa.String(length=32), nullable=True),
        sa.Column("error_detail", sa.Text(), nullable=True),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("succeeded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_index("ix_sources_due", "sources", ["due_at"], unique=False)
    op.create_table(
        "source_items",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("document_id", sa.String(length=36), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=True),
        sa.Column("state", sa.JSON(), nullable=False),
        sa.Column("scan", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("attempted_sha256", sa.String(length=64), nullable=True),
        sa.Column("code", sa.String(length=32), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["tenant", "source"], ["sources.tenant", "sources.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant", "source", "document_id"),
    )
    op.create_index("ix_source_items_scan", "source_items", ["tenant", "source", "scan"], unique=False)


def _extend_jobs() -> None:
    op.add_column("jobs", sa.Column("kind", sa.String(length=16), nullable=False, server_default="upload"))
    op.add_column("jobs", sa.Column("source", sa.String(length=64), nullable=True))
    op.add_column("jobs", sa.Column("stage", sa.String(length=16), nullable=True))
    op.add_column("jobs", sa.Column("counts", sa.JSON(), nullable=True))
    op.create_index("ix_jobs_source", "jobs", ["tenant", "source", "created_at"], unique=False)
    op.add_column("jobs", sa.Column("pace", sa.Float(), nullable=True))
    # Until now no job had a source, hence none is there twice.
    op.create_index(
        "uq_jobs_open_source",
        "jobs",
        ["tenant", "kind", "source"],
        unique=True,
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.add_column("job_items", sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("ix_job_items_status", "job_items", ["job_id", "status", "attempts", "position"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_job_items_status", table_name="job_items")
    op.drop_column("job_items", "attempts")
    op.drop_index("uq_jobs_open_source", table_name="jobs")
    op.drop_index("ix_jobs_source", table_name="jobs")
    for name in ("pace", "counts", "stage", "source", "kind"):
        op.drop_column("jobs", name)
    op.drop_table("source_items")
    op.drop_table("sources")
    op.drop_index("ix_chunks_embedding", table_name="chunks")
    op.drop_column("chunks", "embedding_key")
    op.drop_index("ix_documents_parent", table_name="documents")
    op.drop_index("ix_documents_source", table_name="documents")
    op.drop_column("documents", "parent")
    for name in ("elements", "generation"):
        op.drop_column("versions", name)
    for name in ("activated_at", "chunking_settings", "embedder_settings", "chunker", "state"):
        op.drop_column("generations", name)
