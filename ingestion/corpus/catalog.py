"""The catalogue: the authority on which documents exist and which version of each is live.

A version is `staged` while its chunks are written to the index, becomes `live` in one transaction, and is
`retired` when another replaces it or the document is deleted. Whatever is not live is swept from the index
afterwards, so a process killed at any point leaves nothing that a reader could see. Each generation has versions of
its own; `generation_store` knows which of them is active. Vectors are not its matter.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, Engine, and_, delete, func, insert, select, update

from ingestion.corpus import tables
from ingestion.corpus.database import insert_if_absent, unindexed, write_transaction
from ingestion.corpus.lexicon import WordRecorder
from ingestion.corpus.literal import LiteralText, literal_title
from ingestion.corpus.literal_store import add_texts
from ingestion.corpus.records import (
    Chunk,
    ChunkId,
    DocumentDraft,
    DocumentId,
    DocumentKey,
    DocumentStatus,
    Metadata,
    OutlineEntry,
    ParsedDocument,
    VersionId,
    chunk_id,
)
from ingestion.corpus.scope import Scope, TenantId, pack_readers
from ingestion.corpus.stemming import language_of
from ingestion.corpus.versions import CONTENT_DIGITS, GenerationState, content_of
from ingestion.errors import Overtaken

_LOOKUP = 500
_versions = tables.versions.c


class VersionState(StrEnum):
    STAGED = "staged"
    LIVE = "live"
    RETIRED = "retired"
    SWEEPING = "sweeping"
    """Its chunks are leaving the index: nobody may write any for it before it is gone."""


class PublishOutcome(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    SUPERSEDED = "superseded"


class Catalog:
    """Writes to the catalogue. `catalog_reader` has the reads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._words = WordRecorder()

    def live_versions(self, scope: Scope, keys: Collection[DocumentKey]) -> dict[DocumentKey, VersionId]:
        """The live version of each of these documents of the tenant that has one."""
        documents = tables.documents.c
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(documents.key, documents.version).where(
                    unindexed(documents.tenant) == scope.tenant, documents.key.in_(keys), documents.version.is_not(None)
                )
            )
            return {DocumentKey(row.key): VersionId(row.version) for row in rows}

    def note_failure(self, scope: Scope, draft: DocumentDraft, failure: str) -> None:
        """Record why the last attempt to ingest a document failed. A version that was live stays live."""
        documents = tables.documents.c
        with write_transaction(self._engine) as connection:
            if self._deleted_since(connection, draft):
                return
            absent = _document_values(draft, 0) | {
                "version": None,
                "status": DocumentStatus.FAILED,
                "created_at": datetime.now(UTC),
            }
            insert_if_absent(connection, tables.documents, absent)
            connection.execute(
                update(tables.documents)
                .where(
                    documents.tenant == scope.tenant,
                    documents.key == draft.key,
                    documents.submitted_at <= draft.submitted_at,
                )
                .values(failure=failure)
            )

    def stage(
        self,
        scope: Scope,
        draft: DocumentDraft,
        document: ParsedDocument,
        outline: Sequence[OutlineEntry],
        generation: str,
    ) -> None:
        """Announce a version before its first chunk is written, so that a crash leaves a trace to sweep.

        The same version has the same chunks: what is there of it stays, whoever wrote it.
        Raises: Overtaken while an earlier copy of the version is being removed.
        """
        row = {
            "document_key": draft.key,
            "version": draft.version,
            "tenant": scope.tenant,
            "generation": generation,
            "state": VersionState.STAGED,
            "text": document.text,
            "elements": [
                [element.kind, element.span.start, element.span.end, element.level, element.page]
                for element in document.elements
            ],
            "outline": [[entry.level, entry.title, entry.span.start, entry.span.end] for entry in outline],
            "staged_at": datetime.now(UTC),
        }
        with write_transaction(self._engine) as connection:
            insert_if_absent(connection, tables.versions, row)
            state = _state_of(connection, draft)
            if state is VersionState.SWEEPING:
                raise Overtaken(f"an earlier copy of {draft.uri} is being removed")
            if state is not VersionState.LIVE:
                _set_state(connection, draft.key, draft.version, VersionState.STAGED)
            self._words.record(connection, scope.tenant, (draft.title, document.text), language_of(draft.metadata))

    def add_chunks(
        self, scope: Scope, draft: DocumentDraft, chunks: Sequence[tuple[Chunk, str, LiteralText]], generation: str
    ) -> None:
        """Store some chunks of a staged version, each with the key of what is embedded for it and the text that exact
        search compares. Those there stay.

        Raises: Overtaken if the version was retired meanwhile.
        """
        rows = [
            {
                "id": chunk_id(draft.key, draft.version, chunk.position),
                "document_key": draft.key,
                "version": draft.version,
                "position": chunk.position,
                "start": chunk.span.start,
                "end": chunk.span.end,
                "text": chunk.text,
                "heading_path": list(chunk.heading_path),
                "kinds": list(chunk.kinds),
                "tokens": chunk.tokens,
                "page": chunk.page,
                "embedding_key": embedding_key,
            }
            for chunk, embedding_key, _ in chunks
        ]
        if rows:
            with write_transaction(self._engine) as connection:
                if _state_of(connection, draft) not in (VersionState.STAGED, VersionState.LIVE):
                    raise Overtaken(f"{draft.uri} was deleted or replaced while it was being ingested")
                insert_if_absent(connection, tables.chunks, *rows)
                titles = [literal_title(draft.title)] if any(chunk.position == 0 for chunk, _, _ in chunks) else []
                add_texts(connection, draft, generation, [*titles, *(text for _, _, text in chunks)])

    def embedded(self, scope: Scope, generation: str, keys: Sequence[str]) -> dict[str, ChunkId]:
        """For those of the embedding keys that the tenant has in this generation, a chunk with that embedding."""
        chunks, versions = tables.chunks.c, tables.versions.c
        found: dict[str, ChunkId] = {}
        with self._engine.connect() as connection:
            for start in range(0, len(keys), _LOOKUP):
                query = (
                    select(chunks.embedding_key, chunks.id)
                    .join_from(
                        tables.chunks,
                        tables.versions,
                        and_(versions.document_key == chunks.document_key, versions.version == chunks.version),
                    )
                    .where(
                        chunks.embedding_key.in_(keys[start : start + _LOOKUP]),
                        unindexed(versions.tenant) == scope.tenant,
                        unindexed(versions.generation) == generation,
                        versions.state != VersionState.STAGED,
                    )
                )
                found.update((row.embedding_key, ChunkId(row.id)) for row in connection.execute(query))
        return found

    def publish(self, scope: Scope, draft: DocumentDraft, *, chunk_count: int, generation: str) -> PublishOutcome:
        """Make the staged version the live one, in one transaction, and retire what it replaces in every generation.

        SUPERSEDED, and the staged version retired, if a later submission or a deletion came first.
        Raises: Overtaken if the generation is no longer the active one, or the version is not whole.
        """
        documents = tables.documents.c
        with write_transaction(self._engine) as connection:
            _require_active(connection, generation)
            current = connection.execute(
                select(documents.version, documents.submitted_at)
                .where(documents.tenant == scope.tenant, documents.key == draft.key)
                .with_for_update()
            ).one_or_none()
            overtaken = current is not None and current.submitted_at > draft.submitted_at
            if overtaken or self._deleted_since(connection, draft):
                _retire(
                    connection, draft.key, _versions.version == draft.version, _versions.state == VersionState.STAGED
                )
                return PublishOutcome.SUPERSEDED
            _require_whole(connection, draft, chunk_count)
            values = _document_values(draft, chunk_count)
            if current is None:
                connection.execute(insert(tables.documents).values(values | {"created_at": datetime.now(UTC)}))
            else:
                connection.execute(update(tables.documents).where(documents.key == draft.key).values(values))
            other = func.substr(_versions.version, 1, CONTENT_DIGITS) != content_of(draft.version)
            _retire(connection, draft.key, other, _versions.state == VersionState.LIVE)
            _set_state(connection, draft.key, draft.version, VersionState.LIVE)
            _remember_metadata_keys(connection, scope.tenant, draft.metadata)
        if current is None or current.version is None:
            return PublishOutcome.CREATED
        return PublishOutcome.UPDATED

    def admit(self, scope: Scope, draft: DocumentDraft, *, chunk_count: int) -> bool:
        """Make a version live in a generation that is being built, if the document still has that content.

        Otherwise the version is retired. Raises: Overtaken if it is not whole.
        """
        documents = tables.documents.c
        with write_transaction(self._engine) as connection:
            current = connection.scalar(
                select(documents.version)
                .where(documents.tenant == scope.tenant, documents.key == draft.key)
                .with_for_update(read=True)
            )
            if current is None or content_of(current) != content_of(draft.version):
                _retire(connection, draft.key, _versions.version == draft.version)
                return False
            _require_whole(connection, draft, chunk_count)
            _set_state(connection, draft.key, draft.version, VersionState.LIVE)
        return True

    def remove_document(self, scope: Scope, key: DocumentKey) -> list[DocumentKey]:
        """Forget a document and what was attached to it; returns their keys, none if there is no such document.

        Their versions are retired, and submissions made before now can't bring them back.
        """
        with write_transaction(self._engine) as connection:
            keys = _with_attachments(connection, scope, [key])
            if keys:
                _forget(connection, scope, keys)
        return keys

    def remove_documents(self, scope: Scope, keys: Sequence[DocumentKey]) -> list[DocumentKey]:
        """Forget all these documents and what was attached to them, at once; returns the keys of those there were.

        Submissions made before now can bring none of `keys` back, whether there was such a document or not.
        """
        removed: list[DocumentKey] = []
        with write_transaction(self._engine) as connection:
            for start in range(0, len(keys), _LOOKUP):
                some = keys[start : start + _LOOKUP]
                present = _with_attachments(connection, scope, some)
                _forget(connection, scope, list({*some, *present}))
                removed += present
        return removed

    def attachments(self, scope: Scope, key: DocumentKey) -> dict[DocumentId, DocumentKey]:
        """The documents that were attached to this one itself."""
        documents = tables.documents.c
        query = select(documents.id, documents.key).where(documents.tenant == scope.tenant, documents.parent == key)
        with self._engine.connect() as connection:
            return {DocumentId(row.id): DocumentKey(row.key) for row in connection.execute(query)}

    @staticmethod
    def _deleted_since(connection: Connection, draft: DocumentDraft) -> bool:
        tombstones = tables.tombstones.c
        deleted_at: datetime | None = connection.scalar(
            select(func.max(tombstones.deleted_at)).where(
                tombstones.document_key.in_([draft.key, *draft.ancestors]),
            )
        )
        return deleted_at is not None and deleted_at > draft.submitted_at


