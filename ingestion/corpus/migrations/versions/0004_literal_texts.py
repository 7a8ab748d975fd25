"""Keep the folded text of each chunk with an index over its trigrams, for exact search at any size."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "chunk_texts",
        sa.Column("row", sa.Integer(), primary_key=True),
        sa.Column("chunk_id", sa.String(36), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["chunk_id"], ["chunks.id"], ondelete="CASCADE"),
        sa.UniqueConstraint("chunk_id", name="uq_chunk_texts_chunk"),
    )


def downgrade() -> None:
    op.drop_table("chunk_texts")
