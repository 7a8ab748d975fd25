"""Keep the words and languages of each tenant's documents, for spelling and stemming of queries."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "vocabularies",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.Column("counted_at_change", sa.Integer(), nullable=False),
    )
    op.create_table(
        "words",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("word", sa.String(64), primary_key=True),
        sa.Column("documents", sa.Integer(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
    )
    op.create_index("ix_words_added", "words", ["tenant", "added"])
    op.create_table(
        "languages",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("language", sa.String(16), primary_key=True),
        sa.Column("documents", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("languages")
    op.drop_table("words")
    op.drop_table("vocabularies")
