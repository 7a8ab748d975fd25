"""An answer leaves one trace, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ingestion.corpus.database import open_database
from ingestion.corpus.filters import parse
from ingestion.corpus.records import ChunkId, Document, Span
from ingestion.corpus.scope import TenantId
from ingestion.errors import BackendUnavailable, InvalidRequest
from ingestion.settings import Settings
from service.api.tracking import failures_kept
from service.generation.answers import (
    Answer,
    AnsweredSentence,
    AnswerEvent,
    AnswerQuery,
    Citation,
    Decision,
    RetrievalEvent,
    Support,
    SupportLabel,
    Turn,
)
from service.generation.models.llm import Usage
from service.ledger.database import migrate_ledger
from service.ledger.masking import Masker
from service.ledger.metrics import Metrics
from service.ledger.recording import Recorder
from service.ledger.traces import Operation, Trace, TraceRow, Traces, write_trace_rows
from service.retrieval.packing.records import ContextPack
from service.retrieval.results import Relevance, RelevanceLabel, SearchResult
from service.settings import LedgerSettings
from service.tracking.tracker import Asked, Tracker

ACME = TenantId("acme")
QUERY = AnswerQuery("How do I restart it?")
ASKED = Asked("answer", "query", ACME)
NOTHING = SearchResult((), Relevance(RelevanceLabel.NONE, 0.1), total=0)
FOUND = RetrievalEvent(NOTHING, "How do I restart it?")


class World:
    """A tracker over a real ledger."""

    def __init__(self, engine: Engine, **settings: object) -> None:
        wanted = LedgerSettings(**settings)  # type: ignore[arg-type]
        metrics = Metrics()
        self.recorder = Recorder(engine, metrics, {TraceRow: write_trace_rows}, wanted)
        self.tracker = Tracker(self.recorder, Masker(wanted, b"secret"), metrics, wanted)
        self._traces = Traces(engine)

    def kept(self) -> list[Trace]:
        assert self.recorder.flush(60)
        return [self._traces.get(ACME, one.id) for one in self._traces.list(ACME).items]


@contextmanager
def opened(folder: Path, **settings: object) -> Iterator[World]:
    engine = open_database(Settings(data_dir=folder))
    migrate_ledger(engine)
    world = World(engine, **settings)
    yield world
    world.recorder.close()
    engine.dispose()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with opened(tmp_path) as world:
        yield world


async def until_it_stops(then: Exception | None = None) -> AsyncGenerator[AnswerEvent, None]:
    """What was found; then an error, or nothing more for ever."""
    yield FOUND
    if then is not None:
        raise then
    await asyncio.Event().wait()


def test_who_leaves_between_two_events_leaves_a_trace(world: World) -> None:
    async def leave() -> None:
        events = world.tracker.following(ASKED, QUERY, until_it_stops())
        assert await anext(events) == FOUND
        await events.aclose()

    asyncio.run(leave())
    (kept,) = world.kept()
    assert (kept.id, kept.query_id, kept.outcome, kept.relevance) == ("answer", "query", "closed", "none")
    assert kept.body["standing"] == "How do I restart it?"


def test_who_leaves_while_the_model_thinks_leaves_a_trace(world: World) -> None:
    async def leave() -> None:
        events = world.tracker.following(ASKED, QUERY, until_it_stops())
        await anext(events)
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(leave())
    assert [kept.outcome for kept in world.kept()] == ["closed"]


@pytest.mark.parametrize(
    ("error", "code"), [(BackendUnavailable("away"), "backend_unavailable"), (KeyError("a bug"), "internal")]
)
def test_an_answer_that_fails_leaves_a_trace(world: World, error: Exception, code: str) -> None:
    async def fail() -> None:
        with pytest.raises(type(error)):
            async for _ in world.tracker.following(ASKED, QUERY, until_it_stops(error)):
                pass

    asyncio.run(fail())
    assert [kept.outcome for kept in world.kept()] == [code]


@pytest.mark.parametrize(("error", "code"), [(InvalidRequest("no"), "invalid_request"), (KeyError("x"), "internal")])
def test_a_search_that_fails_leaves_a_trace(world: World, error: Exception, code: str) -> None:
    with pytest.raises(type(error)), failures_kept(world.tracker, ASKED, Operation.SEARCH, "what?"):
        raise error
    assert [(kept.outcome, kept.query) for kept in world.kept()] == [(code, "what?")]


WORD, CITED = "zebrafish", Span(0, 5)
DOCUMENT = Document(**dict.fromkeys(Document.__dataclass_fields__) | {"key": "d", "uri": "fish.md", "title": "Fish"})
WORDY = AnswerQuery(
    f"What of the {WORD}?",
    ("fish",),
    parse({"must": [{"key": "metadata.team", "in": [WORD, "other"]}, {"key": "metadata.pages", "gte": 3}]}),
    (Turn("user", f"The {WORD}?"), Turn("assistant", f"It is a {WORD}.")),
)
ANSWER = Answer(
    answered=True,
    text=f"The {WORD} swims [1].",
    sentences=(
        AnsweredSentence(f"The {WORD} swims.", (1,), Support(SupportLabel.PARTIAL, 0.5, (f"names:missing {WORD}",))),
    ),
    citations=(Citation(1, DOCUMENT, ChunkId("c"), f"A {WORD}", CITED),),
    grounding=None,
    relevance=NOTHING.relevance,
    refusal=None,
    degraded=None,
    model=None,
    prompt_version=None,
    usage=Usage(),
    decisions=(Decision("rewrite", "alone", (f"understood as: {WORD}",)),),
)


@pytest.mark.parametrize("content", ["hash", "drop"])
def test_no_word_of_question_and_answer_is_kept_where_the_settings_say_so(tmp_path: Path, content: str) -> None:
    with opened(tmp_path, content=content) as world:
        world.tracker.answer(ASKED, WORDY, RetrievalEvent(NOTHING, f"What of the {WORD}?"), ANSWER)
        world.tracker.failed(Asked("failed", "q2", ACME), Operation.CONTEXT, WORD, "internal")
        pack = ContextPack("", (), 0, (), NOTHING.relevance, (WORD,), ())
        world.tracker.context(Asked("pack", "q3", ACME), WORD, (), pack)
        kept = world.kept()
    assert len(kept) == 3
    assert WORD not in str(kept)
    (answer,) = [trace for trace in kept if trace.id == "answer"]
    assert (answer.query_hash is not None) == (content == "hash")
    assert answer.body["sentences"][0]["support"]["checks"] == ["names:missing"]
    assert answer.body["filter"]["must"][0] == {"key": "metadata.team", "in": [None, None]}
    assert answer.body["filter"]["must"][1]["gte"] == 3
    assert answer.body["citations"][0]["title"] == "Fish"


def test_secrets_are_masked_wherever_words_are_kept(tmp_path: Path) -> None:
    secret = "password=hunter2"
    sentence = replace(ANSWER.sentences[0], text=secret, support=Support(SupportLabel.PARTIAL, 0.5, (secret,)))
    leaking = replace(
        ANSWER,
        text=secret,
        sentences=(sentence,),
        citations=(replace(ANSWER.citations[0], quote=secret),),
        decisions=(Decision("rewrite", "alone", (secret,)),),
    )
    filter_ = parse({"must": [{"key": "metadata.team", "in": [secret]}]})
    query = AnswerQuery(secret, filter=filter_, history=(Turn("user", secret),))
    with opened(tmp_path) as world:
        world.tracker.answer(ASKED, query, RetrievalEvent(NOTHING, secret), leaking)
        (kept,) = world.kept()
    assert "hunter2" not in str(kept)
    assert str(kept).count("password=[secret]") == 9


def test_nothing_is_kept_where_tracking_is_off(tmp_path: Path) -> None:
    with opened(tmp_path, enabled=False) as world:
        world.tracker.failed(ASKED, Operation.SEARCH, "what?", "internal")
        assert world.kept() == []
