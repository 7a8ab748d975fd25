"""The second look in a search on a real corpus: what it changes, what it must not, and what is said about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.retrieval.query import SearchMode, SearchQuery
from service.retrieval.reranking.opening import open_reranker
from service.retrieval.reranking.reranker import Reranker, RerankSkip
from service.retrieval.reranking.second_look import SecondLook, passage_text
from service.retrieval.results import SearchResult
from service.retrieval.search import Searcher
from service.settings import RerankerSettings, RetrievalSettings
from tests.cross_encoders import save_overlap_encoder
from tests.ingestion.corpora import SCOPE, Bench, open_bench, settings_for
from tests.service.retrieval_parts import document_of, indexed
from tests.service.search_corpus import DOCUMENTS

QUERY = "gateway lock lag"
WORDS = ("holidays", "public", "keys", "office")
"""The encoder knows none of the query's words, but these: asked for one of them it puts the office first."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Bench]:
    with open_bench(settings_for(tmp_path_factory.mktemp("search"), models_dir)) as bench:
        bench.ingest(*DOCUMENTS)
        yield bench


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reranker]:
    folder = save_overlap_encoder(tmp_path_factory.mktemp("encoder"), WORDS)
    with open_reranker(RerankerSettings.model_validate({"provider": "local", "model": str(folder)}), folder) as opened:
        yield opened


def searcher(bench: Bench, reranker: Reranker, **settings: object) -> Searcher:
    bounds = RerankerSettings.model_validate({"budget_ms": 60_000, **settings})
    return Searcher(bench.corpus, RetrievalSettings(), SecondLook(reranker, bounds))


def ids(result: SearchResult) -> list[str]:
    return [passage.indexed.id for passage in result.passages]


def test_the_second_look_orders_and_keeps_what_is_there(bench: Bench, reranker: Reranker) -> None:
    query = SearchQuery(f"{QUERY} public keys", limit=50)
    first = Searcher(bench.corpus, RetrievalSettings()).search(SCOPE, query)
    second = searcher(bench, reranker).search(SCOPE, query)

    assert first.passages[0].indexed.document.id != "holidays"
    assert second.passages[0].indexed.document.id == "holidays"
    assert sorted(ids(first)) == sorted(ids(second))
    assert second.rerank.applied
    raw = [passage.scores.rerank for passage in second.passages[: len(second.rerank.scores)]]
    assert raw == sorted(second.rerank.scores, reverse=True)
    scores = [passage.score for passage in second.passages]
    assert scores == sorted(scores, reverse=True)


def test_only_the_first_candidates_are_looked_at(bench: Bench, reranker: Reranker) -> None:
    query = SearchQuery(f"{QUERY} public keys", limit=50)
    first = Searcher(bench.corpus, RetrievalSettings()).search(SCOPE, query)
    second = searcher(bench, reranker, candidates=2).search(SCOPE, query)

    assert len(second.rerank.scores) == 2
    assert sorted(ids(second)[:2]) == sorted(ids(first)[:2])
    assert ids(second)[2:] == ids(first)[2:]
    assert [passage.scores.rerank is None for passage in second.passages] == [False] * 2 + [True] * (
        len(ids(first)) - 2
    )


def test_an_exact_hit_is_not_outvoted_by_a_reranker(bench: Bench, reranker: Reranker) -> None:
    query = SearchQuery("LDG-1107 public keys", limit=1)
    result = searcher(bench, reranker).search(SCOPE, query)

    assert result.rerank.applied
    assert [passage.indexed.document.id for passage in result.passages] == ["billing"]


def test_pages_follow_each_other(bench: Bench, reranker: Reranker) -> None:
    look = searcher(bench, reranker, candidates=3)
    whole = look.search(SCOPE, SearchQuery(f"{QUERY} office", limit=6))
    pages = [look.search(SCOPE, SearchQuery(f"{QUERY} office", limit=2, offset=offset)) for offset in (0, 2, 4)]

    assert [id_ for page in pages for id_ in ids(page)] == ids(whole)
    assert len(ids(whole)) > 3


@pytest.mark.parametrize(
    ("asked", "by_default", "reason"),
    [(None, True, None), (None, False, RerankSkip.NOT_ASKED), (True, False, None), (False, True, RerankSkip.NOT_ASKED)],
)
def test_a_request_goes_before_the_setting(
    bench: Bench, reranker: Reranker, asked: bool | None, by_default: bool, reason: RerankSkip | None
) -> None:
    result = searcher(bench, reranker, by_default=by_default).search(SCOPE, SearchQuery(QUERY, rerank=asked))

    assert result.rerank.skipped is reason
    assert result.rerank.applied == (reason is None)


def test_exact_mode_is_left_as_it_is(bench: Bench, reranker: Reranker) -> None:
    result = searcher(bench, reranker).search(SCOPE, SearchQuery("the", mode=SearchMode.EXACT, rerank=True))

    assert result.rerank.skipped is RerankSkip.EXACT_MODE


def test_asking_for_it_where_there_is_none_says_so(bench: Bench) -> None:
    result = Searcher(bench.corpus, RetrievalSettings()).search(SCOPE, SearchQuery(QUERY, rerank=True))

    assert result.rerank.skipped is RerankSkip.OFF
    assert result.passages


def test_out_of_time_is_the_first_order(bench: Bench, reranker: Reranker) -> None:
    first = Searcher(bench.corpus, RetrievalSettings()).search(SCOPE, SearchQuery(f"{QUERY} public"))
    second = searcher(bench, reranker, budget_ms=1e-6).search(SCOPE, SearchQuery(f"{QUERY} public"))

    assert second.rerank.skipped is RerankSkip.OUT_OF_TIME
    assert second.passages == first.passages
    assert second.relevance == first.relevance


def test_a_passage_is_read_with_its_title_and_headings() -> None:
    document = document_of("a", title="Gateway 502")

    assert passage_text(indexed("a", "Restart it.", document)) == "Gateway 502 > Steps\nRestart it."
