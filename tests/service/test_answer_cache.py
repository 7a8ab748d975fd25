"""Kept answers: given back as they were, only for the same question over the same passages, and not for ever."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, TypeAdapter
from sqlalchemy import Engine, func, select

from ingestion.corpus.database import open_database
from ingestion.corpus.records import Span
from ingestion.corpus.scope import Scope, TenantId
from ingestion.settings import Settings
from service.errors import ModelFailureReason
from service.generation.answers import (
    Answer,
    AnsweredSentence,
    Citation,
    Degraded,
    DegradedMode,
    Grounding,
    GroundingLabel,
    Refusal,
    RefusalReason,
    Support,
    SupportLabel,
)
from service.generation.caching import (
    AnswerCache,
    AnswerKey,
    Recipe,
    answer_codec,
    answer_key,
    normalised,
    served_again,
)
from service.generation.models.llm import Usage
from service.ledger.answer_cache import LONGEST_TEXT, KeptAnswers
from service.ledger.database import migrate_ledger
from service.ledger.tables import cached_answers
from service.retrieval.results import Passage, Relevance, RelevanceLabel, RelevanceSignals
from tests.service.generation_parts import PREFIX, RESTART, SCOPE, indexed

OTHER = Scope(TenantId("beta"))
QUESTION = "How do I restart the gateway?"
RECIPE = Recipe("mark", "en", "answer@3", "model-a", "auto")
PASSAGES = (Passage(indexed(RESTART), 0.9), Passage(indexed("Backups run at night.", name="backups"), 0.5))
QUOTE = "Drain the host before you restart it."


def answer(text: str = "Drain the host first \u2014 \u201calways\u201d.") -> Answer:
    """A model's answer with everything that an answer can hold."""
    metadata = {"team": "edge", "pages": 3, "weight": 1.0, "live": True, "tags": ["a", "b"]}
    document = indexed(RESTART, metadata=metadata).document
    return Answer(
        answered=True,
        text=f"{text} [1]",
        sentences=(AnsweredSentence(text, (1,), Support(SupportLabel.SUPPORTED, 0.94, ("numbers:ok",))),),
        citations=(Citation(1, document, PASSAGES[0].indexed.id, QUOTE, Span(len(PREFIX), len(PREFIX) + len(QUOTE))),),
        grounding=Grounding(GroundingLabel.GROUNDED, 0.94, 0, 1.0, 1.0, "lexical@1"),
        relevance=Relevance(RelevanceLabel.STRONG, 0.83, RelevanceSignals(0.8, 0.2, 1.0, True)),
        refusal=None,
        degraded=None,
        model="model-a",
        prompt_version="answer@3",
        usage=Usage(1200, 80, 0.0004),
        timings_ms={"total": 935.25},
    )


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    address = SecretStr(request.getfixturevalue("postgres_url")) if request.param == "postgres" else None
    engine = open_database(Settings(data_dir=tmp_path, database_url=address))
    migrate_ledger(engine)
    yield engine
    engine.dispose()


def key(
    question: str = QUESTION,
    passages: tuple[Passage, ...] = PASSAGES,
    old: frozenset[int] = frozenset(),
    recipe: Recipe = RECIPE,
    scope: Scope = SCOPE,
) -> AnswerKey:
    return answer_key(scope, question, passages, old, recipe)


def count(database: Engine) -> int:
    with database.connect() as connection:
        return int(connection.scalar(select(func.count()).select_from(cached_answers)) or 0)


def age(database: Engine, by: timedelta) -> None:
    with database.begin() as connection:
        connection.execute(cached_answers.update().values(created_at=datetime.now(UTC) - by))


def test_an_answer_comes_back_exactly_and_to_its_tenant_alone(database: Engine) -> None:
    cache = AnswerCache(KeptAnswers(database))
    assert cache.get(SCOPE, key()) is None

    assert cache.put(SCOPE, key(), answer())

    assert cache.get(SCOPE, key()) == answer()
    assert cache.get(OTHER, key()) is None
    assert cache.get(SCOPE, key("How do I stop the gateway?")) is None


def test_the_last_answer_to_a_question_is_kept(database: Engine) -> None:
    cache = AnswerCache(KeptAnswers(database))
    cache.put(SCOPE, key(), answer())
    cache.put(SCOPE, key(), answer("Wait 120 seconds."))

    assert cache.get(SCOPE, key()) == answer("Wait 120 seconds.")
    assert count(database) == 1


@cache
def codec() -> TypeAdapter[Answer]:
    return answer_codec()


@given(
    text=st.text(max_size=50),
    numbers=st.tuples(st.floats(0, 1), st.floats(0, 1e6), st.none() | st.floats(0, 10)),
    value=st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
)
def test_nothing_is_lost_on_the_way(
    text: str, numbers: tuple[float, float, float | None], value: str | float | bool
) -> None:
    given_answer = answer(text)
    citation = given_answer.citations[0]
    document = replace(citation.document, metadata={"value": value})
    whole = replace(
        given_answer,
        citations=(replace(citation, document=document),),
        relevance=Relevance(RelevanceLabel.WEAK, numbers[0]),
        timings_ms={"total": numbers[1]},
        usage=Usage(None, 0, numbers[2]),
    )

    back = codec().validate_json(codec().dump_json(whole))

    assert back == whole
    assert type(back.citations[0].document.metadata["value"]) is type(value)


