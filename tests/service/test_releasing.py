"""What was released is what answers, without a restart: those under way end as they began."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ingestion.corpus.scope import Scope
from ingestion.errors import ConfigurationError, InvalidRequest
from service.access.principals import DEFAULT_TENANT
from service.generation.answering import Answerer, collect
from service.generation.answers import AnswerQuery
from service.ledger.releases import NewRelease, ReleaseKind
from service.releasing.answerers import Answerers, LiveAnswerer
from service.releasing.choices import Choices
from service.releasing.following import Follower
from service.runtime import Runtime, open_runtime
from service.settings import LLMSettings, ReleaseSettings, ServiceSettings
from tests.chat_endpoint import DONE, Do, Endpoint, Reply, line, running_endpoint, saying, streaming
from tests.service.http_parts import settings_for
from tests.service.test_runtime import ingest

SCOPE = Scope(DEFAULT_TENANT)
QUESTION = AnswerQuery("How do I restart the gateway?")
SENTENCE = "When the gateway answers 502, drain the host and restart the deployment [1]."
NEVER = ReleaseSettings(poll_s=3600, watch_every_s=3600)


def with_endpoint(tmp_path: Path, models_dir: Path, endpoint: Endpoint) -> ServiceSettings:
    llm = LLMSettings(base_url=endpoint.url, model="old", max_retries=0, output="text")
    return settings_for(tmp_path / "data", models_dir, llm=llm, releases=NEVER)


def release(runtime: Runtime, kind: ReleaseKind, value: str) -> None:
    active = runtime.releases.active().get(kind)
    previous = None if active is None else active.value
    runtime.releases.promote(NewRelease(kind, value, previous, active, "tests"))


async def follow(runtime: Runtime) -> None:
    """What the service does every few seconds."""
    assert isinstance(runtime.answerer, LiveAnswerer)
    follower = Follower(runtime.releases, runtime.settings)
    await asyncio.to_thread(follower.follow, runtime.answerer, asyncio.get_running_loop())


async def ask(runtime: Runtime) -> tuple[str | None, str | None]:
    """Model and prompt of an answer."""
    answer = await collect(runtime.answerer.answer(SCOPE, QUESTION))
    assert answer.answered
    assert answer.degraded is None
    return answer.model, answer.prompt_version


def test_a_running_service_takes_up_what_was_released(tmp_path: Path, models_dir: Path) -> None:
    async def use(settings: ServiceSettings) -> list[tuple[str | None, str | None]]:
        async with open_runtime(settings) as runtime:
            await ingest(runtime)
            asked = [await ask(runtime)]
            release(runtime, ReleaseKind.PROMPT, "answer@1")
            asked.append(await ask(runtime))
            await follow(runtime)
            asked.append(await ask(runtime))
            release(runtime, ReleaseKind.MODEL, "new")
            await follow(runtime)
            asked.append(await ask(runtime))
            runtime.watcher.way_back.take(ReleaseKind.PROMPT, "cli:ann")
            await follow(runtime)
            asked.append(await ask(runtime))
        async with open_runtime(settings) as again:
            asked.append(await ask(again))
        return asked

    with running_endpoint(saying(SENTENCE)) as endpoint:
        asked = asyncio.run(use(with_endpoint(tmp_path, models_dir, endpoint)))
        models = [body["model"] for body in endpoint.bodies]

    old, new = "answer@3", "answer@1"
    assert asked == [("old", old), ("old", old), ("old", new), ("new", new), ("new", old), ("new", old)]
    assert models == [model for model, _ in asked]


@dataclass(frozen=True)
class Watched(Answerers):
    """Tells which of its answerers are open."""

    opened: list[Choices] = field(default_factory=list)

    @asynccontextmanager
    async def open(self, choices: Choices) -> AsyncIterator[Answerer]:
        async with super().open(choices) as answerer:
            self.opened.append(choices)
            try:
                yield answerer
            finally:
                self.opened.remove(choices)


def test_an_answer_under_way_ends_with_what_it_began_with(tmp_path: Path, models_dir: Path) -> None:
    held = streaming(
        line(SENTENCE + " "),
        Do.HOLD,
        line("Error code GH-5021 means that no upstream is healthy [1]."),
        line(finish="stop"),
        DONE,
    )

    def reply(body: dict[str, Any]) -> Reply:
        return held if body["model"] == "old" else saying(SENTENCE)

    async def use(endpoint: Endpoint) -> None:
        async with open_runtime(with_endpoint(tmp_path, models_dir, endpoint)) as runtime:
            await ingest(runtime)
            assert isinstance(runtime.answerer, LiveAnswerer)
            watched = Watched(**{name: getattr(runtime.answerer._answerers, name) for name in Answerers.__slots__})
            live = LiveAnswerer(watched)
            await live.take_up(Choices())
            under_way = asyncio.create_task(collect(live.answer(SCOPE, QUESTION)))
            await asyncio.to_thread(endpoint.begun.wait, 30)

            assert await live.take_up(Choices(model="new"))
            assert not await live.take_up(Choices(model="new"))
            after = await collect(live.answer(SCOPE, QUESTION))

            assert watched.opened == [Choices(), Choices(model="new")]
            assert not under_way.done()
            endpoint.over.set()
            before = await under_way
            assert (before.model, len(before.sentences), before.degraded) == ("old", 2, None)
            assert after.model == "new"
            assert watched.opened == [Choices(model="new")]
            await live.close()
            assert watched.opened == []

    with running_endpoint(reply) as endpoint:
        asyncio.run(use(endpoint))


def test_what_can_not_be_done_is_not_taken_up(tmp_path: Path, models_dir: Path) -> None:
    settings = settings_for(tmp_path / "data", models_dir, releases=NEVER)
    with pytest.raises(ConfigurationError, match="no prompt 'answer@99'"):
        Choices(prompt="answer@99").applied(settings)
    with pytest.raises(ConfigurationError, match="no prompt 'judge@1'"):
        Choices(prompt="judge@1").applied(settings)
    with pytest.raises(InvalidRequest, match="no endpoint to ask the model 'big'"):
        Choices(model="big").applied(settings)

    async def use() -> None:
        async with open_runtime(settings) as runtime:
            release(runtime, ReleaseKind.PROMPT, "answer@99")  # by a newer program beside this one
            await follow(runtime)
            assert isinstance(runtime.answerer, LiveAnswerer)
            assert runtime.answerer.choices == Choices()
        async with open_runtime(settings) as again:
            assert isinstance(again.answerer, LiveAnswerer)
            assert again.answerer.choices == Choices()

    asyncio.run(use())
