"""Context packs: the passages about a ticket, log or question, within an exact budget of tokens; no language model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from ingestion.corpus.corpus import EVERYTHING, Selection
from ingestion.corpus.records import ChunkId, Document, IndexedChunk, Span
from ingestion.corpus.scope import Scope
from ingestion.errors import InvalidRequest
from service.retrieval.distilling import distill
from service.retrieval.query import SearchQuery
from service.retrieval.relevance import NOTHING
from service.retrieval.results import Passage, Relevance, RelevanceLabel, SearchResult
from service.retrieval.search import Searcher
from service.retrieval.superseding import is_superseded
from service.retrieval.tokens import DEFAULT_ENCODING, TokenCounter

MAX_TEXT_BYTES = 100_000
MIN_BUDGET, MAX_BUDGET = 16, 200_000
MAX_PASSAGES = 50
LEAST_SHARE = 0.1
"""A passage whose score is less than this share of the best one's only fills the budget."""
_PER_QUERY = 30
_SEPARATOR = "\n\n"
_SHINGLE = 5
_SAME = 0.9


class DropReason(StrEnum):
    """Why a passage that was found is not in the pack. Stable."""

    NOT_RELEVANT = "not_relevant"
    DUPLICATE = "duplicate"
    SUPERSEDED = "superseded"
    BUDGET = "budget"
    MAX_PASSAGES = "max_passages"


@dataclass(frozen=True, slots=True)
class ContextQuery:
    """What a pack is wanted for: `text` may be noisy. Raises: InvalidRequest with the pointer of what is wrong."""

    text: str
    budget_tokens: int
    encoding: str = DEFAULT_ENCODING
    max_passages: int = MAX_PASSAGES
    selection: Selection = EVERYTHING

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise InvalidRequest("the text is empty", pointer="/text")
        if len(self.text.encode("utf-8", "surrogatepass")) > MAX_TEXT_BYTES:
            raise InvalidRequest(f"the text is longer than {MAX_TEXT_BYTES} bytes", pointer="/text")
        if not MIN_BUDGET <= self.budget_tokens <= MAX_BUDGET:
            detail = f"budget_tokens must be from {MIN_BUDGET} to {MAX_BUDGET}"
            raise InvalidRequest(detail, pointer="/budget_tokens")
        if not 1 <= self.max_passages <= MAX_PASSAGES:
            raise InvalidRequest(f"max_passages must be from 1 to {MAX_PASSAGES}", pointer="/max_passages")


