"""Documents, passages and search results made by hand for the tests of generation."""

from __future__ import annotations

from datetime import UTC, datetime

from ingestion.corpus.records import (
    Chunk,
    Document,
    DocumentId,
    ElementKind,
    IndexedChunk,
    Metadata,
    Span,
    VersionId,
    chunk_id,
    document_key,
)
from ingestion.corpus.scope import Scope, TenantId
from service.retrieval.results import Passage, Relevance, RelevanceLabel, SearchResult

TENANT = TenantId("acme")
SCOPE = Scope(TENANT)
PREFIX = "Some earlier text of the document.\n\n"
"""Stands before every chunk's text, so that a span that forgets the chunk's offset is wrong."""

RESTART = """Drain the host before you restart it. The drain waits 120 seconds for open requests.

1. Restart the gateway:

   ```bash
   kubectl -n edge rollout restart deployment/gatehouse
   ```

2. Watch the error ratio. It must fall below 0.1 % within 2 minutes.
"""
CODES = """| Code | Meaning |
|---|---|
| `GH-5021` | No healthy upstream for the route |
| `GH-5022` | Upstream closed the connection before headers |

Never delete gatehouse pods during an incident.
"""
BACKUPS = "Backups of ledgerd run every night at 02:00 and are kept for 30 days. Restores need version 2.3.1 of dbtool."


def indexed(
    text: str,
    *,
    name: str = "gateway",
    title: str = "Gateway runbook",
    heading_path: tuple[str, ...] = (),
    metadata: Metadata | None = None,
    updated_at: datetime = datetime(2026, 2, 1, tzinfo=UTC),
) -> IndexedChunk:
    """A chunk of a document whose text is `PREFIX + text`."""
    key = document_key(TENANT, "default", DocumentId(name))
    version = VersionId("v1")
    document = Document(
        key=key,
        id=DocumentId(name),
        tenant=TENANT,
        collection="default",
        uri=f"{name}.md",
        title=title,
        source="upload",
        labels=(),
        metadata=metadata or {},
        media_type="text/markdown",
        content_sha256="0" * 64,
        version=version,
        chunk_count=1,
        size_bytes=len(text),
        created_at=updated_at,
        updated_at=updated_at,
    )
    span = Span(len(PREFIX), len(PREFIX) + len(text))
    chunk = Chunk(1, span, text, heading_path, (ElementKind.PARAGRAPH,), len(text.split()))
    return IndexedChunk(chunk_id(key, version, 1), chunk, document)


def found(*chunks: IndexedChunk, label: RelevanceLabel = RelevanceLabel.STRONG) -> SearchResult:
    """A search result with these passages, best first."""
    passages = tuple(Passage(chunk, 0.9 - 0.1 * rank) for rank, chunk in enumerate(chunks))
    return SearchResult(passages, Relevance(label, 0.8), len(passages))


def operations() -> SearchResult:
    """Three passages: restart, error codes, backups."""
    return found(
        indexed(RESTART, name="restart", title="Gateway restart"),
        indexed(CODES, name="codes", title="Error codes"),
        indexed(BACKUPS, name="backups", title="Backups"),
    )
