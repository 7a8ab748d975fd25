"""The catalogue's side of generations: which there are, what one of them lacks, and the switch between them.

What a generation holds of its own are versions and their chunks. A document names its version in the active one, so
the switch is a single transaction over `generations` and `documents`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, Engine, Row, and_, delete, exists, func, insert, select, update

from ingestion.corpus import tables
from ingestion.corpus.catalog import VersionState
from ingestion.corpus.database import write_transaction
from ingestion.corpus.records import (
    Chunk,
    DocumentDraft,
    DocumentId,
    DocumentKey,
    Element,
    ElementKind,
    OutlineEntry,
    ParsedDocument,
    Span,
)
from ingestion.corpus.scope import TenantId
from ingestion.corpus.versions import CONTENT_DIGITS, Generation, GenerationState, version_in
from ingestion.errors import Overtaken

_generations = tables.generations.c
_documents = tables.documents.c
_versions = tables.versions.c


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A live document as it was read; without elements where an older program did not keep them."""

    draft: DocumentDraft
    parsed: ParsedDocument
    outline: tuple[OutlineEntry, ...]


class GenerationStore:
    """Rows of `generations`, and what they say about the documents of every tenant. For upkeep, not for requests."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def active(self) -> Generation | None:
        """The generation that is searched, or None before the first start."""
        query = select(tables.generations).where(_generations.state == GenerationState.ACTIVE)
        with self._engine.connect() as connection:
            row = connection.execute(query.order_by(_generations.created_at).limit(1)).one_or_none()
        return None if row is None else _generation(row)

    def all(self) -> tuple[Generation, ...]:
        """Newest first."""
        query = select(tables.generations).order_by(_generations.created_at.desc(), _generations.name)
        with self._engine.connect() as connection:
            return tuple(_generation(row) for row in connection.execute(query))

    def get(self, name: str) -> Generation | None:
        with self._engine.connect() as connection:
            row = connection.execute(select(tables.generations).where(_generations.name == name)).one_or_none()
        return None if row is None else _generation(row)

    def dimension(self, name: str) -> int | None:
        """Vector size of a generation; None if there is none of that name, or it is dropped."""
        generation = self.get(name)
        return None if generation is None or generation.state is GenerationState.DROPPED else generation.dimension

    def find(self, like: Generation) -> Generation | None:
        """The stored generation of the same parts, which is not dropped."""
        return next(
            (row for row in self.all() if row.parts == like.parts and row.state is not GenerationState.DROPPED), None
        )

    def add(self, generation: Generation) -> Generation:
        """The generation as it is stored: of those with these parts the one that is there, else this one.

        The first of all becomes active, and the others that processes may add at the same time don't.
        Raises: Overtaken while an earlier one of that name is still being removed.
        """
        with write_transaction(self._engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("LOCK TABLE generations IN SHARE ROW EXCLUSIVE MODE")
            rows = [_generation(row) for row in connection.execute(select(tables.generations))]
            first = not any(row.state is GenerationState.ACTIVE for row in rows)
            for row in rows:
                if row.parts == generation.parts and row.state is not GenerationState.DROPPED:
                    return row
                if row.name == generation.name:
                    raise Overtaken(f"an earlier generation {row.name} is still being removed: try again")
            state = GenerationState.ACTIVE if first else GenerationState.BUILDING
            now = datetime.now(UTC)
            values = asdict(generation) | {"state": state, "created_at": now, "activated_at": now if first else None}
            connection.execute(insert(tables.generations).values(values))
        stored = self.get(generation.name)
        assert stored is not None
        return stored

    def describe(self, name: str, **values: object) -> None:
        """Correct what is stored of a generation."""
        with write_transaction(self._engine) as connection:
            connection.execute(update(tables.generations).where(_generations.name == name).values(values))

    def count(self) -> int:
        """Live documents of all tenants."""
        query = select(func.count()).select_from(tables.documents).where(_documents.version.is_not(None))
        with self._engine.connect() as connection:
            return connection.scalar(query) or 0

    def count_missing(self, name: str) -> int:
        """Live documents whose content is not live in that generation."""
        with self._engine.connect() as connection:
            return _count_missing(connection, name)

    def missing(self, name: str, *, after: str = "", limit: int = 200) -> list[DocumentKey]:
        """Some of those documents, in the order of their keys."""
        query = select(_documents.key).where(_is_missing(name), _documents.key > after)
        with self._engine.connect() as connection:
            return [DocumentKey(key) for key in connection.scalars(query.order_by(_documents.key).limit(limit))]

    def load(self, key: DocumentKey, generation: str) -> StoredDocument | None:
        """What the catalogue keeps of a live document, as a draft for that generation; None if it is gone."""
        query = select(tables.documents, _versions.text, _versions.elements, _versions.outline).join_from(
            tables.documents,
            tables.versions,
            and_(_versions.document_key == _documents.key, _versions.version == _documents.version),
        )
        with self._engine.connect() as connection:
            row = connection.execute(query.where(_documents.key == key)).one_or_none()
            if row is None:
                return None
        elements = tuple(
            Element(ElementKind(kind), Span(start, end), level, page)
            for kind, start, end, level, page in row.elements or ()
        )
        outline = tuple(OutlineEntry(level, title, Span(start, end)) for level, title, start, end in row.outline)
        parsed = ParsedDocument(row.text, elements, row.title, row.media_type, row.metadata)
        return StoredDocument(_draft(row, generation), parsed, outline)

    def chunks(self, key: DocumentKey) -> tuple[Chunk, ...]:
        """How a live document is cut, in text order; empty if it is gone."""
        chunks = tables.chunks.c
        live = and_(_documents.key == chunks.document_key, _documents.version == chunks.version)
        query = select(tables.chunks).join_from(tables.chunks, tables.documents, live).where(_documents.key == key)
        with self._engine.connect() as connection:
            return tuple(_chunk(row) for row in connection.execute(query.order_by(chunks.position)))

    def switch(self, name: str, *, leaving: GenerationState) -> int:
        """Make a generation the active one if it lacks no document; returns how many it lacks, 0 once it is active.

        The one that was active becomes `leaving`: STANDBY, or LEFT when going back. Every process serves the one
        before it until it notices, and what it serves is what is stored: of documents that change or go meanwhile it
        serves nothing.
        """
        with write_transaction(self._engine) as connection:
            # In one order, and before any document, as `publish` does: nobody waits for each other.
            rows = connection.execute(
                select(_generations.name, _generations.state).order_by(_generations.name).with_for_update()
            ).all()
            states = {row.name: row.state for row in rows}
            if states[name] == GenerationState.ACTIVE:
                return 0
            if missing := _count_missing(connection, name):
                return missing
            _point_documents_at(connection, name)
            was_active = _generations.state == GenerationState.ACTIVE
            connection.execute(update(tables.generations).where(was_active).values(state=leaving))
            connection.execute(
                update(tables.generations)
                .where(_generations.name == name)
                .values(state=GenerationState.ACTIVE, activated_at=datetime.now(UTC))
            )
        return 0

    def forget_versions(self, name: str, *, limit: int = 500) -> int:
        """Drop some versions of a generation that is dropped, with their chunks; returns how many."""
        with write_transaction(self._engine) as connection:
            some = select(_versions.document_key, _versions.version).where(_versions.generation == name).limit(limit)
            rows = connection.execute(some).all()
            for row in rows:
                connection.execute(
                    delete(tables.versions).where(
                        _versions.document_key == row.document_key, _versions.version == row.version
                    )
                )
            return len(rows)

    def remove(self, name: str) -> None:
        with write_transaction(self._engine) as connection:
            connection.execute(delete(tables.generations).where(_generations.name == name))


def _generation(row: Row[tuple[object, ...]]) -> Generation:
    return Generation(
        name=row.name,
        embedder=row.embedder,
        dimension=row.dimension,
        lexical=row.lexical,
        fingerprint=row.fingerprint,
        chunker=row.chunker,
        embedder_settings=row.embedder_settings,
        chunking_settings=row.chunking_settings,
        state=GenerationState(row.state),
        created_at=row.created_at,
        activated_at=row.activated_at,
    )


def _counterpart(name: str) -> ColumnElement[bool]:
    """Of a document's versions the one in that generation with the content that is live."""
    content = func.substr(_versions.version, 1, CONTENT_DIGITS) == func.substr(_documents.version, 1, CONTENT_DIGITS)
    return and_(
        _versions.generation == name,
        _versions.state == VersionState.LIVE,
        _versions.document_key == _documents.key,
        content,
    )


