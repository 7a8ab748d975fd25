"""A release that makes answers worse goes back by itself; one that does not stays."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, insert

from ingestion.corpus.database import migrate_corpus, open_database, write_transaction
from ingestion.corpus.generation_store import GenerationStore
from ingestion.corpus.scope import Scope
from ingestion.errors import NotFound
from ingestion.rebuilding import Rebuilder
from ingestion.settings import ChunkingSettings, IndexSettings, RebuildPolicy
from service.access.principals import DEFAULT_TENANT
from service.generation.prompts import load_prompt
from service.ledger.database import migrate_ledger
from service.ledger.metrics import Metrics
from service.ledger.releases import NewRelease, Release, ReleaseKind, Releases, ReleaseState
from service.ledger.tables import feedback
from service.ledger.traces import Trace, write_traces
from service.releasing.comparing import compare_signals, rise_at_least
from service.releasing.returning import RETURNED, WayBack
from service.releasing.signals import Share, Signal, count_signals
from service.releasing.watching import Watcher, watch_from
from service.runtime import Runtime, open_runtime
from service.settings import AnswerSettings, LLMSettings, ReleaseSettings, ServiceSettings
from tests.chat_endpoint import Endpoint, Reply, running_endpoint, saying
from tests.service.http_parts import settings_for
from tests.service.test_releasing import SENTENCE, ask, follow
from tests.service.test_runtime import QUESTION, call, ingest

SCOPE = Scope(DEFAULT_TENANT)
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
BOUNDS = ReleaseSettings(poll_s=3600, watch_every_s=3600)
MADE_UP = "Reboot all seventeen database servers at midnight and format their disks [1]."


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(ServiceSettings(data_dir=tmp_path))
    migrate_corpus(opened)
    migrate_ledger(opened)
    yield opened
    opened.dispose()


def answered(at: datetime, **values: Any) -> Trace:
    """The trace of an answer of two supported sentences."""
    told: dict[str, Any] = {"relevance": "strong", "hits": 5, "sentences": 2, "unsupported": 0, "outcome": "ok"}
    id_ = str(uuid4())
    return Trace(id=id_, query_id=id_, tenant="default", at=at, operation="answer", total_ms=1.0, **told | values)


def write(engine: Engine, *traces: Trace) -> None:
    with write_transaction(engine) as connection:
        write_traces(connection, traces)


def rate(engine: Engine, trace: Trace, rating: str) -> None:
    row = {"id": str(uuid4()), "tenant": "default", "trace_id": trace.id, "kind": "rating", "rating": rating}
    with write_transaction(engine) as connection:
        connection.execute(insert(feedback).values(**row, at=NOW))


def promote(engine: Engine, settings: ReleaseSettings, at: datetime, kind: ReleaseKind = ReleaseKind.PROMPT) -> Release:
    """A release made at that time."""
    releases = Releases(engine)
    watch = watch_from(engine, kind, settings, at)
    made = releases.promote(NewRelease(kind, "answer@2", None, releases.active().get(kind), "tests", watch))
    from sqlalchemy import update

    from service.ledger.tables import releases as table

    with write_transaction(engine) as connection:
        connection.execute(update(table).where(table.c.id == made.id).values(promoted_at=at))
    return releases.get(made.id)


def watcher(engine: Engine, settings: ReleaseSettings, now: datetime, metrics: Metrics | None = None) -> Watcher:
    way_back = WayBack(Releases(engine), GenerationStore(engine), lambda _: None)
    return Watcher(engine, settings, way_back, metrics or Metrics(), clock=lambda: now)


def test_shares_are_counted_by_what_was_asked_when(engine: Engine) -> None:
    before, within = NOW - timedelta(hours=2), NOW - timedelta(minutes=30)
    traces = [
        answered(before, unsupported=2),
        answered(within),
        answered(within, unsupported=1, sentences=4),
        answered(within, outcome="refused", refusal="nothing_relevant", relevance="none", hits=0, sentences=0),
        answered(within, degraded="model_timeout"),
        answered(within, degraded="model_unreachable", relevance="weak"),
        answered(within, outcome="closed", relevance="none"),
    ]
    write(engine, *traces)
    for trace, rating in ((traces[0], "down"), (traces[1], "up"), (traces[2], "down")):
        rate(engine, trace, rating)
    since = NOW - timedelta(hours=1)

    model = count_signals(engine, ReleaseKind.MODEL, since, NOW)
    prompt = count_signals(engine, ReleaseKind.PROMPT, since, NOW)

    assert model == {
        Signal.WEAK_RELEVANCE: Share(2, 5),
        Signal.ZERO_RESULTS: Share(1, 5),
        Signal.REFUSALS: Share(1, 5),
        Signal.UNSUPPORTED: Share(0.25, 4),
        Signal.DEGRADED: Share(2, 5),
        Signal.DOWN_RATINGS: Share(1, 2),
    }
    assert prompt == {  # an outage says nothing about a prompt, nor does what was found
        Signal.REFUSALS: Share(1, 4),
        Signal.UNSUPPORTED: Share(0.25, 3),
        Signal.DEGRADED: Share(1, 4),
        Signal.DOWN_RATINGS: Share(1, 2),
    }
    assert set(count_signals(engine, ReleaseKind.GENERATION, NOW, NOW).values()) == {Share(0, 0)}


@pytest.mark.postgres
def test_postgres_counts_the_same(postgres_url: str, tmp_path: Path) -> None:
    from pydantic import SecretStr

    opened = open_database(ServiceSettings(data_dir=tmp_path, database_url=SecretStr(postgres_url)))
    try:
        migrate_ledger(opened)
        test_shares_are_counted_by_what_was_asked_when(opened)
    finally:
        opened.dispose()


def test_the_interval_is_that_of_the_paper() -> None:
    """Newcombe's own example: 56/70 against 48/80, method 10 at 95 %: .0524 to .3339."""
    assert rise_at_least(Share(48, 80), Share(56, 70), 0.95) == pytest.approx(0.0524, abs=5e-5)
    assert rise_at_least(Share(0, 10), Share(10, 10), 0.95) == pytest.approx(0.6075, abs=5e-5)


