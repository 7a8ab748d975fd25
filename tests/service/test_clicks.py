"""Clicks: what they say of rankings, measured on searches of the ledger and on simulated people of known habits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from benchmarks.crowd import Crowd, attractions, raw_rates
from ingestion.corpus.database import open_database
from ingestion.corpus.scope import TenantId
from ingestion.settings import Settings
from service.ledger.database import migrate_ledger
from service.quality.clickmodels import Cascade, PositionBased, Session, choose, log_of, trial
from service.quality.clicks import ClickMeasures, click_cases, click_measures, searches
from tests.service.feedback_parts import AT, TENANT, click, keep, search_trace

ACME = TenantId(TENANT)
SINCE, UNTIL = AT - timedelta(days=1), AT + timedelta(days=1)
LOOKS = [1 / rank for rank in range(1, 9)]
SEEDS = range(10)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    engine = open_database(Settings(data_dir=tmp_path, database_url=url))
    migrate_ledger(engine)
    yield engine
    engine.dispose()


def measured(database: Engine, collection: str | None = None) -> ClickMeasures:
    return click_measures(database, ACME, SINCE, UNTIL, collection)


def test_searches_without_clicks_have_no_measures(database: Engine) -> None:
    keep(database, search_trace("a", "b"))

    assert measured(database) == ClickMeasures(None, None, 0, 0)


def test_measures_of_clicks(database: Engine) -> None:
    first, third, none = search_trace("a", "b", "c"), search_trace("x", "y", "z", query="other"), search_trace("a")
    keep(database, first, third, none)
    click(database, first, "a")
    click(database, third, "z")
    click(database, third, "z")  # opened twice

    found = measured(database)

    assert found.mrr == pytest.approx((1 + 1 / 3) / 2)
    assert found.ndcg == pytest.approx((1 + 0.5) / 2)
    assert (found.clicks, found.queries) == (2, 2)


def test_a_hit_that_others_opened_for_the_same_question_counts(database: Engine) -> None:
    seen, better = search_trace("a", "b"), search_trace("b", "a")
    keep(database, seen, better)
    click(database, seen, "a")
    click(database, better, "b")

    found = measured(database)

    assert found.mrr == 1
    assert found.ndcg is not None
    assert 0.8 < found.ndcg <= 1


def test_only_the_tenant_the_time_and_the_collection_count(database: Engine) -> None:
    traces = [
        search_trace("a", "b"),
        search_trace("a", tenant="beta"),
        search_trace("a", at=UNTIL),
        search_trace("a", collection="other"),
    ]
    keep(database, *traces)
    for one in traces:
        click(database, one, one.body["passages"][-1]["chunk_id"])

    assert measured(database, "docs") == ClickMeasures(0.5, pytest.approx(np.log(2) / np.log(3)), 1, 1)
    assert measured(database).queries == 2


def test_searches_of_those_who_never_report_a_click_say_nothing(database: Engine) -> None:
    person, program = search_trace("a", "b", key_id="person"), search_trace("a", "b", key_id="program")
    unclicked = search_trace("a", "b", key_id="person")
    keep(database, person, program, unclicked)
    click(database, person, "b")

    found = searches(database, ACME, SINCE, UNTIL)

    assert {one.id for one in found} == {person.id, unclicked.id}


def test_what_was_folded_into_a_hit_counts_for_the_hit(database: Engine) -> None:
    trace = search_trace("a", "b")
    keep(database, trace)
    click(database, trace, "copy of b", at="b")

    found = measured(database)

    assert (found.mrr, found.clicks, found.queries) == (0.5, 1, 1)
    assert found.ndcg == pytest.approx(np.log(2) / np.log(3))


def test_a_hit_far_below_the_first_page_is_worth_nothing(database: Engine) -> None:
    trace = search_trace(*(f"c{rank}" for rank in range(1, 31)))
    keep(database, trace)
    click(database, trace, "c30")

    assert measured(database) == ClickMeasures(pytest.approx(1 / 30), 0.0, 1, 1)


def test_questions_with_opened_hits_become_cases(database: Engine) -> None:
    first, again = search_trace("a", "b", "c", query="Q"), search_trace("a", "b", "c", query="Q")
    wordless, later = search_trace("a", query=None, query_hash="other"), search_trace("a", "b", query="later")
    later = replace(later, body={**later.body, "offset": 10})
    keep(database, first, again, wordless, later)
    for trace, chunk in ((first, "b"), (again, "b"), (again, "c"), (wordless, "a"), (later, "a")):
        click(database, trace, chunk)

    (case,) = click_cases(searches(database, ACME, SINCE, UNTIL))

    assert (case.question, set(case.relevant_documents)) == ("Q", {"docs/b.md", "docs/c.md"})
    assert 10 >= case.grades["docs/b.md"] >= case.grades["docs/c.md"] >= 1


def test_a_later_page_counts_with_its_rank(database: Engine) -> None:
    later = search_trace("k", "l")
    later = search_trace("k", "l", body={**later.body, "offset": 10})
    keep(database, later)
    click(database, later, "l")

    found = measured(database)

    assert (found.mrr, found.ndcg) == (pytest.approx(1 / 12), None)


@pytest.mark.parametrize("seed", range(5))
def test_the_chance_of_a_look_is_recovered(seed: int) -> None:
    sessions = Crowd(seed, mixing=1.0).position_based(4_000, LOOKS)

    fitted = PositionBased.fit(log_of(sessions))

    assert np.abs(fitted.examination - LOOKS).max() < 0.1
    assert np.abs(fitted.examination - LOOKS).mean() < 0.04


@pytest.mark.parametrize("seed", range(5))
def test_the_chances_of_going_on_are_recovered(seed: int) -> None:
    fitted = Cascade.fit(log_of(Crowd(seed).cascading(4_000, after_click=0.4, after_skip=0.8)))

    assert fitted.after_click == pytest.approx(0.4, abs=0.06)
    assert fitted.after_skip == pytest.approx(0.8, abs=0.04)


def test_correction_ranks_closer_to_the_truth_than_the_raw_rate() -> None:
    gains = []
    for seed in SEEDS:
        crowd = Crowd(seed, skill=0.3)
        sessions = crowd.position_based(3_000, LOOKS)
        corrected = crowd.agreement(attractions(sessions, PositionBased))
        gains.append(corrected - crowd.agreement(raw_rates(sessions)))

    assert sum(gain > 0 for gain in gains) >= 9
    assert np.mean(gains) > 0.02


def test_the_model_that_people_follow_is_chosen() -> None:
    by_position = [choose(Crowd(seed).position_based(3_000, LOOKS)) for seed in range(3)]
    by_cascade = [choose(Crowd(seed).cascading(3_000, 0.3, 0.8)) for seed in range(3)]

    assert [choice.model.name for choice in by_position] == ["position"] * 3
    assert [choice.model.name for choice in by_cascade] == ["cascade"] * 3
    for choice in (*by_position, *by_cascade):
        assert all(1 < one.perplexity < 1.5 for one in choice.trials)


def test_a_model_foretells_better_than_one_that_knows_nothing() -> None:
    crowd = Crowd(3)
    sessions = crowd.position_based(3_000, LOOKS)
    train = log_of(sessions[:2_000])
    test = log_of(sessions[2_000:], train.pairs)
    fitted = PositionBased.fit(train)
    flat = PositionBased(np.ones(8) * (1 - 1e-6), fitted.attraction)

    assert trial(fitted, test).log_likelihood > trial(flat, test).log_likelihood
    assert trial(fitted, test).perplexity < trial(flat, test).perplexity


def test_one_session_is_enough_for_a_guess() -> None:
    choice = choose([Session("s", "q", ("a", "b"), frozenset({"b"}))])

    assert choice.relevance("q", "b") > choice.relevance("q", "a") > 0
    assert choice.relevance("q", "unseen") == 0
    assert choice.trials == ()
