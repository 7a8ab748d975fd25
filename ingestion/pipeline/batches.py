"""Batches of chunks across documents: what must be embedded is embedded together, what has a vector is not again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus.embedding import Embedder
from ingestion.corpus.literal import literal_text
from ingestion.corpus.records import Chunk, DocumentDraft, DocumentId, OutlineEntry, ParsedDocument
from ingestion.corpus.writer import EmbeddedChunk

BATCH_CHUNKS = 256
"""Texts that are embedded together."""
_BATCH_ENTRIES = 4 * BATCH_CHUNKS


@dataclass(slots=True, eq=False)
class Parsed:
    """A document on its way: what is known of it, and how many of its chunks are written."""

    position: int
    draft: DocumentDraft
    document: ParsedDocument
    outline: tuple[OutlineEntry, ...]
    chunks: tuple[Chunk, ...]
    attached_to: DocumentId | None = None
    attachments: set[DocumentId] = field(default_factory=set)
    written: int = 0

    @property
    def is_complete(self) -> bool:
        return self.written == len(self.chunks)


@dataclass(frozen=True, slots=True)
class _Entry:
    parsed: Parsed
    chunk: Chunk
    key: str


class Batch:
    """Chunks that wait to be embedded and written, in the order they came."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._vectors: dict[str, NDArray[np.float32]] = {}
        self._texts: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._entries)

    @property
    def is_full(self) -> bool:
        return len(self._texts) >= BATCH_CHUNKS or len(self._entries) >= _BATCH_ENTRIES

    def holds(self, parsed: Parsed) -> bool:
        """Whether chunks of another version of that document wait here."""
        return any(entry.parsed.draft.key == parsed.draft.key for entry in self._entries)

    def add(self, parsed: Parsed, chunk: Chunk, key: str, vector: NDArray[np.float32] | None) -> None:
        """`key` is the chunk's `embedding_key`; `vector` is what the corpus already has for that key."""
        self._entries.append(_Entry(parsed, chunk, key))
        if vector is not None:
            self._vectors[key] = vector
        elif key not in self._vectors:
            self._texts[key] = embedding_text(parsed.draft.title, chunk)

    def embed(self, embedder: Embedder) -> int:
        """Find the vectors that are missing. Equal texts are embedded once. Returns how many were."""
        if self._texts:
            embeddings = embedder.embed_documents(list(self._texts.values()))
            self._vectors.update(zip(self._texts, embeddings, strict=True))
        return len(self._texts)

    def by_document(self) -> Iterator[tuple[Parsed, list[EmbeddedChunk]]]:
        """Each document's chunks in this batch with their embeddings, once `embed` has been called."""
        for parsed, entries in groupby(self._entries, key=lambda entry: entry.parsed):
            yield parsed, [self._embedded(entry) for entry in entries]

    def _embedded(self, entry: _Entry) -> EmbeddedChunk:
        parsed, chunk = entry.parsed, entry.chunk
        literal = literal_text(parsed.document.text, parsed.chunks, chunk.position)
        return EmbeddedChunk(chunk, entry.key, self._vectors[entry.key], literal)


def embedding_text(title: str, chunk: Chunk) -> str:
    """What is embedded for a chunk: its breadcrumb, what its text needs beside it, and its text."""
    breadcrumb = " > ".join((title, *chunk.heading_path)) if chunk.breadcrumb is None else chunk.breadcrumb
    return f"{breadcrumb}\n\n{chunk.context}{chunk.text}"


def embedding_keys(title: str, chunks: Sequence[Chunk]) -> list[str]:
    """A hash, 32 hex digits, of what is embedded for each chunk: equal keys, equal embeddings."""
    texts = (embedding_text(title, chunk) for chunk in chunks)
    return [hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32] for text in texts]
