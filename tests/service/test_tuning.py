"""Weights are fitted to what the legs say, and adopted only where they are better beyond doubt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion.corpus.ranking_store import ALL, RankingStore
from ingestion.corpus.records import ChunkId
from ingestion.corpus.scope import Scope, TenantId
from service.quality.golden import GoldenCase
from service.quality.observing import Observer, sample
from service.quality.tuning import LEAST_QUERIES, Seen, fit, gain, profile_of
from service.retrieval.fusion import Weights
from service.retrieval.profiles import DEFAULTS, load, profile_for
from service.retrieval.query import SearchQuery
from service.retrieval.search import Searcher
from service.retrieval.traits import QueryClass
from service.settings import RetrievalSettings
from tests.ingestion.corpora import SCOPE, Bench, markdown, open_bench, settings_for

RIGHT, WRONG, OTHER = ChunkId("right"), ChunkId("wrong"), ChunkId("other")


def seen(number: int, *, by_meaning: ChunkId, by_words: ChunkId, kind: QueryClass = QueryClass.QUESTION) -> Seen:
    """A query whose legs each put one chunk first, the dense one by far; `right` is of the document that is wanted."""
    dense = {id_: 0.5 if id_ == by_meaning else 0.1 for id_ in (RIGHT, WRONG, OTHER)}
    sparse = {id_: 20.0 if id_ == by_words else 4.0 for id_ in (RIGHT, WRONG)} | {OTHER: 18.0}
    names = {id_: str(id_) for id_ in (RIGHT, WRONG, OTHER)}
    return Seen(f"q{number}", kind, dense, sparse, {}, names, {"right": 1}, head=3)


def test_where_one_leg_misleads_the_other_is_adopted_alone_or_nearly_so() -> None:
    fits = fit([seen(number, by_meaning=WRONG, by_words=RIGHT) for number in range(60)])

    (found,) = fits
    assert found.adopted
    assert found.weights.dense < DEFAULTS[QueryClass.QUESTION].dense
    assert (found.sparse, found.fitted) == (1.0, 1.0)
    assert found.default < 1.0
    assert found.low > 0
    profile = profile_of(fits, "films")
    assert profile is not None
    assert profile.weights[QueryClass.QUESTION] == found.weights
    assert profile.weights[QueryClass.TICKET] == DEFAULTS[QueryClass.TICKET]
    assert load(profile.dump(), "films") == profile


def test_what_is_good_already_stays() -> None:
    fits = fit([seen(number, by_meaning=RIGHT, by_words=RIGHT) for number in range(60)])

    assert [one.adopted for one in fits] == [False]
    assert fits[0].weights == DEFAULTS[QueryClass.QUESTION]
    assert profile_of(fits, ALL) is None


def test_a_gain_that_may_be_chance_is_not_adopted() -> None:
    lucky = [seen(number, by_meaning=WRONG, by_words=RIGHT) for number in range(1)]
    others = [seen(number, by_meaning=RIGHT, by_words=RIGHT) for number in range(1, 60)]

    assert not fit(lucky + others)[0].adopted


def test_too_few_queries_fit_nothing_and_one_without_a_relevant_document_counts_for_nothing() -> None:
    few = [seen(number, by_meaning=WRONG, by_words=RIGHT) for number in range(LEAST_QUERIES - 1)]

    assert fit(few) == ()
    assert fit([*few, replace(few[0], id="more", judged={})]) == ()


def test_the_gain_is_ndcg_by_hand() -> None:
    one = seen(0, by_meaning=WRONG, by_words=WRONG)

    # The order is wrong, other, right.
    assert gain(one, Weights(0.5)) == pytest.approx(0.5)


def test_a_search_follows_what_is_stored_for_its_collection(bench: Bench, searcher: Searcher) -> None:
    profile = {"question": {"dense": 0.0, "title": 0.0}}
    query = SearchQuery("how is the harbour gate opened at night", explain=True)
    bench.ingest(markdown("gate", "The harbour gate is opened by the watch.", collection="harbour"))
    inside = replace(query, selection=replace(query.selection, collections=("harbour",)))

    bench.corpus.rankings.put(SCOPE, bench.corpus.index_version, "harbour", profile)

    told = searcher.search(SCOPE, inside).explanation
    elsewhere = searcher.search(SCOPE, query).explanation
    assert told is not None
    assert elsewhere is not None
    assert (told.fitted, told.weights["dense"]) == ("harbour", 0.0)
    assert (elsewhere.fitted, elsewhere.weights["dense"]) == (None, DEFAULTS[QueryClass.QUESTION].dense)
    other = Scope(TenantId("other"))
    with bench.corpus.pinned() as view:
        assert profile_for(view, other, ("harbour",)).fitted is None
    assert bench.corpus.rankings.remove(SCOPE, bench.corpus.index_version, "harbour")
    assert not bench.corpus.rankings.remove(SCOPE, bench.corpus.index_version, "harbour")
    again = searcher.search(SCOPE, inside).explanation
    assert again is not None
    assert again.fitted is None


def test_an_embedder_of_english_counts_less_in_another_language(bench: Bench, searcher: Searcher) -> None:
    def dense(text: str) -> float:
        told = searcher.search(SCOPE, SearchQuery(text, explain=True)).explanation
        assert told is not None
        return told.weights["dense"]

    german = "Der Hafen ist in der Nacht geschlossen, und das Tor wird von der Wache nur für die Boote geöffnet."
    bench.ingest(markdown("hafen", german, metadata={"language": "de"}), markdown("gate", "The gate of the harbour."))

    assert dense("wann wird das Tor von der Wache geöffnet") == DEFAULTS[QueryClass.QUESTION].dense / 2
    assert dense("when is the gate of the harbour opened") == DEFAULTS[QueryClass.QUESTION].dense


def test_another_process_takes_up_a_profile_within_seconds(bench: Bench) -> None:
    now = [0.0]
    mine, theirs = (RankingStore(bench.corpus.database, clock=lambda: now[0]) for _ in range(2))
    assert mine.profiles(SCOPE, "g") == {}

    theirs.put(SCOPE, "g", ALL, {"ticket": {"dense": 1.0, "title": 0.0}})

    assert mine.profiles(SCOPE, "g") == {}
    now[0] = 6.0
    found = mine.profiles(SCOPE, "g")
    assert list(found) == [ALL]
    assert found[ALL].profile == {"ticket": {"dense": 1.0, "title": 0.0}}
    assert found[ALL].fitted_at <= datetime.now(UTC)


def test_a_corpus_is_asked_by_golden_cases_and_by_its_own_sentences(bench: Bench, searcher: Searcher) -> None:
    page = "# {0}\n\n" + "\n\n".join(
        f"The {{0}} has a part number {part} that is painted every spring by the crew of the harbour office. " * 12
        for part in range(4)
    )
    bench.ingest(*(markdown(name, page.format(name)) for name in ("lighthouse", "breakwater")))
    observer = Observer(bench.corpus, searcher, SCOPE)

    (asked,) = observer.ask(
        [
            GoldenCase(id="a", question="who paints the lighthouse", relevant_documents=("lighthouse.md",)),
            GoldenCase(id="b", question="who paints the moon", must_refuse=True),
        ]
    )
    chunks = sample(bench.corpus, SCOPE, (), 5)
    own = list(observer.ask_itself(chunks))

    assert asked.kind is QueryClass.QUESTION
    assert asked.judged == {"lighthouse.md": 1}
    assert "lighthouse.md" in asked.document.values()
    assert chunks == sample(bench.corpus, SCOPE, (), 5)
    assert len(chunks) == len(own) == 5
    for chunk, one in zip(chunks, own, strict=True):
        assert chunk.id not in {**one.dense, **one.sparse}
        assert one.judged == {chunk.document.key: 1}
        assert chunk.document.key in one.document.values()


@pytest.fixture
def bench(tmp_path: Path, models_dir: Path) -> Iterator[Bench]:
    with open_bench(settings_for(tmp_path, models_dir)) as bench:
        yield bench


@pytest.fixture
def searcher(bench: Bench) -> Searcher:
    return Searcher(bench.corpus, RetrievalSettings())
