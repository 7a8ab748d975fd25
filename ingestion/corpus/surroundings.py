"""What stands around chunks in their documents: neighbours, the white space between, how a document opens."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Engine, and_, func, select

from ingestion.corpus import tables
from ingestion.corpus.catalog_reader import CatalogReader
from ingestion.corpus.records import ChunkId, DocumentKey, IndexedChunk
from ingestion.corpus.scope import Scope

OPENING_CHARS = 600


@dataclass(frozen=True, slots=True)
class PlacedChunk:
    """A chunk with the text between the one before it and it, nothing but white space; "" before the first."""

    indexed: IndexedChunk
    before: str


class Surroundings:
    """Reads by the ids of chunks; what the scope may not read is left out."""

    def __init__(self, engine: Engine, reader: CatalogReader) -> None:
        self._engine = engine
        self._reader = reader

    def read_around(self, scope: Scope, ids: Collection[ChunkId], reach: int = 1) -> dict[ChunkId, PlacedChunk]:
        """The live ones of these chunks and of up to `reach` before and after each, of the same version."""
        if not ids:
            return {}
        asked, near, last = tables.chunks.alias(), tables.chunks.alias(), tables.chunks.alias()
        versions = tables.versions.c
        between = func.substr(versions.text, last.c.end + 1, near.c.start - last.c.end)
        statement = (
            select(near.c.id, between)
            .select_from(asked)
            .join(
                near,
                and_(
                    near.c.document_key == asked.c.document_key,
                    near.c.version == asked.c.version,
                    near.c.position.between(asked.c.position - reach, asked.c.position + reach),
                ),
            )
            .join(
                tables.versions,
                and_(versions.document_key == near.c.document_key, versions.version == near.c.version),
            )
            .outerjoin(
                last,
                and_(
                    last.c.document_key == near.c.document_key,
                    last.c.version == near.c.version,
                    last.c.position == near.c.position - 1,
                ),
            )
            .where(asked.c.id.in_(list(ids)), versions.tenant == scope.tenant)
        )
        with self._engine.connect() as connection:
            gaps = {ChunkId(id_): gap or "" for id_, gap in connection.execute(statement)}
        # The reader decides what is live and may be seen.
        chunks = self._reader.get_chunks(scope, list(gaps))
        return {id_: PlacedChunk(chunk, gaps[id_]) for id_, chunk in chunks.items()}

    def read_openings(self, scope: Scope, chunks: Collection[IndexedChunk]) -> dict[DocumentKey, str]:
        """The first OPENING_CHARS of the documents that these chunks are of."""
        keys = {chunk.document.key: chunk.document.version for chunk in chunks}
        versions = tables.versions.c
        statement = select(versions.document_key, versions.version, func.substr(versions.text, 1, OPENING_CHARS)).where(
            versions.tenant == scope.tenant, versions.document_key.in_(list(keys))
        )
        with self._engine.connect() as connection:
            rows = connection.execute(statement).all()
        return {DocumentKey(key): text for key, version, text in rows if version == keys[DocumentKey(key)]}
