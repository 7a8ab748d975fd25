"""Asks each query both ways, on the real table and of the searcher, and says what differs and how long each took."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from time import perf_counter
from typing import Any

from ingestion.corpus.corpus import Corpus, Selection
from ingestion.corpus.records import DocumentId
from ingestion.corpus.scope import Scope
from ingestion.errors import InvalidRequest
from service.quality.parity.building import Tell
from service.quality.parity.explaining import Explainer
from service.quality.parity.queries import objection
from service.quality.parity.records import Gain, Missing, Parity, QueryParity, Reason, Table, Way
from service.quality.parity.table import LikeTable
from service.retrieval.query import MAX_LIMIT, MAX_OFFSET, SearchMode, SearchQuery
from service.retrieval.results import Passage, RelevanceLabel, SearchResult
from service.retrieval.search import Searcher

REACH = MAX_OFFSET + MAX_LIMIT
"""Documents that can be paged to."""
RUNS = 3
"""Times that a page is asked for in each way, after a first time that is not counted."""
_PASSAGE_CHARS = 300

IdsOf = Callable[[Any], tuple[DocumentId, ...]]
"""What the document of a row may be called, by the row's key."""


@dataclass(frozen=True, slots=True)
class Sides:
    """What is compared: a table and a collection, and which document a row is."""

    table: LikeTable
    corpus: Corpus
    searcher: Searcher
    explainer: Explainer
    ids_of: IdsOf

    @property
    def scope(self) -> Scope:
        return self.explainer.scope

    @property
    def selection(self) -> Selection:
        return Selection((self.explainer.collection,))


@dataclass(frozen=True, slots=True)
class Limits:
    """Hits on a page, and the most rows that are compared for one query."""

    page: int = 10
    rows: int = 10_000


def compare(sides: Sides, queries: Sequence[str], limits: Limits, tell: Tell) -> Parity:
    """All queries both ways.

    Raises: InvalidRequest if LIKE found rows and not one of them is a document, since then the ids don't fit;
    SourceUnavailable if the table stops answering.
    """
    found: list[QueryParity] = []
    skipped: list[tuple[str, str]] = []
    for number, query in enumerate(queries):
        tell("asking both", number, len(queries))
        if (why := objection(query)) is not None:
            skipped.append((query, why))
        else:
            found.append(_compare(sides, query, limits))
    table = sides.table
    parity = Parity(
        created_at=datetime.now(UTC),
        version=version("plumbline"),
        table=Table(table.address, table.table, table.key, table.columns, table.operator, table.count()),
        documents=sides.corpus.count_documents(sides.scope),
        collection=sides.explainer.collection,
        page=limits.page,
        queries=tuple(found),
        skipped=tuple(skipped),
    )
    _check_ids(parity)
    return parity


def _compare(sides: Sides, query: str, limits: Limits) -> QueryParity:
    keys = list(dict.fromkeys(sides.table.find(query, limits.rows + 1)))
    rows_cut, keys = len(keys) > limits.rows, keys[: limits.rows]
    ids = {key: sides.ids_of(key) for key in keys}
    known = {id_ for names in ids.values() for id_ in names}
    exact, total = _all_exact(sides, query)
    lost = [key for key, names in ids.items() if exact.isdisjoint(names)]
    page = sides.searcher.search(sides.scope, _page(sides, query, SearchMode.HYBRID, limits.page))
    ranks = [rank for rank, hit in enumerate(page.passages, 1) if hit.indexed.document.id in known]
    return QueryParity(
        query=query,
        rows=len(keys),
        rows_cut=rows_cut,
        exact=len(keys) - len(lost),
        exact_more=0 if rows_cut else len(exact - known),
        on_page=len(ranks),
        best_rank=ranks[0] if ranks else None,
        label=page.relevance.label.value,
        missing=_explained(sides, query, {key: ids[key] for key in lost}, cut=total > REACH),
        gains=() if rows_cut else tuple(_gains(page, known)),
        took_ms=_timed(sides, query, limits.page),
    )


def _all_exact(sides: Sides, query: str) -> tuple[set[DocumentId], int]:
    """Documents that exact search finds, as far as they can be paged to, and how many it says there are."""
    found: set[DocumentId] = set()
    offset, total = 0, 1
    while offset < min(total, REACH):
        asked = _page(sides, query, SearchMode.EXACT, MAX_LIMIT, offset)
        result = sides.searcher.search(sides.scope, asked)
        found.update(hit.indexed.document.id for hit in result.passages)
        total = result.total
        offset += MAX_LIMIT
    return found, total


def _page(sides: Sides, query: str, mode: SearchMode, limit: int, offset: int = 0) -> SearchQuery:
    return SearchQuery(query, mode, limit, offset, sides.selection, group_by_document=True)


def _explained(sides: Sides, query: str, lost: dict[Any, tuple[DocumentId, ...]], *, cut: bool) -> tuple[Missing, ...]:
    rows = sides.table.read(list(lost)) if lost else {}
    found = [sides.explainer.explain(query, key, ids, rows.get(key)) for key, ids in lost.items()]
    # The document holds the string, but there are more of them than can be paged to.
    return tuple(
        Missing(one.row, Reason.CUT) if cut and one.reason is Reason.UNEXPLAINED and not one.detail else one
        for one in found
    )


def _gains(page: SearchResult, known: set[DocumentId]) -> Iterable[Gain]:
    """Documents of the page that LIKE did not find; none if nothing there is relevant."""
    if page.relevance.label is RelevanceLabel.NONE:
        return
    for rank, hit in enumerate(page.passages, 1):
        document = hit.indexed.document
        if document.id not in known:
            yield Gain(document.id, document.title, _shown(hit), hit.score, rank)


def _shown(hit: Passage) -> str:
    """The passage, or so much of it from its first highlight on."""
    chunk = hit.indexed.chunk
    start = 0
    if len(chunk.text) > _PASSAGE_CHARS and hit.highlights:
        first = hit.highlights[0].start - chunk.span.start
        start = max(0, min(first - _PASSAGE_CHARS // 4, len(chunk.text) - _PASSAGE_CHARS))
    end = start + _PASSAGE_CHARS
    before, after = ("… " if start else ""), (" …" if end < len(chunk.text) else "")
    return before + " ".join(chunk.text[start:end].split()) + after


def _timed(sides: Sides, query: str, page: int) -> dict[Way, tuple[float, ...]]:
    """Milliseconds of each run, the ways in turns: what slows the machine for a moment slows them alike."""

    def search(mode: SearchMode) -> Callable[[], object]:
        asked = _page(sides, query, mode, page)
        return lambda: sides.searcher.search(sides.scope, asked)

    ways: dict[Way, Callable[[], object]] = {
        Way.LIKE: lambda: sides.table.find(query, page),
        Way.EXACT: search(SearchMode.EXACT),
        Way.HYBRID: search(SearchMode.HYBRID),
    }
    took: dict[Way, list[float]] = {way: [] for way in ways}
    for ask in ways.values():
        ask()
    for _ in range(RUNS):
        for way, ask in ways.items():
            started = perf_counter()
            ask()
            took[way].append((perf_counter() - started) * 1e3)
    return {way: tuple(values) for way, values in took.items()}


def _check_ids(parity: Parity) -> None:
    rows = sum(query.rows for query in parity.queries)
    absent = parity.missing().get(Reason.NOT_INGESTED, 0)
    if rows and absent == rows:
        raise InvalidRequest(
            f"none of the {rows} rows that LIKE found is a document of the collection {parity.collection!r}: are its "
            f"ids the values of the column {parity.table.key!r}? Without --collection the table is ingested for this"
        )
