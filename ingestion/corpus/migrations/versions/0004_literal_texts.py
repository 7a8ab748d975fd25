"""Keep the folded text of each chunk, for exact search at any size; what is stored already is filled in."""

from collections.abc import Iterator

import sqlalchemy as sa
import structlog
from alembic import op

from ingestion.corpus.literal import LiteralText, literal_texts, literal_title
from ingestion.corpus.records import Span

revision = "0004"
down_revision = "0003"

log = structlog.get_logger(__name__)

_TELL_EVERY = 5_000

_documents = sa.table("documents", sa.column("key", sa.String()), sa.column("title", sa.Text()))
_versions = sa.table(
    "versions",
    *(sa.column(name, sa.String()) for name in ("document_key", "version", "tenant", "generation")),
    sa.column("text", sa.Text()),
)
_chunks = sa.table(
    "chunks",
    *(sa.column(name, sa.String()) for name in ("document_key", "version")),
    *(sa.column(name, sa.Integer()) for name in ("position", "start", "end")),
)
_chunk_texts = sa.table(
    "chunk_texts",
    *(sa.column(name, sa.String()) for name in ("tenant", "generation", "document_key", "version")),
    *(sa.column(name, sa.Integer()) for name in ("position", "start", "own")),
    sa.column("folded", sa.Text()),
)


def upgrade() -> None:
    op.create_table(
        "chunk_texts",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("generation", sa.String(64), nullable=False),
        sa.Column("document_key", sa.String(36), nullable=False),
        sa.Column("version", sa.String(24), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("own", sa.Integer(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_key", "version"], ["versions.document_key", "versions.version"], ondelete="CASCADE"
        ),
        sa.UniqueConstraint("document_key", "version", "position", name="uq_chunk_texts_position"),
    )
    _fill(op.get_bind())


def downgrade() -> None:
    op.execute("DROP TABLE IF EXISTS chunk_trigrams")
    op.drop_table("chunk_texts")


def _fill(connection: sa.Connection) -> None:
    total = connection.scalar(sa.select(sa.func.count()).select_from(_chunks)) or 0
    done, told = 0, 0
    for version, texts in _stored(connection):
        rows = [
            {**version, "position": row.position, "start": row.start, "own": row.own, "folded": row.folded}
            for row in texts
        ]
        connection.execute(sa.insert(_chunk_texts), rows)
        done += len(rows) - 1
        if done - told >= _TELL_EVERY:
            log.info("literal_texts_filled", chunks=done, total=total)
            told = done


def _stored(connection: sa.Connection) -> Iterator[tuple[dict[str, str], list[LiteralText]]]:
    """Each version that has chunks with its rows, one at a time: no more than one document is held."""
    after = ("", "")
    while True:
        version = connection.execute(
            sa.select(_versions)
            .where(sa.tuple_(_versions.c.document_key, _versions.c.version) > sa.tuple_(*map(sa.literal, after)))
            .order_by(_versions.c.document_key, _versions.c.version)
            .limit(1)
        ).one_or_none()
        if version is None:
            return
        after = (version.document_key, version.version)
        spans = [
            Span(row.start, row.end)
            for row in connection.execute(
                sa.select(_chunks.c.start, _chunks.c.end)
                .where(_chunks.c.document_key == version.document_key, _chunks.c.version == version.version)
                .order_by(_chunks.c.position)
            )
        ]
        if spans:
            title = connection.scalar(sa.select(_documents.c.title).where(_documents.c.key == version.document_key))
            facts = {name: getattr(version, name) for name in ("tenant", "generation", "document_key", "version")}
            yield facts, [literal_title(title or ""), *literal_texts(version.text, spans)]
