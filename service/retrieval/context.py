"""Context packs: the passages about a ticket, log or question, within an exact budget of tokens; no language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ingestion.corpus.corpus import EVERYTHING, Corpus, Selection
from ingestion.corpus.records import ChunkId, DocumentKey
from ingestion.corpus.scope import Scope
from ingestion.errors import InvalidRequest
from service.retrieval.distilling import distill
from service.retrieval.packing.choosing import Choice, merge, select
from service.retrieval.packing.filling import Filler, Room
from service.retrieval.packing.records import ContextPack, ContextPassage, Dropped, DropReason
from service.retrieval.packing.replaced import Replaced, find_replaced
from service.retrieval.packing.stretches import Neighbours, Stretch
from service.retrieval.query import SearchQuery
from service.retrieval.relevance import NOTHING
from service.retrieval.results import Passage, RelevanceLabel, SearchResult
from service.retrieval.search import Searcher
from service.retrieval.tokens import DEFAULT_ENCODING, TokenCounter

MAX_TEXT_BYTES = 100_000
MIN_BUDGET, MAX_BUDGET = 16, 200_000
MAX_PASSAGES = 50
_PER_QUERY = 30


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


class ContextBuilder:
    """Builds packs from searches; equal inputs over one index give equal bytes. Safe from several threads."""

    def __init__(self, searcher: Searcher, corpus: Corpus, counter: TokenCounter) -> None:
        self._searcher = searcher
        self._corpus = corpus
        self._counter = counter

    def build(self, scope: Scope, query: ContextQuery) -> ContextPack:
        """The most relevant passages that fit. Raises: InvalidRequest for an unknown encoding or a bad filter."""
        self._counter.count("", query.encoding)
        queries = distill(query.text)
        results = tuple(self._search(scope, text, query.selection) for text in queries)
        relevance = max((result.relevance for result in results), key=lambda r: r.confidence, default=NOTHING)
        if relevance.label is RelevanceLabel.NONE:
            return ContextPack("", (), 0, (), relevance, queries, results)
        passages = merge(results)
        replaced = self._find_replaced(scope, passages)
        choice = select(passages, replaced)
        filler = self._fill(scope, query, choice, replaced)
        context = filler.text()
        return ContextPack(
            context,
            _numbered(filler, passages),
            self._counter.count(context, query.encoding),
            _left_out(passages, choice, filler, query.max_passages),
            relevance,
            queries,
            results,
        )

    def _search(self, scope: Scope, text: str, selection: Selection) -> SearchResult:
        return self._searcher.search(
            scope, SearchQuery(text, limit=_PER_QUERY, selection=selection, highlight=False, fold=False)
        )

    def _find_replaced(self, scope: Scope, passages: Sequence[Passage]) -> dict[DocumentKey, Replaced]:
        chunks = [passage.indexed for passage in passages]
        with self._corpus.pinned() as view:
            openings = view.read_openings(scope, chunks)
        return find_replaced([chunk.document for chunk in chunks], openings)

    def _fill(
        self, scope: Scope, query: ContextQuery, choice: Choice, replaced: Mapping[DocumentKey, Replaced]
    ) -> Filler:
        with self._corpus.pinned() as view:
            placed = view.read_around(scope, [passage.indexed.id for passage in choice.kept])
        count = partial(self._counter.count, encoding=query.encoding)
        # What is unlikely by itself may well complete a passage; what is told elsewhere, or outdated, may not.
        barred = frozenset(drop.chunk_id for drop in choice.dropped if drop.reason is not DropReason.NOT_RELEVANT)
        notes = {key: entry.note for key, entry in replaced.items()}
        filler = Filler(Room(query.budget_tokens, query.max_passages, count), Neighbours(placed), barred, notes)
        filler.fill(choice.kept)
        return filler


def _numbered(filler: Filler, passages: Sequence[Passage]) -> tuple[ContextPassage, ...]:
    scores = {passage.indexed.id: passage.score for passage in passages}
    return tuple(_passage(n, stretch, filler, scores) for n, stretch in enumerate(filler.stretches, start=1))


def _passage(n: int, stretch: Stretch, filler: Filler, scores: Mapping[ChunkId, float]) -> ContextPassage:
    ids = tuple(placed.indexed.id for placed in stretch.chunks)
    best = max(ids, key=lambda id_: scores.get(id_, 0.0))
    return ContextPassage(
        n=n,
        tokens=filler.size(stretch),
        score=scores.get(best, 0.0),
        document=stretch.first.document,
        chunk_id=best,
        heading_path=stretch.first.chunk.heading_path,
        span=stretch.span,
        chunk_ids=ids,
        truncated=stretch.cut is not None,
        note=filler.notes.get(stretch.first.document.key),
    )


def _left_out(passages: Sequence[Passage], choice: Choice, filler: Filler, max_passages: int) -> tuple[Dropped, ...]:
    """Everything that was found and is not in the pack, best first."""
    held = {placed.indexed.id for stretch in filler.stretches for placed in stretch.chunks}
    known = {drop.chunk_id: drop for drop in choice.dropped}
    full = len(filler.stretches) == max_passages
    unfit = DropReason.MAX_PASSAGES if full else DropReason.BUDGET
    ids = (passage.indexed.id for passage in passages)
    return tuple(known.get(id_) or Dropped(id_, unfit) for id_ in ids if id_ not in held)