def _is_missing(name: str) -> ColumnElement[bool]:
    built = exists().where(_counterpart(name)).correlate(tables.documents)
    return and_(_documents.version.is_not(None), ~built)


def _count_missing(connection: Connection, name: str) -> int:
    return connection.scalar(select(func.count()).select_from(tables.documents).where(_is_missing(name))) or 0


def _point_documents_at(connection: Connection, name: str) -> None:
    live = _documents.version.is_not(None)
    version = select(_versions.version).where(_counterpart(name)).correlate(tables.documents).scalar_subquery()
    connection.execute(update(tables.documents).where(live).values(version=version))
    chunks = tables.chunks.c
    count = (
        select(func.count())
        .where(chunks.document_key == _documents.key, chunks.version == _documents.version)
        .correlate(tables.documents)
        .scalar_subquery()
    )
    connection.execute(update(tables.documents).where(live).values(chunk_count=count))


def _chunk(row: Row[tuple[object, ...]]) -> Chunk:
    return Chunk(
        position=row.position,
        span=Span(row.start, row.end),
        text=row.text,
        heading_path=tuple(row.heading_path),
        kinds=tuple(map(ElementKind, row.kinds)),
        tokens=row.tokens,
        page=row.page,
    )


def _draft(row: Row[tuple[object, ...]], generation: str) -> DocumentDraft:
    return DocumentDraft(
        key=DocumentKey(row.key),
        id=DocumentId(row.id),
        tenant=TenantId(row.tenant),
        collection=row.collection,
        uri=row.uri,
        title=row.title,
        source=row.source,
        labels=tuple(row.labels),
        metadata=row.metadata,
        media_type=row.media_type,
        content_sha256=row.content_sha256,
        version=version_in(generation, row.version),
        size_bytes=row.size_bytes,
        submitted_at=row.submitted_at,
        updated_at=row.updated_at,
    )
