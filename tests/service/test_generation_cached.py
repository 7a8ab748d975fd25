"""A question that is asked again: the answer of before, while nothing that it was made from has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion.corpus.database import open_database
from ingestion.corpus.scope import Scope
from ingestion.settings import Settings
from service.errors import ModelFailure, ModelFailureReason
from service.generation.answering import Answerer, Means
from service.generation.answers import (
    Answer,
    AnswerEvent,
    AnswerQuery,
    Degraded,
    DegradedMode,
    DoneEvent,
    SentenceEvent,
)
from service.generation.caching import AnswerCache
from service.generation.models.llm import Models, Usage
from service.ledger.answer_cache import KeptAnswers
from service.ledger.database import migrate_ledger
from service.retrieval.results import SearchResult
from service.settings import AnswerSettings, Caching, ServiceSettings
from tests.fakes import ScriptedModel, Step
from tests.service.generation_parts import SCOPE, found, indexed, operations

QUESTION = "How long does the drain wait?"
GOOD: tuple[Step, ...] = (
    "The drain waits 120 seconds for open requests [1].\n\n",
    "Backups are kept for 30 days [3].",
    Usage(10, 5),
)
DOWN = ModelFailure(ModelFailureReason.UNREACHABLE, "down")


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[AnswerCache]:
    engine = open_database(Settings(data_dir=tmp_path))
    migrate_ledger(engine)
    yield AnswerCache(KeptAnswers(engine))
    engine.dispose()


def ask(
    cache: AnswerCache, model: ScriptedModel, *, caching: Caching = Caching.DEGRADED, result: SearchResult | None = None
) -> tuple[Answer, list[AnswerEvent]]:
    chosen = result or operations()

    def retrieve(scope: Scope, query: AnswerQuery) -> SearchResult:
        return chosen

    settings = ServiceSettings(answers=AnswerSettings(cache=caching, repair=False))
    answerer = Answerer(retrieve, Models(model), settings, Means(cache=cache))

    async def run() -> list[AnswerEvent]:
        return [event async for event in answerer.answer(SCOPE, AnswerQuery(QUESTION))]

    events = asyncio.run(run())
    done = events[-1]
    assert isinstance(done, DoneEvent)
    return done.answer, events


def test_while_the_model_is_down_the_earlier_answer_is_given_and_says_so(cache: AnswerCache) -> None:
    first, events = ask(cache, ScriptedModel([GOOD]))
    again, replayed = ask(cache, ScriptedModel([[DOWN]]))
    assert again.degraded == Degraded(ModelFailureReason.UNREACHABLE, DegradedMode.CACHED)
    assert (again.text, again.sentences, again.citations) == (first.text, first.sentences, first.citations)
    assert again.usage == Usage(0, 0, 0.0)
    assert [event for event in replayed if isinstance(event, SentenceEvent)] == [
        event for event in events if isinstance(event, SentenceEvent)
    ]
    assert [decision.step for decision in again.decisions] == ["tier", "cache"]


def test_a_working_model_is_asked_again_unless_the_setting_says_otherwise(cache: AnswerCache) -> None:
    ask(cache, ScriptedModel([GOOD]))
    model = ScriptedModel([GOOD])
    assert ask(cache, model)[0].degraded is None
    assert len(model.calls) == 1
    answer, _ = ask(cache, model, caching=Caching.ALWAYS)
    assert (len(model.calls), answer.answered, answer.degraded) == (1, True, None)


@pytest.mark.parametrize("caching", [Caching.DEGRADED, Caching.ALWAYS])
def test_sources_that_changed_ask_for_a_new_answer(cache: AnswerCache, caching: Caching) -> None:
    ask(cache, ScriptedModel([GOOD]))
    changed = found(indexed("The drain waits 60 seconds for open requests.", name="restart-2"))
    answer, _ = ask(cache, ScriptedModel([[DOWN]]), caching=caching, result=changed)
    assert answer.degraded == Degraded(ModelFailureReason.UNREACHABLE, DegradedMode.EXTRACTIVE)
    assert "120" not in answer.text


def test_nothing_is_kept_when_it_is_off(cache: AnswerCache) -> None:
    ask(cache, ScriptedModel([GOOD]), caching=Caching.OFF)
    answer, _ = ask(cache, ScriptedModel([[DOWN]]))
    assert answer.degraded is not None
    assert answer.degraded.mode is DegradedMode.EXTRACTIVE


def test_an_answer_with_an_unsupported_sentence_is_not_kept(cache: AnswerCache) -> None:
    ask(cache, ScriptedModel([["The drain waits 30 seconds for open requests [1]."]]))
    answer, _ = ask(cache, ScriptedModel([[DOWN]]))
    assert answer.degraded is not None
    assert answer.degraded.mode is DegradedMode.EXTRACTIVE
