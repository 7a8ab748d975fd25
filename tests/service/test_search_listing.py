"""Result lists on a real corpus: folding, superseded documents, preferences, sorting, groups, facets, explanations."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion.corpus.corpus import Selection
from ingestion.corpus.records import DocumentSource
from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import InvalidRequest
from service.retrieval.query import Highlighting, Preference, SearchMode, SearchQuery, SortOrder
from service.retrieval.results import Passage, SearchResult
from service.retrieval.search import Searcher
from service.settings import RetrievalSettings
from tests.ingestion.corpora import SCOPE, Bench, markdown, open_bench, settings_for

DRAIN = """When the ferry terminal reports a stuck gate, drain the queue of bookings and restart the gate controller.
Then check that the next ferry is announced on every display of the terminal.
"""
STEPS = (
    "To empty the booking queue of terminal {n}, run `ferryctl queue drain --terminal {n}` and wait for an answer.\n"
)


def at(year: int) -> datetime:
    return datetime(year, 1, 1, tzinfo=UTC)


def document(name: str, text: str, year: int = 2024, **attributes: object) -> DocumentSource:
    return markdown(name, text, title="Ferry terminal", modified_at=at(year), **attributes)


DOCUMENTS = (
    document("gate", DRAIN, 2023, metadata={"team": "ferry", "open": True}, labels=("port",)),
    document("gate-copy", DRAIN.replace("\n", " ") + "\n\n", 2025, source="wiki", metadata={"team": "ferry"}),
    document("terminal-1", STEPS.format(n=1), 2021, metadata={"team": "docks", "levels": ["one", "two"]}),
    document("terminal-2", STEPS.format(n=2), 2022, metadata={"team": "docks", "open": False}, labels=("port", "x")),
    document("old-fares", "The fare of a ferry ticket is printed on the back.\n", 2019,
             metadata={"status": "superseded", "superseded_by": "new-fares"}),
    document("new-fares", "The fare of a ferry ticket is shown at the counter and in the app.\n", 2024,
             collection="sales"),
    document("long", "\n\n".join(f"## Ferry part {n}\n\nThe ferry crew checks life vest {n} before they leave."
                                 for n in ("one", "two", "three")), 2020),
    document("kitchen", "The kitchen serves soup until nine in the evening.\n", 2026),
)  # fmt: skip


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Bench]:
    with open_bench(settings_for(tmp_path_factory.mktemp("listing"), models_dir)) as bench:
        bench.ingest(*DOCUMENTS)
        yield bench


@pytest.fixture(scope="module")
def searcher(bench: Bench) -> Searcher:
    return Searcher(bench.corpus, RetrievalSettings())


def found(result: SearchResult) -> list[str]:
    return [passage.indexed.document.id for passage in result.passages]


def of(result: SearchResult, document: str) -> Passage:
    return next(passage for passage in result.passages if passage.indexed.document.id == document)


def test_a_copy_folds_into_the_better_one_and_can_be_had_back(searcher: Searcher) -> None:
    text = "restart the gate controller of the ferry terminal"
    folded = searcher.search(SCOPE, SearchQuery(text))
    whole = searcher.search(SCOPE, SearchQuery(text, fold=False))

    shown = next(passage for passage in folded.passages if passage.indexed.document.id.startswith("gate"))
    (listed,) = shown.duplicates
    assert {shown.indexed.document.id, listed.document.id} == {"gate", "gate-copy"}
    assert {"gate", "gate-copy"} <= set(found(whole))
    assert not any(passage.duplicates for passage in whole.passages)
    assert folded.total == whole.total == len(whole.passages)


def test_runbooks_that_differ_in_a_number_do_not_fold(searcher: Searcher) -> None:
    result = searcher.search(SCOPE, SearchQuery("empty the booking queue of a terminal"))

    assert {"terminal-1", "terminal-2"} <= set(found(result))


def test_exact_hits_stay_complete_unless_folding_is_asked_for(searcher: Searcher) -> None:
    exact = SearchQuery("gate controller", mode=SearchMode.EXACT)

    assert sorted(found(searcher.search(SCOPE, exact))) == ["gate", "gate-copy"]
    asked = searcher.search(SCOPE, SearchQuery("gate controller", mode=SearchMode.EXACT, fold=True))
    assert len(asked.passages) == 1
    assert asked.total == 2


def test_what_was_superseded_comes_after_its_replacement(searcher: Searcher) -> None:
    result = searcher.search(SCOPE, SearchQuery("fare of a ferry ticket printed on the back", explain=True))

    assert found(result)[:2] == ["new-fares", "old-fares"]
    told = of(result, "old-fares").explanation
    assert told is not None
    assert told.superseded


@pytest.mark.parametrize("sort", [SortOrder.NEWEST, SortOrder.OLDEST])
@pytest.mark.parametrize("group", [False, True])
def test_sorted_by_time_are_the_relevant_ones_only(searcher: Searcher, sort: SortOrder, group: bool) -> None:
    query = SearchQuery("restart the gate controller", sort=sort, fold=False, group_by_document=group)
    result = searcher.search(SCOPE, query)

    times = [passage.indexed.document.updated_at for passage in result.passages]
    assert times == sorted(times, reverse=sort is SortOrder.NEWEST)
    assert {"gate", "gate-copy"} <= set(found(result))
    assert "kitchen" not in found(result)
    assert result.total == len(result.passages)


def test_exact_hits_are_all_sorted_by_time(searcher: Searcher) -> None:
    result = searcher.search(SCOPE, SearchQuery("ferry", mode=SearchMode.EXACT, sort=SortOrder.OLDEST))

    times = [passage.indexed.document.updated_at for passage in result.passages]
    assert times == sorted(times)
    assert result.total == len(times)
    assert found(result)[0] == "old-fares"


def test_a_group_counts_its_other_passages(searcher: Searcher) -> None:
    result = searcher.search(SCOPE, SearchQuery("who checks a life vest on the ferry", group_by_document=True))

    assert found(result)[0] == "long"
    assert len(set(found(result))) == len(found(result))
    chunks = of(result, "long").indexed.document.chunk_count
    assert of(result, "long").others == chunks - 1
    assert result.total == len(DOCUMENTS)


def test_facets_count_documents(searcher: Searcher) -> None:
    names = ("collection", "source", "label", "metadata.team", "metadata.open", "metadata.levels")
    query = SearchQuery("ferry terminal", mode=SearchMode.KEYWORD, facets=names)
    facets = searcher.search(SCOPE, query).facets

    assert facets["collection"] == (("default", 7), ("sales", 1)) or facets["collection"] == (
        ("default", 6),
        ("sales", 1),
    )
    assert dict(facets["source"])["wiki"] == 1
    assert facets["label"] == (("port", 2), ("x", 1))
    assert facets["metadata.team"] == (("docks", 2), ("ferry", 2))
    assert facets["metadata.open"] == (("false", 1), ("true", 1))
    assert facets["metadata.levels"] == (("one", 1), ("two", 1))
    assert list(facets) == list(names)


def test_facets_of_an_exact_search_count_every_document_with_the_string(searcher: Searcher) -> None:
    query = SearchQuery("ferry", mode=SearchMode.EXACT, limit=1, facets=("collection",))
    result = searcher.search(SCOPE, query)

    everywhere = searcher.search(SCOPE, SearchQuery("ferry", mode=SearchMode.EXACT, limit=100, group_by_document=True))
    assert sum(count for _, count in result.facets["collection"]) == everywhere.total


def test_facets_show_a_reader_no_label_or_document_of_others(searcher: Searcher) -> None:
    reader = Scope(TenantId("default"), frozenset({"x"}))
    result = searcher.search(reader, SearchQuery("ferry terminal", facets=("label", "metadata.open")))

    assert result.facets["label"] == (("x", 1),)
    assert result.facets["metadata.open"] == (("false", 1),)
    assert "gate" not in found(result)


def test_facets_keep_to_the_selection(searcher: Searcher) -> None:
    query = SearchQuery("ferry", selection=Selection(("sales",)), facets=("collection",))

    assert searcher.search(SCOPE, query).facets == {"collection": (("sales", 1),)}


@pytest.mark.parametrize("name", ["tenant", "metadata.", "metadata.nobody", "title", ""])
def test_an_unknown_facet_is_named(searcher: Searcher, name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        searcher.search(SCOPE, SearchQuery("ferry", facets=("source", name)))

    assert caught.value.pointer == "/facets/1"


def test_a_preferred_source_wins_a_near_tie_and_nothing_else(searcher: Searcher) -> None:
    text = "restart the gate controller of the ferry terminal"
    wiki = searcher.search(SCOPE, SearchQuery(text, fold=False, prefer=Preference(sources={"wiki": 1.0})))
    sales = searcher.search(SCOPE, SearchQuery(text, fold=False, prefer=Preference(collections={"sales": 1.0})))
    fresh = searcher.search(SCOPE, SearchQuery(text, fold=False, prefer=Preference(freshness_half_life_days=100)))

    assert found(wiki)[0] == "gate-copy"
    assert found(sales)[0].startswith("gate")
    assert found(fresh)[0] == "gate-copy"


def test_the_best_sentence_is_the_one_about_the_question(searcher: Searcher) -> None:
    def best(query: SearchQuery) -> str:
        passage = searcher.search(SCOPE, query).passages[0]
        assert passage.best_sentence is not None
        assert passage.indexed.chunk.span.contains(passage.best_sentence)
        start = passage.indexed.chunk.span.start
        return passage.indexed.chunk.text[passage.best_sentence.start - start : passage.best_sentence.end - start]

    assert "announced on every display" in best(SearchQuery("ferry announced on every display of the terminal"))
    meant = SearchQuery("passengers cannot see the following boat", highlight=Highlighting.MEANING)
    assert "announced on every display" in best(meant)
    assert "highlight" in searcher.search(SCOPE, meant).timings_ms
    assert searcher.search(SCOPE, SearchQuery("ferry", highlight=False)).passages[0].best_sentence is None


def test_an_explanation_adds_up(searcher: Searcher) -> None:
    result = searcher.search(SCOPE, SearchQuery('restart "gate controller" of terminal-1', explain=True, fold=False))

    told = result.explanation
    assert told is not None
    assert told.needles == ("gate controller", "terminal-1")
    assert sum(told.terms.values()) == pytest.approx(1.0)
    assert told.weights["dense"] + told.weights["sparse"] == pytest.approx(1.0)
    assert told.kind == "identifier"
    assert told.fitted is None
    assert told.candidates["dense"] == result.total
    for rank, passage in enumerate(result.passages, start=1):
        hit = passage.explanation
        assert hit is not None
        assert hit.rank == rank
        assert hit.fused is not None
        parts = [hit.title, *(leg.contribution for leg in (hit.dense, hit.sparse) if leg is not None)]
        assert hit.fused >= sum(parts) - 1e-9
        assert (hit.fused == pytest.approx(sum(parts))) == (not hit.exact)
        assert set(hit.terms).isdisjoint(hit.missing)
        assert set(hit.terms) | set(hit.missing) == set(told.terms)
        assert hit.dense is None or hit.dense.score == passage.scores.dense
    assert of(result, "gate").explanation.exact == ("gate controller",)  # type: ignore[union-attr]
    assert searcher.search(SCOPE, SearchQuery("gate")).explanation is None
