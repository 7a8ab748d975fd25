"""Reads of the catalogue: documents, their text and their chunks, always within a scope and only what is live."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Engine, Row, and_, bindparam, func, or_, select

from ingestion.corpus import tables
from ingestion.corpus.database import unindexed
from ingestion.corpus.records import (
    Chunk,
    ChunkId,
    Document,
    DocumentId,
    DocumentKey,
    DocumentStatus,
    ElementKind,
    IndexedChunk,
    OutlineEntry,
    Span,
    VersionId,
)
from ingestion.corpus.scope import Scope, TenantId, reader_patterns
from ingestion.corpus.versions import CONTENT_DIGITS
from ingestion.errors import Conflict, InvalidRequest, NotFound

T = TypeVar("T")

_CHUNK_COLUMNS = tuple(
    tables.chunks.c[name]
    for name in ("id", "position", "start", "end", "text", "heading_path", "kinds", "tokens", "page")
)
_KEYS = 5_000
"""Keys per statement: databases take some tens of thousands of parameters."""
_DOCUMENT_KEY = tables.documents.c.keys().index("key")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list; `next_cursor` is None on the last."""

    items: tuple[T, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentQuery:
    """Which documents to list; None means any. `title` matches a part of the title, case-insensitively."""

    collection: str | None = None
    source: str | None = None
    status: DocumentStatus | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentContent:
    """The normalised text that spans point into, with its headings."""

    document: Document
    text: str
    outline: tuple[OutlineEntry, ...]


class CatalogReader:
    """Every method takes the scope first, and adds its tenant and reader conditions itself."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # Built once: every search runs it, and building it anew costs as much as running it.
        # Only the content is compared: the ids come from an index, which holds one generation, and `documents` tells
        # the version in the active one. A reader on the generation before it never gets what was replaced since.
        chunks, documents = tables.chunks.c, tables.documents.c
        self._live_chunks = (
            select(*_CHUNK_COLUMNS, *documents)
            .join_from(
                tables.chunks,
                tables.documents,
                and_(documents.key == chunks.document_key, same_content(documents.version, chunks.version)),
            )
            .where(chunks.id.in_(bindparam("ids", expanding=True)), unindexed(documents.tenant) == bindparam("tenant"))
        )

    def get_document(self, scope: Scope, document: DocumentId, collection: str | None = None) -> Document:
        """The document with that id. Raises: NotFound; Conflict if several collections hold that id."""
        documents = tables.documents.c
        condition = and_(_readable(scope), documents.id == document)
        if collection is not None:
            condition = and_(condition, documents.collection == collection)
        with self._engine.connect() as connection:
            rows = connection.execute(select(tables.documents).where(condition)).all()
        if not rows:
            raise NotFound(f"no document {document!r}" + (f" in collection {collection!r}" if collection else ""))
        if len(rows) > 1:
            names = ", ".join(sorted(row.collection for row in rows))
            raise Conflict(f"document {document!r} is in several collections ({names}): name one with `collection`")
        return _document(rows[0])

    def get_content(self, scope: Scope, document: DocumentId, collection: str | None = None) -> DocumentContent:
        """The live text of a document. Raises: NotFound, also while it has no live version; Conflict."""
        found = self.get_document(scope, document, collection)
        versions = tables.versions.c
        with self._engine.connect() as connection:
            row = connection.execute(
                select(versions.text, versions.outline).where(
                    versions.document_key == found.key, versions.version == found.version
                )
            ).one_or_none()
        if row is None:
            raise NotFound(f"document {document!r} has no text yet: its status is {found.status}")
        outline = tuple(OutlineEntry(level, title, Span(start, end)) for level, title, start, end in row.outline)
        return DocumentContent(found, row.text, outline)

    def list_documents(
        self, scope: Scope, query: DocumentQuery, *, cursor: str | None = None, limit: int = 50
    ) -> Page[Document]:
        """Documents, newest first. Raises: InvalidRequest for a cursor that this method did not give."""
        documents = tables.documents.c
        conditions: list[ColumnElement[bool]] = [_readable(scope)]
        if query.collection is not None:
            conditions.append(documents.collection == query.collection)
        if query.source is not None:
            conditions.append(documents.source == query.source)
        if query.status is not None:
            conditions.append(documents.status == query.status)
        if query.title is not None:
            conditions.append(func.lower(documents.title).contains(query.title.lower(), autoescape=True))
        if cursor is not None:
            conditions.append(older_than(cursor, documents.created_at, documents.key))
        statement = (
            select(tables.documents)
            .where(*conditions)
            .order_by(documents.created_at.desc(), documents.key.desc())
            .limit(limit + 1)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(statement).all()
        return page_of([_document(row) for row in rows], limit, lambda item: (item.created_at, item.key))

    def get_chunks(self, scope: Scope, ids: Collection[ChunkId]) -> dict[ChunkId, IndexedChunk]:
        """Those of the chunks that belong to a live version within the scope."""
        if not ids:
            return {}
        statement = self._live_chunks
        if (admitted := admitting(scope)) is not None:
            statement = statement.where(admitted)
        with self._engine.connect() as connection:
            rows = connection.execute(statement, {"ids": list(ids), "tenant": scope.tenant}).all()
        parents: dict[str, Document] = {}
        found = {}
        for row in rows:
            # Both tables in one row: the chunk's columns first, then the document's under their own names.
            id_, *facts = row[: len(_CHUNK_COLUMNS)]
            values = row[len(_CHUNK_COLUMNS) :]
            key = values[_DOCUMENT_KEY]
            if key not in parents:
                parents[key] = _document(SimpleNamespace(**dict(zip(tables.documents.c.keys(), values, strict=True))))
            found[ChunkId(id_)] = IndexedChunk(ChunkId(id_), _chunk(facts), parents[key])
        return found

    def get_documents(self, scope: Scope, keys: Sequence[DocumentKey]) -> dict[DocumentKey, Document]:
        """Those of the documents that are within the scope."""
        found: dict[DocumentKey, Document] = {}
        with self._engine.connect() as connection:
            for start in range(0, len(keys), _KEYS):
                wanted = tables.documents.c.key.in_(keys[start : start + _KEYS])
                for row in connection.execute(select(tables.documents).where(_readable(scope), wanted)):
                    found[DocumentKey(row.key)] = _document(row)
        return found

    def metadata_keys(self, scope: Scope) -> frozenset[str]:
        """Every metadata key that the tenant's documents have used."""
        keys = tables.metadata_keys.c
        with self._engine.connect() as connection:
            return frozenset(connection.scalars(select(keys.key).where(keys.tenant == scope.tenant)))

    def count_documents(self, scope: Scope) -> int:
        with self._engine.connect() as connection:
            return connection.scalar(select(func.count()).select_from(tables.documents).where(_readable(scope))) or 0


def older_than(cursor: str, created_at: ColumnElement[datetime], key: ColumnElement[str]) -> ColumnElement[bool]:
    """What comes after the cursor in a list that runs from new to old. Raises: InvalidRequest."""
    try:
        moment, last = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        when = datetime.fromisoformat(moment)
        if when.tzinfo is None or not isinstance(last, str):
            raise ValueError(cursor)
    except (ValueError, TypeError, binascii.Error) as error:
        raise InvalidRequest(
            "not a cursor of this list: use `next_cursor` of the page before", pointer="/cursor"
        ) from error
    return or_(created_at < when, and_(created_at == when, key < last))


def page_of(items: Sequence[T], limit: int, position: Any) -> Page[T]:
    """A page from up to `limit + 1` items; `position(item)` is the (time, key) that the list is ordered by."""
    if len(items) <= limit:
        return Page(tuple(items))
    when, key = position(items[limit - 1])
    cursor = base64.urlsafe_b64encode(json.dumps([when.isoformat(), key]).encode()).decode()
    return Page(tuple(items[:limit]), cursor)


def same_content(first: ColumnElement[str], second: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether two versions are of the same content, cut or embedded in whatever way."""
    return func.substr(first, 1, CONTENT_DIGITS) == func.substr(second, 1, CONTENT_DIGITS)


def _readable(scope: Scope) -> ColumnElement[bool]:
    mine = tables.documents.c.tenant == scope.tenant
    admitted = admitting(scope)
    return mine if admitted is None else and_(mine, admitted)


def admitting(scope: Scope) -> ColumnElement[bool] | None:
    """Whether one of the scope's labels may read the document; None if all of the tenant's may be read."""
    patterns = reader_patterns(scope)
    if patterns is None:
        return None
    readers = tables.documents.c.readers
    return or_(*(readers.contains(pattern, autoescape=True) for pattern in patterns))


def _document(row: Row[Any] | SimpleNamespace) -> Document:
    return Document(
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
        version=None if row.version is None else VersionId(row.version),
        chunk_count=row.chunk_count,
        size_bytes=row.size_bytes,
        created_at=row.created_at,
        updated_at=row.updated_at,
        status=DocumentStatus(row.status),
        failure=row.failure,
    )


def _chunk(facts: Sequence[Any]) -> Chunk:
    position, start, end, text, heading_path, kinds, tokens, page = facts
    return Chunk(position, Span(start, end), text, tuple(heading_path), tuple(map(ElementKind, kinds)), tokens, page)