@given(st.integers(1, 400), st.integers(1, 400), st.data())
def test_the_interval_lies_below_the_difference(n0: int, n1: int, data: st.DataObject) -> None:
    before, since = Share(data.draw(st.integers(0, n0)), n0), Share(data.draw(st.integers(0, n1)), n1)

    low = rise_at_least(before, since, 0.999)

    assert -1 - 1e-9 <= low <= since.value - before.value + 1e-9
    assert low <= rise_at_least(before, since, 0.95) + 1e-9


def test_too_few_are_not_judged() -> None:
    bad = {Signal.UNSUPPORTED: Share(49, 49), Signal.DOWN_RATINGS: Share(20, 20)}
    good = {Signal.UNSUPPORTED: Share(0, 5000), Signal.DOWN_RATINGS: Share(0, 500)}

    unsupported, ratings = compare_signals(good, bad, BOUNDS)

    assert not unsupported.fallen
    assert ratings.fallen
    off = BOUNDS.model_copy(update={"down_ratings": 1.0})
    assert not any(one.fallen for one in compare_signals(good, bad, off))


@pytest.mark.parametrize("seed", range(20))
def test_a_healthy_release_stays_however_often_one_looks(engine: Engine, seed: int) -> None:
    """300 answers before and 300 since at the same shares, looked at after each 25."""
    draw = random.Random(seed)

    def traces(start: datetime, n: int) -> list[Trace]:
        return [
            answered(
                start + timedelta(minutes=at),
                unsupported=draw.choice((0, 0, 0, 0, 1)),
                refusal="not_in_sources" if draw.random() < 0.15 else None,
                degraded="model_timeout" if draw.random() < 0.1 else None,
                relevance="weak" if draw.random() < 0.3 else "strong",
            )
            for at in range(n)
        ]

    write(engine, *traces(NOW - timedelta(minutes=300), 300))
    release = promote(engine, BOUNDS, NOW, ReleaseKind.MODEL)
    since = traces(NOW, 300)
    for until in range(25, 301, 25):
        write(engine, *since[until - 25 : until])
        watcher(engine, BOUNDS, NOW + timedelta(minutes=until)).look()

    assert Releases(engine).get(release.id).state is ReleaseState.ACTIVE


@pytest.mark.parametrize(
    ("worse", "signal"),
    [
        ({"unsupported": 1}, "unsupported sentences"),
        ({"refusal": "not_in_sources"}, "refused answers"),
        ({"degraded": "model_uncited_answer"}, "degraded answers"),
    ],
)
def test_a_worse_release_goes_back_and_one_process_does_it(engine: Engine, worse: dict[str, Any], signal: str) -> None:
    write(engine, *(answered(NOW - timedelta(minutes=at + 1)) for at in range(100)))
    release = promote(engine, BOUNDS, NOW)
    write(engine, *(answered(NOW + timedelta(minutes=at), **(worse if at % 2 else {})) for at in range(60)))
    metrics = Metrics()
    watchers = [watcher(engine, BOUNDS, NOW + timedelta(hours=2), metrics) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: one.look(), watchers))

    ended = Releases(engine).get(release.id)
    assert ended.state is ReleaseState.ROLLED_BACK
    assert ended.reason is not None
    assert ended.reason.startswith(f"{signal} rose from 0.0% of 100 answers to ")
    assert set(ended.watch["since"]) == {"refusals", "unsupported", "degraded", "down_ratings"}
    assert b'plumbline_rollbacks_total{kind="prompt"} 1.0' in metrics.exposition()


