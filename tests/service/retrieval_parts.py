"""Constructed chunks, passages and results for the tests of retrieval."""

from __future__ import annotations

from datetime import UTC, datetime

from ingestion.corpus.records import (
    Chunk,
    ChunkId,
    Document,
    DocumentId,
    DocumentKey,
    ElementKind,
    IndexedChunk,
    Metadata,
    Span,
    VersionId,
)
from ingestion.corpus.scope import TenantId
from service.retrieval.results import Passage, Relevance, RelevanceLabel, SearchResult

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def document_of(name: str, metadata: Metadata | None = None, title: str | None = None) -> Document:
    return Document(
        key=DocumentKey(f"key-{name}"),
        id=DocumentId(name),
        tenant=TenantId("default"),
        collection="default",
        uri=f"docs/{name}.md",
        title=title or name,
        source="upload",
        labels=(),
        metadata=metadata or {},
        media_type="text/markdown",
        content_sha256="0" * 64,
        version=VersionId("v1"),
        chunk_count=1,
        size_bytes=1,
        created_at=WHEN,
        updated_at=WHEN,
    )


def chunk_of(text: str, start: int = 0, heading_path: tuple[str, ...] = ()) -> Chunk:
    return Chunk(0, Span(start, start + len(text)), text, heading_path, (ElementKind.PARAGRAPH,), 1)


def indexed(name: str, text: str, document: Document | None = None, *, start: int = 0) -> IndexedChunk:
    return IndexedChunk(ChunkId(f"chunk-{name}"), chunk_of(text, start, ("Steps",)), document or document_of(name))


def passage(name: str, text: str, score: float = 0.9, metadata: Metadata | None = None) -> Passage:
    return Passage(indexed(name, text, document_of(name, metadata)), score)


def result(*passages: Passage, label: RelevanceLabel = RelevanceLabel.STRONG, confidence: float = 0.9) -> SearchResult:
    return SearchResult(tuple(passages), Relevance(label, confidence), len(passages))
