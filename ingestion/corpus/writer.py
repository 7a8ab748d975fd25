"""The write side of the corpus: a version is staged, filled, published and swept, in that order.

Index and catalogue are two stores without a common transaction. The order of the writes makes up for it:
readers believe the catalogue, the catalogue flips last, and what a crash leaves behind is known to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus.catalog import Catalog, PublishOutcome
from ingestion.corpus.index.engine import IndexEngine, IndexPoint
from ingestion.corpus.literal import LiteralText
from ingestion.corpus.records import (
    Chunk,
    ChunkId,
    DocumentDraft,
    DocumentId,
    DocumentKey,
    OutlineEntry,
    ParsedDocument,
    VersionId,
    chunk_id,
)
from ingestion.corpus.scope import Scope
from ingestion.corpus.sparse import SparseEncoder
from ingestion.corpus.stemming import language_of
from ingestion.corpus.sweeping import Sweeper

_LOOKUP = 500


@dataclass(frozen=True, slots=True)
class EmbeddedChunk:
    """A chunk with its embedding, `(dim,) float32`, the key of the text that was embedded, and the text that exact
    search compares.
    """

    chunk: Chunk
    embedding_key: str
    dense: NDArray[np.float32]
    literal: LiteralText


class CorpusWriter:
    """Writes into one generation, and removes from all. Safe from several threads."""

    def __init__(
        self, catalog: Catalog, index: IndexEngine, sparse: SparseEncoder, sweeper: Sweeper, generation: str
    ) -> None:
        self.catalog = catalog
        self._index = index
        self._sparse = sparse
        self._generation = generation
        self._sweeper = sweeper

    def stage(
        self, scope: Scope, draft: DocumentDraft, document: ParsedDocument, outline: Sequence[OutlineEntry]
    ) -> None:
        """Announce a version; nothing of it is served yet. Raises: Overtaken."""
        self.catalog.stage(scope, draft, document, outline, self._generation)

    def known_vectors(self, scope: Scope, keys: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The embeddings that the tenant's chunks already have, by embedding key."""
        chunks = self.catalog.embedded(scope, self._generation, keys)
        vectors: dict[ChunkId, NDArray[np.float32]] = {}
        ids = list(chunks.values())
        for start in range(0, len(ids), _LOOKUP):
            vectors |= self._index.vectors(scope, ids[start : start + _LOOKUP])
        return {key: vectors[id_] for key, id_ in chunks.items() if id_ in vectors}

    def add_chunks(self, scope: Scope, draft: DocumentDraft, chunks: Sequence[EmbeddedChunk]) -> None:
        """Store some chunks of a staged version. Raises: Overtaken if it was retired meanwhile."""
        rows = [(chunk.chunk, chunk.embedding_key, chunk.literal) for chunk in chunks]
        self.catalog.add_chunks(scope, draft, rows, self._generation)
        self._index.upsert(scope, [self._point(draft, chunk.chunk, chunk.dense) for chunk in chunks])

    def publish(self, scope: Scope, draft: DocumentDraft, *, chunk_count: int) -> PublishOutcome:
        """Make a staged version the one that readers see, and remove the one before it.

        Raises: Overtaken if another generation is the active one by now, or the version was retired meanwhile.
        """
        outcome = self.catalog.publish(scope, draft, chunk_count=chunk_count, generation=self._generation)
        self._sweeper.sweep_documents(scope, [draft.key])
        return outcome

    def admit(self, scope: Scope, draft: DocumentDraft, *, chunk_count: int) -> bool:
        """Make a staged version part of a generation that is being built; False if the document has changed since."""
        admitted = self.catalog.admit(scope, draft, chunk_count=chunk_count)
        if not admitted:
            self._sweeper.sweep_documents(scope, [draft.key])
        return admitted

    def delete(self, scope: Scope, key: DocumentKey) -> None:
        """Remove a document and what was attached to it. When this returns no reader can find them."""
        self._sweeper.sweep_documents(scope, self.catalog.remove_document(scope, key))

    def delete_all(self, scope: Scope, keys: Sequence[DocumentKey]) -> list[DocumentKey]:
        """Remove documents and what was attached to them, for readers all at once; returns those that there were."""
        removed = self.catalog.remove_documents(scope, keys)
        self._sweeper.sweep_documents(scope, removed)
        return removed

    def delete_attachments(self, scope: Scope, key: DocumentKey, *, keep: Collection[DocumentId]) -> None:
        """Remove what was attached to a document and no longer is."""
        for id_, attachment in self.catalog.attachments(scope, key).items():
            if id_ not in keep:
                self.delete(scope, attachment)

    def sweep(self, *, staged_before: datetime) -> int:
        """Remove what dead processes left: retired versions, and those staged before that time. Returns how many."""
        return self._sweeper.sweep(staged_before=staged_before)

    def points(self, scope: Scope) -> Iterator[tuple[ChunkId, DocumentKey, VersionId]]:
        """Everything that the index holds within the scope, in id order: for reconciliation, not for requests."""
        return self._index.scan(scope)

    def flush(self) -> None:
        """Make the index durable; may stall readers for some tenths of a second."""
        self._index.flush()

    def _point(self, draft: DocumentDraft, chunk: Chunk, dense: NDArray[np.float32]) -> IndexPoint:
        return IndexPoint(
            id=chunk_id(draft.key, draft.version, chunk.position),
            document_key=draft.key,
            document_id=draft.id,
            version=draft.version,
            collection=draft.collection,
            labels=draft.labels,
            dense=dense,
            sparse=self._sparse.encode_document(
                chunk.context + chunk.text,
                title=draft.title,
                heading_path=chunk.heading_path,
                language=language_of(draft.metadata),
            ),
            source=draft.source,
            title=draft.title,
            updated_at=draft.updated_at,
            metadata=draft.metadata,
        )
