"""Search on a real corpus: all modes, exact hits, paging, grouping, selection, highlights, bad input."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ingestion.corpus.corpus import Selection
from ingestion.corpus.filters import Filter
from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import InvalidRequest
from service.quality.golden import GoldenCase, evaluate
from service.retrieval.query import SearchMode, SearchQuery
from service.retrieval.results import RelevanceLabel, SearchResult
from service.retrieval.search import Searcher
from service.settings import RetrievalSettings
from tests.ingestion.corpora import SCOPE, Bench, open_bench, settings_for
from tests.service.search_corpus import DOCUMENTS


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Bench]:
    with open_bench(settings_for(tmp_path_factory.mktemp("search"), models_dir)) as bench:
        bench.ingest(*DOCUMENTS)
        yield bench


@pytest.fixture(scope="module")
def searcher(bench: Bench) -> Searcher:
    return Searcher(bench.corpus, RetrievalSettings())


def _documents(result: SearchResult) -> list[str]:
    return [passage.indexed.document.id for passage in result.passages]


@pytest.mark.parametrize("mode", [SearchMode.HYBRID, SearchMode.SEMANTIC, SearchMode.KEYWORD])
def test_each_mode_finds_the_document_and_says_which_leg_did(searcher: Searcher, mode: SearchMode) -> None:
    result = searcher.search(SCOPE, SearchQuery("restart the gateway instances", mode=mode))

    assert _documents(result)[0] == "gateway"
    assert result.relevance.label is not RelevanceLabel.NONE
    first = result.passages[0].scores
    assert (first.dense is not None) == (mode is not SearchMode.KEYWORD)
    assert (first.sparse is not None) == (mode is not SearchMode.SEMANTIC)
    scores = [passage.score for passage in result.passages]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert set(result.timings_ms) == {"embed", "search", "rerank", "total"}


def test_exact_mode_finds_what_like_would_and_counts_it(searcher: Searcher) -> None:
    result = searcher.search(SCOPE, SearchQuery("THE LOCK", mode=SearchMode.EXACT))

    assert set(_documents(result)) == {"billing"}
    assert result.total == len(result.passages)
    assert result.relevance.label is RelevanceLabel.STRONG
    for passage in result.passages:
        chunk = passage.indexed.chunk
        found = [chunk.text[span.start - chunk.span.start : span.end - chunk.span.start] for span in passage.highlights]
        assert found
        assert {text.casefold() for text in found} == {"the lock"}
    assert searcher.search(SCOPE, SearchQuery("lock the", mode=SearchMode.EXACT)).total == 0


def test_punctuation_alone_can_be_searched_exactly(searcher: Searcher) -> None:
    result = searcher.search(SCOPE, SearchQuery("/", mode=SearchMode.EXACT))

    assert _documents(result) == ["gateway"]
    assert result.relevance.label is RelevanceLabel.STRONG


@pytest.mark.parametrize(
    "query", ["LDG-1107", "ldg-1107 gateway restart instances requests", '"idle in transaction" gateway']
)
def test_an_identifier_or_phrase_stays_on_the_first_page_however_small(searcher: Searcher, query: str) -> None:
    result = searcher.search(SCOPE, SearchQuery(query, limit=1))

    assert _documents(result) == ["billing"]


def test_a_misspelt_query_finds_its_document(searcher: Searcher) -> None:
    assert _documents(searcher.search(SCOPE, SearchQuery("how to restrat teh gatway")))[0] == "gateway"


@pytest.mark.parametrize("question", ["What is the capital of France?", "how to bake sourdough bread"])
def test_off_topic_questions_are_not_relevant(searcher: Searcher, question: str) -> None:
    assert searcher.search(SCOPE, SearchQuery(question)).relevance.label is RelevanceLabel.NONE


def test_pages_follow_each_other_and_repeat(searcher: Searcher) -> None:
    whole = searcher.search(SCOPE, SearchQuery("gateway lock lag", limit=6))
    pages = [searcher.search(SCOPE, SearchQuery("gateway lock lag", limit=2, offset=offset)) for offset in (0, 2, 4)]

    paged = [passage.indexed.id for page in pages for passage in page.passages]
    assert paged == [passage.indexed.id for passage in whole.passages]
    assert {page.total for page in pages} == {whole.total}
    again = searcher.search(SCOPE, SearchQuery("gateway lock lag", limit=6))
    assert again.passages == whole.passages


def test_grouping_gives_each_document_once(searcher: Searcher) -> None:
    result = searcher.search(SCOPE, SearchQuery("gateway", group_by_document=True))

    assert len(set(_documents(result))) == len(result.passages) == result.total
    assert _documents(result)[0] == "gateway"


def test_selection_and_tenant_are_kept(searcher: Searcher) -> None:
    office = searcher.search(SCOPE, SearchQuery("gateway", selection=Selection(("office",))))
    filtered = Filter.model_validate({"must": [{"key": "metadata.team", "in": ["payments"]}]})
    payments = searcher.search(SCOPE, SearchQuery("gateway", selection=Selection(filter=filtered)))
    stranger = searcher.search(Scope(TenantId("other")), SearchQuery("gateway GH-5021"))

    assert set(_documents(office)) == {"holidays"}
    assert set(_documents(payments)) == {"billing"}
    assert stranger.passages == ()
    assert (stranger.total, stranger.relevance.label) == (0, RelevanceLabel.NONE)


def test_a_filter_on_an_unknown_field_is_named(searcher: Searcher) -> None:
    unknown = Filter.model_validate({"must": [{"key": "metadata.nonesuch", "in": ["x"]}]})

    with pytest.raises(InvalidRequest):
        searcher.search(SCOPE, SearchQuery("gateway", selection=Selection(filter=unknown)))


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"text": " \n"}, "/query"),
        ({"text": "é" * 4001}, "/query"),
        ({"limit": 0}, "/limit"),
        ({"limit": 101}, "/limit"),
        ({"offset": -1}, "/offset"),
    ],
)
def test_bad_input_is_named(changes: dict[str, object], pointer: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        SearchQuery(**({"text": "gateway"} | changes))  # type: ignore[arg-type]

    assert caught.value.pointer == pointer


def test_highlights_can_be_left_out_and_lie_in_their_chunk(searcher: Searcher) -> None:
    shown = searcher.search(SCOPE, SearchQuery("restarting the gateway"))
    plain = searcher.search(SCOPE, SearchQuery("restarting the gateway", highlight=False))

    assert any(passage.highlights for passage in shown.passages)
    assert not any(passage.highlights for passage in plain.passages)
    for passage in shown.passages:
        assert all(passage.indexed.chunk.span.contains(span) for span in passage.highlights)


def test_threads_get_the_same_answers(searcher: Searcher) -> None:
    queries = [SearchQuery(text) for text in ("restart gateway", "LDG-1107", "consumer lag", "holidays")]
    alone = [searcher.search(SCOPE, query).passages for query in queries]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda query: searcher.search(SCOPE, query).passages, queries * 5))

    assert together == alone * 5


def test_evaluation_ranks_documents(searcher: Searcher) -> None:
    cases = [
        GoldenCase(id="1", question="restart the gateway", relevant_documents=("gateway.md",)),
        GoldenCase(id="2", question="restart the gateway", relevant_documents=("nonesuch",)),
        GoldenCase(id="3", question="capital of France", must_refuse=True),
    ]
    evaluation = evaluate(searcher, SCOPE, cases)

    assert [outcome.rank for outcome in evaluation.outcomes] == [1, None, None]
    assert evaluation.hit_rate(1) == evaluation.mean_reciprocal_rank() == 0.5


def test_a_misspelt_word_finds_what_it_is_taken_for_and_says_so(searcher: Searcher) -> None:
    result = searcher.search(SCOPE, SearchQuery("restart the gatewya", mode=SearchMode.KEYWORD))

    assert _documents(result)[0] == "gateway"
    assert result.corrections == (("gatewya", "gateway"),)
    assert searcher.search(SCOPE, SearchQuery("restart the gateway")).corrections == ()


def test_a_correction_that_no_readable_hit_shows_is_not_told(searcher: Searcher) -> None:
    nobody = Scope(TenantId("default"), frozenset({"nothing"}))

    for scope in (nobody, Scope(TenantId("other"))):
        result = searcher.search(scope, SearchQuery("restart the gatewya"))
        shown = " ".join(passage.indexed.chunk.text for passage in result.passages)
        assert result.corrections == () or "gateway" in shown.casefold()


def test_synonyms_of_a_file_find_what_is_written_otherwise(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "synonyms.txt").write_text("edgeproxy, gateway\n")
    query = SearchQuery("edgeproxy", mode=SearchMode.KEYWORD, explain=True)

    plain = Searcher(bench.corpus, RetrievalSettings()).search(SCOPE, query)
    knowing = Searcher(bench.corpus, RetrievalSettings(synonyms=tmp_path / "synonyms.txt")).search(SCOPE, query)

    assert "gateway" not in _documents(plain)
    assert "gateway" in _documents(knowing)
    assert knowing.explanation is not None
    assert knowing.explanation.synonyms == {"edgeproxy": ("gateway",)}
