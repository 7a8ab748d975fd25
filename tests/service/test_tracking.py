"""An answer leaves one trace, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ingestion.corpus.database import open_database
from ingestion.corpus.scope import TenantId
from ingestion.errors import BackendUnavailable, InvalidRequest
from ingestion.settings import Settings
from service.api.tracking import failures_kept
from service.generation.answers import AnswerEvent, AnswerQuery, RetrievalEvent
from service.ledger.database import migrate_ledger
from service.ledger.masking import Masker
from service.ledger.metrics import Metrics
from service.ledger.recording import Recorder
from service.ledger.traces import Operation, Trace, TraceRow, Traces, write_trace_rows
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


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    engine = open_database(Settings(data_dir=tmp_path))
    migrate_ledger(engine)
    world = World(engine)
    yield world
    world.recorder.close()
    engine.dispose()


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


def test_nothing_is_kept_where_tracking_is_off(tmp_path: Path) -> None:
    engine = open_database(Settings(data_dir=tmp_path))
    migrate_ledger(engine)
    world = World(engine, enabled=False)
    world.tracker.failed(ASKED, Operation.SEARCH, "what?", "internal")
    assert world.kept() == []
    world.recorder.close()
    engine.dispose()
