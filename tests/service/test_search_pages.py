"""Pages of one size follow each other without holes and repeats, however deep, grouped, folded or sorted."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.corpus.records import DocumentSource
from service.retrieval.candidates import WIDE
from service.retrieval.query import MAX_OFFSET, SearchMode, SearchQuery, SortOrder
from service.retrieval.results import SearchResult
from service.retrieval.search import Searcher
from service.settings import RetrievalSettings
from tests.ingestion.corpora import SCOPE, open_bench, settings_for
from tests.ingestion.corpora import markdown as document

WORDS = ("pump", "valve", "pressure", "alarm", "tank", "sensor", "leak", "restart", "check", "close")


def documents() -> Iterator[DocumentSource]:
    """Short documents out of few words, so that many candidates are alike and some are equal."""
    chosen = random.Random(5)
    for number in range(90):
        parts = [" ".join(chosen.choices(WORDS, k=chosen.randint(3, 6))) for _ in range(chosen.randint(1, 2))]
        text = "\n\n".join(f"## Part {at}\n\nThe {part} in the plant." for at, part in enumerate(parts))
        yield document(f"doc-{number:02}", text, title="Plant")


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Searcher]:
    with open_bench(settings_for(tmp_path_factory.mktemp("pages"), models_dir)) as bench:
        bench.ingest(*documents())
        yield Searcher(bench.corpus, RetrievalSettings(candidates=20))


def pages(searcher: Searcher, query: dict[str, object], limit: int) -> list[SearchResult]:
    found = []
    for offset in range(0, MAX_OFFSET, limit):
        page = searcher.search(SCOPE, SearchQuery(**(query | {"limit": limit, "offset": offset})))  # type: ignore[arg-type]
        if not page.passages:
            break
        found.append(page)
    return found


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.sampled_from(("pump pressure alarm", "close the valve", "leak", 'restart "tank sensor"')),
    mode=st.sampled_from(SearchMode),
    limit=st.sampled_from((7, 23, 60)),
    group=st.booleans(),
    fold=st.sampled_from((None, False, True)),
    sort=st.sampled_from(SortOrder),
)
def test_pages_are_one_list(
    searcher: Searcher, text: str, mode: SearchMode, limit: int, group: bool, fold: bool | None, sort: SortOrder
) -> None:
    query: dict[str, object] = {"text": text, "mode": mode, "group_by_document": group, "fold": fold, "sort": sort}
    found = pages(searcher, query, limit)
    listed = [passage for page in found for passage in page.passages]

    ids = [passage.indexed.id for passage in listed]
    assert len(set(ids)) == len(ids)
    assert all(len(page.passages) == limit for page in found[:-1])
    if group:
        assert len({passage.indexed.document.key for passage in listed}) == len(listed)
    if found:
        last = found[-1]
        assert last.complete
        assert all(page.total <= last.total for page in found)
        assert all(page.total == last.total for page in found if page.complete)
        if not SearchQuery(**query).folds:  # type: ignore[arg-type]
            assert last.total == len(listed)
        else:
            assert last.total >= len(listed)
    if sort is not SortOrder.RELEVANCE:
        times = [passage.indexed.document.updated_at for passage in listed]
        assert times == sorted(times, reverse=sort is SortOrder.NEWEST)


def test_the_first_page_is_the_same_however_many_are_asked_for(searcher: Searcher) -> None:
    whole = searcher.search(SCOPE, SearchQuery("pump pressure alarm", limit=100))

    for limit in (1, 10, 19, 20, 21, 60):
        page = searcher.search(SCOPE, SearchQuery("pump pressure alarm", limit=limit))
        expected = [passage.indexed.id for passage in whole.passages[:limit]]
        assert [passage.indexed.id for passage in page.passages] == expected


def test_the_deepest_page_is_within_what_the_legs_are_asked_for() -> None:
    assert MAX_OFFSET + 100 <= WIDE