def _document_values(draft: DocumentDraft, chunk_count: int) -> dict[str, object]:
    values = {name: getattr(draft, name) for name in DocumentDraft.__slots__ if name != "ancestors"}
    return values | {
        "parent": draft.ancestors[-1] if draft.ancestors else None,
        "labels": list(draft.labels),
        "metadata": dict(draft.metadata),
        "readers": pack_readers(draft.labels),
        "chunk_count": chunk_count,
        "status": DocumentStatus.INDEXED,
        "failure": None,
    }


def _with_attachments(connection: Connection, scope: Scope, keys: Sequence[DocumentKey]) -> list[DocumentKey]:
    """Those of the documents that are there, and all below them, also below one that never came to be."""
    documents = tables.documents.c

    def where(column: ColumnElement[str], values: Sequence[DocumentKey]) -> list[DocumentKey]:
        found: list[DocumentKey] = []
        for start in range(0, len(values), _LOOKUP):
            some = column.in_(values[start : start + _LOOKUP])
            query = select(documents.key).where(unindexed(documents.tenant) == scope.tenant, some)
            found += map(DocumentKey, connection.scalars(query))
        return found

    found, above = where(documents.key, keys), list(keys)
    while above:
        above = where(documents.parent, above)
        found += above
    return list(dict.fromkeys(found))


