"""What is said of documents, found by their chunks and without any text: for counting, grouping and ordering."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, and_, bindparam, select

from ingestion.corpus import tables
from ingestion.corpus.catalog_reader import admitting, same_content
from ingestion.corpus.database import unindexed
from ingestion.corpus.records import ChunkId, DocumentId, DocumentKey, Metadata
from ingestion.corpus.scope import Scope

_BATCH = 5_000
"""Ids per statement: databases take some tens of thousands of parameters."""


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """A document without its text."""

    key: DocumentKey
    id: DocumentId
    uri: str
    collection: str
    source: str
    labels: tuple[str, ...]
    metadata: Metadata
    updated_at: datetime


class FactsReader:
    """Reads within a scope; only what is live. Safe from several threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        chunks, documents = tables.chunks.c, tables.documents.c
        self._live = (
            select(chunks.id, chunks.document_key)
            .join_from(
                tables.chunks,
                tables.documents,
                and_(documents.key == chunks.document_key, same_content(documents.version, chunks.version)),
            )
            .where(chunks.id.in_(bindparam("ids", expanding=True)), unindexed(documents.tenant) == bindparam("tenant"))
        )
        self._titles = (
            select(chunks.id, documents.title)
            .join_from(tables.chunks, tables.documents, documents.key == chunks.document_key)
            .where(chunks.id.in_(bindparam("ids", expanding=True)), unindexed(documents.tenant) == bindparam("tenant"))
        )
        self._facts = select(
            documents.key,
            documents.id,
            documents.uri,
            documents.collection,
            documents.source,
            documents.labels,
            documents.metadata,
            documents.updated_at,
        ).where(documents.key.in_(bindparam("keys", expanding=True)))

    def documents_of(self, scope: Scope, ids: Sequence[ChunkId]) -> dict[ChunkId, DocumentFacts]:
        """The document of each of the chunks that is live within the scope, in the order of `ids`."""
        statement = self._live
        if (admitted := admitting(scope)) is not None:
            statement = statement.where(admitted)
        keys: dict[str, str] = {}
        with self._engine.connect() as connection:
            for batch in _batches(ids):
                rows = connection.execute(statement, {"ids": batch, "tenant": scope.tenant})
                keys.update((id_, key) for id_, key in rows)
            facts = self._read(connection, list(dict.fromkeys(keys.values())))
        # A document may go between the two statements.
        return {id_: facts[keys[id_]] for id_ in ids if id_ in keys and keys[id_] in facts}

    def titles_of(self, scope: Scope, ids: Sequence[ChunkId]) -> dict[ChunkId, str]:
        """The title of the document of each of the chunks within the scope."""
        statement = self._titles
        if (admitted := admitting(scope)) is not None:
            statement = statement.where(admitted)
        titles: dict[ChunkId, str] = {}
        with self._engine.connect() as connection:
            for batch in _batches(ids):
                rows = connection.execute(statement, {"ids": batch, "tenant": scope.tenant})
                titles.update((ChunkId(id_), title) for id_, title in rows)
        return titles

    def _read(self, connection: Connection, keys: Sequence[str]) -> dict[str, DocumentFacts]:
        facts = {}
        for batch in _batches(keys):
            for row in connection.execute(self._facts, {"keys": batch}):
                facts[row.key] = DocumentFacts(
                    DocumentKey(row.key),
                    DocumentId(row.id),
                    row.uri,
                    row.collection,
                    row.source,
                    tuple(row.labels),
                    row.metadata,
                    row.updated_at,
                )
        return facts


def _batches(values: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(values), _BATCH):
        yield list(values[start : start + _BATCH])