def test_what_is_not_watched_stays(engine: Engine) -> None:
    write(engine, *(answered(NOW - timedelta(minutes=at + 1)) for at in range(100)))
    release = promote(engine, BOUNDS, NOW)
    write(engine, *(answered(NOW + timedelta(minutes=at), unsupported=2) for at in range(100)))
    off = BOUNDS.model_copy(update={"rollback": False})

    watcher(engine, off, NOW + timedelta(hours=2)).look()
    watcher(engine, BOUNDS, NOW + timedelta(hours=BOUNDS.watch_hours)).look()
    assert Releases(engine).get(release.id).state is ReleaseState.ACTIVE

    other = NewRelease(ReleaseKind.MODEL, "new", None, None, "tests")
    Releases(engine).promote(other)  # from now on nobody can tell which of the two it was
    watcher(engine, BOUNDS, NOW + timedelta(hours=2)).look()
    assert Releases(engine).get(release.id).state is ReleaseState.ACTIVE


def test_a_prompt_whose_sentences_are_unsupported_goes_back_by_itself(tmp_path: Path, models_dir: Path) -> None:
    bad = load_prompt("answer@1").render("?", []).messages[0].content

    def reply(body: dict[str, Any]) -> Reply:
        return saying(MADE_UP if body["messages"][0]["content"] == bad else SENTENCE)

    def settings(endpoint: Endpoint) -> ServiceSettings:
        return settings_for(
            tmp_path / "data",
            models_dir,
            llm=LLMSettings(base_url=endpoint.url, model="old", max_retries=0, output="text"),
            answers=AnswerSettings(repair=False),
            releases=BOUNDS.model_copy(update={"min_queries": 8, "confidence": 0.95}),
        )

    async def use(endpoint: Endpoint) -> None:
        async with open_runtime(settings(endpoint)) as runtime:
            await ingest(runtime)
            for _ in range(8):
                assert (await call(runtime, "/v1/answers", dict(QUESTION))).status_code == 200
            await asyncio.to_thread(runtime.recorder.flush)
            watch = watch_from(
                runtime.corpus.database, ReleaseKind.PROMPT, runtime.settings.releases, datetime.now(UTC)
            )
            runtime.releases.promote(NewRelease(ReleaseKind.PROMPT, "answer@1", None, None, "tests", watch))
            await follow(runtime)
            await asyncio.to_thread(runtime.watcher.look)
            assert ReleaseKind.PROMPT in runtime.releases.active()
            for _ in range(8):
                told = (await call(runtime, "/v1/answers", dict(QUESTION))).json()
                assert told["sentences"][0]["support"]["label"] == "unsupported"
            await asyncio.to_thread(runtime.recorder.flush)

            await asyncio.to_thread(runtime.watcher.look)
            await follow(runtime)

            assert runtime.releases.active() == {}
            assert await ask(runtime) == ("old", "answer@3")

    with running_endpoint(reply) as endpoint:
        asyncio.run(use(endpoint))


def test_a_generation_goes_back_too(tmp_path: Path, models_dir: Path) -> None:
    async def use() -> None:
        async with open_runtime(settings_for(tmp_path, models_dir, releases=BOUNDS)) as runtime:
            await ingest(runtime)
        smaller = settings_for(
            tmp_path,
            models_dir,
            releases=BOUNDS,
            chunking=ChunkingSettings(max_tokens=48, min_tokens=8),
            index=IndexSettings(rebuild=RebuildPolicy.MANUAL),
        )
        async with open_runtime(smaller) as runtime:
            await asyncio.to_thread(_release_the_wanted, runtime)
            before = runtime.releases.active()[ReleaseKind.GENERATION].previous
            assert runtime.corpus.index_version != before

            await asyncio.to_thread(runtime.watcher.look)

            job = runtime.jobs.list(SCOPE).items[0]
            await asyncio.to_thread(runtime.jobs.wait, SCOPE, job.id, 60)
            assert runtime.corpus.index_version == before
            left = runtime.releases.latest(ReleaseKind.GENERATION, ReleaseState.ROLLED_BACK)
            assert left is not None
            assert "queries without a hit rose" in str(left.reason)
            assert RETURNED not in left.watch
            await asyncio.to_thread(runtime.watcher.look)
            assert runtime.releases.get(left.id).watch[RETURNED] is True
            assert runtime.releases.active() == {}
            with suppress(NotFound):
                runtime.watcher.way_back.take(ReleaseKind.GENERATION, "again")
                pytest.fail("there is nothing to go back from")

    asyncio.run(use())


def _release_the_wanted(runtime: Runtime) -> None:
    """As `promote` does it, with good searches before and bad ones since."""
    engine, rebuilder = runtime.corpus.database, Rebuilder(runtime.corpus)
    now = datetime.now(UTC)
    write(engine, *(answered(now - timedelta(minutes=at)) for at in range(1, 80)))
    previous = runtime.corpus.index_version
    built = rebuilder.rebuild().generation
    watch = watch_from(engine, ReleaseKind.GENERATION, runtime.settings.releases, now)
    runtime.releases.promote(NewRelease(ReleaseKind.GENERATION, built, previous, None, "tests", watch))
    since = datetime.now(UTC)
    write(engine, *(answered(since, hits=0, relevance="none") for _ in range(80)))