def _forget(connection: Connection, scope: Scope, keys: Sequence[DocumentKey]) -> None:
    documents, versions, tombstones = tables.documents.c, tables.versions.c, tables.tombstones.c
    now = datetime.now(UTC)
    for start in range(0, len(keys), _LOOKUP):
        some = keys[start : start + _LOOKUP]
        connection.execute(
            delete(tables.documents).where(unindexed(documents.tenant) == scope.tenant, documents.key.in_(some))
        )
        connection.execute(
            update(tables.versions)
            .where(unindexed(versions.tenant) == scope.tenant, versions.document_key.in_(some))
            .values(state=VersionState.RETIRED)
        )
        connection.execute(delete(tables.tombstones).where(tombstones.document_key.in_(some)))
        connection.execute(
            insert(tables.tombstones),
            [{"document_key": key, "tenant": scope.tenant, "deleted_at": now} for key in some],
        )


def _set_state(connection: Connection, key: DocumentKey, version: VersionId, state: VersionState) -> None:
    versions = tables.versions.c
    connection.execute(
        update(tables.versions).where(versions.document_key == key, versions.version == version).values(state=state)
    )


def _retire(connection: Connection, key: DocumentKey, *conditions: ColumnElement[bool]) -> None:
    connection.execute(
        update(tables.versions).where(_versions.document_key == key, *conditions).values(state=VersionState.RETIRED)
    )


def _state_of(connection: Connection, draft: DocumentDraft) -> VersionState | None:
    """The state of the draft's version, which stays as it is until the transaction ends."""
    state = connection.scalar(
        select(_versions.state)
        .where(_versions.document_key == draft.key, _versions.version == draft.version)
        .with_for_update()
    )
    return None if state is None else VersionState(state)


def _require_active(connection: Connection, generation: str) -> None:
    """Raises: Overtaken if another generation is active. It stays the active one until the transaction ends."""
    generations = tables.generations.c
    state = connection.scalar(
        select(generations.state).where(generations.name == generation).with_for_update(read=True)
    )
    if state != GenerationState.ACTIVE:
        raise Overtaken(f"generation {generation} is no longer the one that is searched: try again")


def _require_whole(connection: Connection, draft: DocumentDraft, chunk_count: int) -> None:
    """Raises: Overtaken if chunks of the draft's version are missing, since another writer removed them."""
    state = _state_of(connection, draft)
    chunks = tables.chunks.c
    held = connection.scalar(
        select(func.count())
        .select_from(tables.chunks)
        .where(chunks.document_key == draft.key, chunks.version == draft.version)
    )
    if state not in (VersionState.STAGED, VersionState.LIVE) or held != chunk_count:
        raise Overtaken(f"{draft.uri} was deleted or replaced while it was being ingested")


def _remember_metadata_keys(connection: Connection, tenant: TenantId, metadata: Metadata) -> None:
    known = set(connection.scalars(select(tables.metadata_keys.c.key).where(tables.metadata_keys.c.tenant == tenant)))
    for key in sorted(set(metadata) - known):
        insert_if_absent(connection, tables.metadata_keys, {"tenant": tenant, "key": key})
