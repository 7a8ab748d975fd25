"""Look up what a generation holds without reading the texts, which lie before the column that names it."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_index(
        "ix_versions_generation", "versions", ["generation", "state", "document_key", "version"], unique=False
    )


def downgrade() -> None:
    op.drop_index("ix_versions_generation", table_name="versions")