def test_what_an_answer_is_made_from_is_in_its_key() -> None:
    newer = replace(PASSAGES[0].indexed, id=indexed(RESTART, name="another").id)
    others = [
        key("How do I stop the gateway?"),
        key(passages=PASSAGES[:1]),
        key(passages=(replace(PASSAGES[0], indexed=newer), PASSAGES[1])),
        key(old=frozenset({1})),
        key(scope=OTHER),
        *(key(recipe=replace(RECIPE, **{name: "x"})) for name in ("policy", "language", "prompt_version")),
        *(key(recipe=replace(RECIPE, **{name: "x"})) for name in ("model", "tier")),
    ]

    assert len({one.digest for one in [key(), *others]}) == 1 + len(others)
    assert key(passages=(PASSAGES[1], PASSAGES[0]), old=frozenset({0})) == key(old=frozenset({1}))
    assert key(passages=(replace(PASSAGES[0], score=0.1), PASSAGES[1])) == key()


def test_questions_that_differ_in_nothing_that_means_something_are_one() -> None:
    assert normalised("  How do I restart\nthe Gateway ? ") == normalised("how do I restart the gateway?")
    assert normalised("What does `tar -C` do?") != normalised("What does `tar -c` do?")
    assert normalised("What is GH-5021?") != normalised("What is gh-5021?")
    assert normalised("Cafe\u0301 hours") == normalised("Caf\u00e9 hours")


@pytest.mark.parametrize(
    "lesser",
    [
        replace(answer(), degraded=Degraded(ModelFailureReason.TRUNCATED, DegradedMode.PARTIAL)),
        replace(answer(), model=None),
        replace(answer(), grounding=None),
        replace(answer(), grounding=Grounding(GroundingLabel.PARTIAL, 0.5, 1, 0.5, 0.5, "lexical@1")),
        replace(answer(), answered=False, refusal=Refusal(RefusalReason.NOT_IN_SOURCES, "no")),
    ],
)
def test_only_whole_and_grounded_answers_of_a_model_are_kept(database: Engine, lesser: Answer) -> None:
    cache = AnswerCache(KeptAnswers(database))

    assert not cache.put(SCOPE, key(), lesser)
    assert cache.get(SCOPE, key()) is None


def test_what_is_served_again_costs_nothing_and_says_why_it_was() -> None:
    now = Relevance(RelevanceLabel.WEAK, 0.4)
    degraded = Degraded(ModelFailureReason.UNREACHABLE, DegradedMode.EXTRACTIVE)

    again = served_again(answer(), now, {"total": 12.0}, degraded)

    assert (again.relevance, again.timings_ms, again.degraded) == (now, {"total": 12.0}, degraded)
    assert again.usage == Usage(0, 0, 0.0)
    assert (again.sentences, again.citations) == (answer().sentences, answer().citations)


def test_what_is_too_old_is_neither_served_nor_stored(database: Engine) -> None:
    cache = AnswerCache(KeptAnswers(database, kept_for=timedelta(hours=1)))
    cache.put(SCOPE, key(), answer())
    age(database, timedelta(hours=2))

    assert cache.get(OTHER, key()) is None  # another tenant's question clears it as well
    assert count(database) == 0

    cache.put(SCOPE, key(), answer())
    age(database, timedelta(hours=2))
    cache.put(OTHER, key(scope=OTHER), answer())
    assert count(database) == 1


def test_the_newest_of_a_tenant_stay(database: Engine) -> None:
    cache = AnswerCache(KeptAnswers(database, most_per_tenant=3))
    cache.put(OTHER, key(scope=OTHER), answer())
    for number in range(5):
        cache.put(SCOPE, key(f"question {number}"), answer())

    kept = [number for number in range(5) if cache.get(SCOPE, key(f"question {number}")) is not None]
    assert kept == [2, 3, 4]
    assert cache.get(OTHER, key(scope=OTHER)) is not None


def test_an_answer_goes_with_any_document_that_it_was_shown(database: Engine) -> None:
    cache = AnswerCache(KeptAnswers(database))
    cache.put(SCOPE, key(), answer())
    cache.put(SCOPE, key(passages=PASSAGES[:1]), answer())
    cache.put(OTHER, key(scope=OTHER), answer())

    assert cache.forget(SCOPE, PASSAGES[1].indexed.document.key) == 1
    assert cache.get(SCOPE, key()) is None
    assert cache.get(SCOPE, key(passages=PASSAGES[:1])) is not None
    assert cache.forget(SCOPE) == 1
    assert count(database) == 1


def test_an_endless_answer_is_not_kept(database: Engine) -> None:
    assert not AnswerCache(KeptAnswers(database)).put(SCOPE, key(), answer("a" * LONGEST_TEXT))


def test_what_cannot_be_read_any_more_is_dropped(database: Engine) -> None:
    kept = KeptAnswers(database)
    kept.put(SCOPE.tenant, key().digest, '{"answered": "perhaps"}', ())

    assert AnswerCache(kept).get(SCOPE, key()) is None
    assert count(database) == 0