@dataclass(frozen=True, slots=True)
class ContextPassage:
    """Passage `n` of a pack. `span` points into the document's text; `tokens` counts its block with the header."""

    n: int
    tokens: int
    score: float
    document: Document
    chunk_id: ChunkId
    heading_path: tuple[str, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Dropped:
    chunk_id: ChunkId
    reason: DropReason


@dataclass(frozen=True, slots=True)
class ContextPack:
    """`tokens` counts `context` exactly, and never exceeds the budget; nothing relevant gives an empty context."""

    context: str
    passages: tuple[ContextPassage, ...]
    tokens: int
    dropped: tuple[Dropped, ...]
    relevance: Relevance
    queries_used: tuple[str, ...]


class ContextBuilder:
    """Builds packs from searches; equal inputs over one index give equal bytes. Safe from several threads."""

    def __init__(self, searcher: Searcher, counter: TokenCounter) -> None:
        self._searcher = searcher
        self._counter = counter

    def build(self, scope: Scope, query: ContextQuery) -> ContextPack:
        """The most relevant passages that fit. Raises: InvalidRequest for an unknown encoding or a bad filter."""
        self._counter.count("", query.encoding)
        queries = distill(query.text)
        results = [
            self._searcher.search(
                scope, SearchQuery(text, limit=_PER_QUERY, selection=query.selection, highlight=False)
            )
            for text in queries
        ]
        relevance = max((result.relevance for result in results), key=lambda r: r.confidence, default=NOTHING)
        if relevance.label is RelevanceLabel.NONE:
            return ContextPack("", (), 0, (), relevance, queries)
        kept, dropped = select(merge(results))
        chosen, unfit = self._pack(kept, query)
        context = _SEPARATOR.join(block for _, block in chosen)
        return ContextPack(
            context,
            tuple(passage for passage, _ in chosen),
            self._counter.count(context, query.encoding),
            (*dropped, *unfit),
            relevance,
            queries,
        )

    def _pack(
        self, passages: Sequence[Passage], query: ContextQuery
    ) -> tuple[list[tuple[ContextPassage, str]], list[Dropped]]:
        """Numbered blocks that fit together, best first, and what did not fit. A shorter one may follow a longer."""
        chosen: list[tuple[ContextPassage, str]] = []
        dropped: list[Dropped] = []
        used = 0
        for passage in passages:
            if len(chosen) == query.max_passages:
                dropped.append(Dropped(passage.indexed.id, DropReason.MAX_PASSAGES))
                continue
            block = render(len(chosen) + 1, passage.indexed, passage.indexed.chunk.text)
            tokens = self._counter.count(block + _SEPARATOR, query.encoding)
            if used + tokens > query.budget_tokens:
                dropped.append(Dropped(passage.indexed.id, DropReason.BUDGET))
                continue
            used += tokens
            chosen.append((_numbered(len(chosen) + 1, tokens, passage), block))
        # Tokens may join across blocks in ways that no sum foresees: the whole is counted, and it decides.
        while chosen and not self._fits(_SEPARATOR.join(block for _, block in chosen), query):
            last, _ = chosen.pop()
            dropped.append(Dropped(last.chunk_id, DropReason.BUDGET))
        if not chosen and passages and (part := self._first_lines(passages[0], query)) is not None:
            dropped = [drop for drop in dropped if drop.chunk_id != part[0].chunk_id]
            chosen = [part]
        return chosen, dropped

    def _fits(self, text: str, query: ContextQuery) -> bool:
        return self._counter.count(text, query.encoding) <= query.budget_tokens

    def _first_lines(self, passage: Passage, query: ContextQuery) -> tuple[ContextPassage, str] | None:
        """As many whole lines of the best passage as fit alone, with the span of just those; None if not one does."""
        text = passage.indexed.chunk.text
        ends = [match.start() for match in re.finditer(r"\n|\Z", text) if text[: match.start()].strip()]
        low, high = 0, len(ends)
        while low < high:
            middle = (low + high + 1) // 2
            if self._fits(render(1, passage.indexed, text[: ends[middle - 1]]), query):
                low = middle
            else:
                high = middle - 1
        if low == 0:
            return None
        block = render(1, passage.indexed, text[: ends[low - 1]])
        numbered = _numbered(1, self._counter.count(block, query.encoding), passage)
        return replace(numbered, span=Span(numbered.span.start, numbered.span.start + ends[low - 1])), block


def merge(results: Iterable[SearchResult]) -> list[Passage]:
    """The passages of several searches, each once with its best score, best first; ties by rank, then id.

    A search that found nothing relevant adds nothing.
    """
    best: dict[ChunkId, tuple[float, int, ChunkId, Passage]] = {}
    for result in results:
        if result.relevance.label is RelevanceLabel.NONE:
            continue
        for rank, passage in enumerate(result.passages):
            id_ = passage.indexed.id
            entry = (-passage.score, rank, id_, passage)
            if id_ not in best or entry[:3] < best[id_][:3]:
                best[id_] = entry
    return [entry[3] for entry in sorted(best.values(), key=lambda entry: entry[:3])]


def select(passages: Iterable[Passage]) -> tuple[list[Passage], list[Dropped]]:
    """Passages worth a place, and those that are not: too unlikely, superseded, or told already."""
    passages = list(passages)
    least = LEAST_SHARE * max((passage.score for passage in passages), default=0.0)
    kept: list[Passage] = []
    dropped: list[Dropped] = []
    shingles: list[frozenset[tuple[str, ...]]] = []
    for passage in passages:
        words = _shingles(passage.indexed.chunk.text)
        if passage.score < least:
            reason = DropReason.NOT_RELEVANT
        elif is_superseded(passage.indexed.document.metadata):
            reason = DropReason.SUPERSEDED
        elif any(_overlap(words, other) >= _SAME for other in shingles):
            reason = DropReason.DUPLICATE
        else:
            kept.append(passage)
            shingles.append(words)
            continue
        dropped.append(Dropped(passage.indexed.id, reason))
    return kept, dropped


def render(n: int, indexed: IndexedChunk, text: str) -> str:
    """One block: number, title and heading path; the uri; the text as it stands in the document."""
    path = " > ".join(" ".join(part.split()) for part in (indexed.document.title, *indexed.chunk.heading_path))
    return f"[{n}] {path}\nSource: {' '.join(indexed.document.uri.split())}\n{text}"


def _numbered(n: int, tokens: int, passage: Passage) -> ContextPassage:
    chunk = passage.indexed.chunk
    document = passage.indexed.document
    return ContextPassage(n, tokens, passage.score, document, passage.indexed.id, chunk.heading_path, chunk.span)


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    """Runs of _SHINGLE words; the whole text if it is shorter."""
    words = re.findall(r"\w+", text.casefold()) or [text]
    return frozenset(tuple(words[at : at + _SHINGLE]) for at in range(max(1, len(words) - _SHINGLE + 1)))


def _overlap(first: frozenset[tuple[str, ...]], second: frozenset[tuple[str, ...]]) -> float:
    """Jaccard similarity; 0 where the sizes alone rule out _SAME."""
    if min(len(first), len(second)) < _SAME * max(len(first), len(second)):
        return 0.0
    common = len(first & second)
    return common / (len(first) + len(second) - common)
