"""Answerers with the models that they ask: opened for what is chosen, and changed while others go on answering."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace

import structlog

from ingestion.corpus.scope import Scope
from service.generation.answering import Answerer, Means, Retrieve
from service.generation.answers import AnswerEvent, AnswerQuery
from service.generation.checking.judging import Judge
from service.generation.models.metering import RecordCall
from service.generation.models.opening import open_chat_models
from service.releasing.choices import Choices
from service.retrieval.tokens import TokenCounter
from service.settings import ServiceSettings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answerers:
    """What every answerer of a process shares. `record` keeps the calls to models; `means` have no judge yet."""

    settings: ServiceSettings
    retrieve: Retrieve
    means: Means
    record: RecordCall
    counter: TokenCounter

    @asynccontextmanager
    async def open(self, choices: Choices) -> AsyncIterator[Answerer]:
        """An answerer for what is chosen; the connections of its models close with the context.

        Raises: as `Choices.applied`; ConfigurationError for a price table that can't be read.
        """
        settings = choices.applied(self.settings)
        async with open_chat_models(settings, self.record, self.counter) as models:
            judged = models.strong or models.fast
            judge = None if judged is None else Judge(judged, settings.grounding.judge_sample)
            yield Answerer(self.retrieve, models, settings, replace(self.means, judge=judge))

    def over(self, retrieve: Retrieve) -> Answerers:
        """These over passages of another origin: nothing is kept in the cache or taken from it, and no judge asked."""
        settings = self.settings
        grounding = settings.grounding.model_copy(update={"judge_sample": 0.0})
        return replace(
            self,
            settings=settings.model_copy(update={"grounding": grounding}),
            retrieve=retrieve,
            means=replace(self.means, cache=None),
        )


class _Held:
    """An answerer, and how many answers it is at."""

    __slots__ = ("answerer", "choices", "stack", "users")

    def __init__(self, answerer: Answerer, choices: Choices, stack: AsyncExitStack) -> None:
        self.answerer = answerer
        self.choices = choices
        self.stack = stack
        self.users = 0


class LiveAnswerer:
    """Answers with what is released. An answer ends with what it began with; the next one takes what is live then.

    Everything happens on one event loop.
    """

    def __init__(self, answerers: Answerers) -> None:
        self._answerers = answerers
        self._changing = asyncio.Lock()
        self._current: _Held | None = None
        self._open: list[_Held] = []

    @property
    def choices(self) -> Choices:
        """What it answers with."""
        return self._held().choices

    async def answer(
        self, scope: Scope, query: AnswerQuery, answer_id: str | None = None
    ) -> AsyncGenerator[AnswerEvent, None]:
        """As `Answerer.answer`."""
        held = self._held()
        held.users += 1
        try:
            async with aclosing(held.answerer.answer(scope, query, answer_id)) as events:
                async for event in events:
                    yield event
        finally:
            held.users -= 1
            await self._end(held)

    async def take_up(self, choices: Choices) -> bool:
        """Answer with these from now on; whether that changed anything. Raises: as `Answerers.open`."""
        async with self._changing:
            before = self._current
            if before is not None and before.choices == choices:
                return False
            stack = AsyncExitStack()
            answerer = await stack.enter_async_context(self._answerers.open(choices))
            self._current = _Held(answerer, choices, stack)
            self._open.append(self._current)
            if before is not None:
                log.info("release_taken_up", prompt=choices.prompt, model=choices.model)
                await self._end(before)
            return True

    async def close(self) -> None:
        """Close all models, whoever is still at an answer."""
        async with self._changing:
            while self._open:
                await self._open.pop().stack.aclose()

    async def _end(self, held: _Held) -> None:
        """Close the models of one that was replaced, if no answer needs them any more."""
        if held is not self._current and held.users == 0 and held in self._open:
            self._open.remove(held)
            await held.stack.aclose()

    def _held(self) -> _Held:
        assert self._current is not None, "open_live opens it"
        return self._current


@asynccontextmanager
async def open_live(answerers: Answerers, choices: Choices) -> AsyncIterator[LiveAnswerer]:
    """An answerer that begins with these choices. Raises: as `Answerers.open`."""
    live = LiveAnswerer(answerers)
    await live.take_up(choices)
    try:
        yield live
    finally:
        await live.close()
