"""What a context pack consists of."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from ingestion.corpus.records import ChunkId, Document, Span
from service.retrieval.results import Relevance, SearchResult


class DropReason(StrEnum):
    """Why a passage that was found is not in the pack. Stable."""

    NOT_RELEVANT = "not_relevant"
    DUPLICATE = "duplicate"
    SUPERSEDED = "superseded"
    BUDGET = "budget"
    MAX_PASSAGES = "max_passages"


@dataclass(frozen=True, slots=True)
class ContextPassage:
    """Passage `n` of a pack: one stretch of a document. `span` points into the document's text; `tokens` counts its
    block, header and the blank line after it included.

    `chunk_id` is the best of `chunk_ids`, the chunks that it was joined from, in text order; `heading_path` is that of
    the first. `truncated`: it ends before its last chunk does. `note` says that the document was replaced.
    """

    n: int
    tokens: int
    score: float
    document: Document
    chunk_id: ChunkId
    heading_path: tuple[str, ...]
    span: Span
    chunk_ids: tuple[ChunkId, ...]
    truncated: bool = False
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """A passage that was found and left out; `kept_chunk_id` stands for it, where one does."""

    chunk_id: ChunkId
    reason: DropReason
    kept_chunk_id: ChunkId | None = None


@dataclass(frozen=True, slots=True)
class ContextPack:
    """`tokens` counts `context` exactly, and never exceeds the budget; nothing relevant gives an empty context.

    `results` are those of `queries_used`, in their order.
    """

    context: str
    passages: tuple[ContextPassage, ...]
    tokens: int
    dropped: tuple[Dropped, ...]
    relevance: Relevance
    queries_used: tuple[str, ...]
    results: tuple[SearchResult, ...] = field(default=(), compare=False, repr=False)
