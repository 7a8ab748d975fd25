"""Patience with an endpoint: limits, retries and a breaker around a `ChatModel`. Leaves vendor errors to `providers`.

The wrappers, outermost first, and why in this order (`models` puts them together):

1. `Breaker`: while it is open a call fails at once, without waiting for a slot or a time-out. One call counts once,
   however many attempts it took.
2. `Deadline`: outside the retries and the queue, so that neither lengthens the time a user waits. It tells those
   below when the call ends, so that none begins a wait that would outlast it.
3. `Retries`: only before the first text, for what was shown can't be taken back.
4. `Slots`: inside the retries, so that a call that backs off holds no slot.
5. `Metered` (in `metering`): inside the retries, so that each attempt is billed; inside the slots, so that waiting is
   no call; outside the pace, so that it sees the text of an attempt that was cut off and why it was.
6. `Pace`: innermost, so that waiting for a slot is not held against the endpoint.

The time to connect is the HTTP client's own limit, set in `providers`. Every wrapper closes the one inside it, so
closing the outermost ends the HTTP call, whatever the call is waiting for.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, TypeVar

import structlog

from service.errors import ModelFailure, ModelFailureReason
from service.generation.models.llm import ChatDelta, ChatModel, ChatRequest
from service.settings import LLMSettings

log = structlog.get_logger(__name__)

T = TypeVar("T")

_COUNTED = frozenset(
    {
        ModelFailureReason.UNREACHABLE,
        ModelFailureReason.TIMEOUT,
        ModelFailureReason.RATE_LIMITED,
        ModelFailureReason.SERVER_ERROR,
        ModelFailureReason.INTERRUPTED,
    }
)
"""Failures that speak about the endpoint. A rejected request speaks about the request, and must not stop others."""

_CHARS_PER_TOKEN = 12
_BLANKS_PER_TOKEN = 130
"""No tokenizer's average comes near; beyond so much text an endpoint is ignoring the limit it was given."""


@dataclass(frozen=True, slots=True)
class ResiliencePolicy:
    """How long to wait, how often to try and how many may. Times in seconds; settings explain each."""

    first_token_timeout_s: float = 60.0
    stall_timeout_s: float = 30.0
    total_timeout_s: float = 180.0
    max_retries: int = 2
    backoff_s: float = 0.5
    max_backoff_s: float = 8.0
    max_concurrency: int = 8
    max_queue: int = 32
    queue_timeout_s: float = 30.0
    breaker_failures: int = 5
    breaker_pause_s: float = 30.0

    @classmethod
    def of(cls, settings: LLMSettings) -> ResiliencePolicy:
        """The policy that the settings ask for."""
        return cls(
            first_token_timeout_s=settings.first_token_timeout_s,
            stall_timeout_s=settings.stall_timeout_s,
            total_timeout_s=settings.total_timeout_s,
            max_retries=settings.max_retries,
            max_concurrency=settings.max_concurrency,
            max_queue=settings.max_queue,
            queue_timeout_s=settings.queue_timeout_s,
            breaker_failures=settings.breaker_failures,
            breaker_pause_s=settings.breaker_pause_s,
        )


class Wrapper(ABC):
    """A chat model around another, with its name."""

    def __init__(self, inner: ChatModel) -> None:
        self._inner = inner

    @property
    def name(self) -> str:
        return self._inner.name

    @abstractmethod
    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """See `ChatModel.stream`."""


class Pace(Wrapper):
    """Fails when the endpoint is silent for too long, before the first text or after it, or never stops writing.

    Pieces without text are no sign of life: an endpoint that sends nothing but those is stuck as well.
    """

    def __init__(self, inner: ChatModel, first_token_timeout_s: float, stall_timeout_s: float) -> None:
        super().__init__(inner)
        self._first_token_timeout_s = first_token_timeout_s
        self._stall_timeout_s = stall_timeout_s

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        limit_s, detail = self._first_token_timeout_s, "no first token in time"
        written = blanks = 0
        async with aclosing(self._inner.stream(request)) as deltas:
            while True:
                pieces = await _within(limit_s, _until_text(deltas), detail)
                for delta in pieces:
                    yield delta
                if not pieces or not pieces[-1].text:
                    return
                text = pieces[-1].text
                visible = len(text.strip())
                written, blanks = written + visible, blanks + len(text) - visible
                if written > request.max_output_tokens * _CHARS_PER_TOKEN:
                    raise _endless()
                if blanks > request.max_output_tokens * _BLANKS_PER_TOKEN:
                    raise _endless()
                limit_s, detail = self._stall_timeout_s, "the answer stopped coming"


class Slots(Wrapper):
    """At most so many calls at one time; a bounded number of others wait a bounded time for their turn."""

    def __init__(self, inner: ChatModel, max_concurrency: int, max_queue: int, queue_timeout_s: float) -> None:
        super().__init__(inner)
        self._slots = asyncio.Semaphore(max_concurrency)
        self._max_queue = max_queue
        self._queue_timeout_s = queue_timeout_s
        self._waiting = 0

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        await self._take(request.ends_at_s)
        try:
            async with aclosing(self._inner.stream(request)) as deltas:
                async for delta in deltas:
                    yield delta
        finally:
            self._slots.release()

    async def _take(self, ends_at_s: float | None) -> None:
        """Hold a slot. Raises: ModelFailure if the queue is full, or no slot became free in time."""
        if self._slots.locked() and self._waiting >= self._max_queue:
            raise ModelFailure(ModelFailureReason.BUSY, f"{self._waiting} calls to the model wait already")
        limit_s = self._queue_timeout_s if ends_at_s is None else min(self._queue_timeout_s, ends_at_s - monotonic())
        self._waiting += 1
        try:
            async with asyncio.timeout(limit_s):
                await self._slots.acquire()
        except TimeoutError as error:
            raise ModelFailure(ModelFailureReason.BUSY, "no call ended in time to begin another") from error
        finally:
            self._waiting -= 1


class Retries(Wrapper):
    """Tries again after a retryable failure that came before the first text."""

    def __init__(self, inner: ChatModel, policy: ResiliencePolicy) -> None:
        super().__init__(inner)
        self._policy = policy

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        attempt = 0
        while True:
            attempt += 1
            started = False
            try:
                async with aclosing(self._inner.stream(request)) as deltas:
                    async for delta in deltas:
                        started = started or bool(delta.text)
                        yield delta
                return
            except ModelFailure as failure:
                if started or not failure.may_retry or attempt > self._policy.max_retries:
                    raise
                wait_s = self._wait_s(attempt, failure)
                if request.ends_at_s is not None and monotonic() + wait_s >= request.ends_at_s:
                    raise
                log.warning("model_call_retried", reason=failure.reason, attempt=attempt, wait_s=round(wait_s, 2))
            await asyncio.sleep(wait_s)

    def _wait_s(self, attempt: int, failure: ModelFailure) -> float:
        """Full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015), or what the endpoint asked.

        Raises:
            ModelFailure: the given one, when the endpoint asks for more patience than a user has.
        """
        if failure.retry_after_s is not None:
            if failure.retry_after_s > self._policy.max_backoff_s:
                raise failure
            return failure.retry_after_s
        ceiling = min(self._policy.max_backoff_s, self._policy.backoff_s * 2 ** (attempt - 1))
        return random.uniform(0, ceiling)  # noqa: S311 - spreads load, guards no secret


class Deadline(Wrapper):
    """Ends a call that takes too long as a whole, however it spends the time."""

    def __init__(self, inner: ChatModel, timeout_s: float) -> None:
        super().__init__(inner)
        self._timeout_s = timeout_s

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        ends_at_s = monotonic() + self._timeout_s
        if request.ends_at_s is not None:
            ends_at_s = min(ends_at_s, request.ends_at_s)
        async with aclosing(self._inner.stream(replace(request, ends_at_s=ends_at_s))) as deltas:
            while True:
                delta = await _within(ends_at_s - monotonic(), _next_or_none(deltas), "the answer took too long")
                if delta is None:
                    return
                yield delta


class Breaker(Wrapper):
    """After so many failures in a row, fails at once for a while; then lets one call through to see.

    A call whose reader left says nothing if no text had come, and the next one may try; text is proof of health.
    """

    def __init__(
        self, inner: ChatModel, failures: int, pause_s: float, *, clock: Callable[[], float] = monotonic
    ) -> None:
        super().__init__(inner)
        self._limit = failures
        self._pause_s = pause_s
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0
        self._trying = False
        self._last = ModelFailureReason.UNREACHABLE

    @property
    def is_open(self) -> bool:
        """Whether a call would fail at once."""
        return self._failures >= self._limit and (self._trying or self._clock() < self._open_until)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        if self.is_open:
            raise ModelFailure(self._last, "the endpoint failed repeatedly and is left alone for a while")
        probe = self._failures >= self._limit
        self._trying = self._trying or probe
        spoke = False
        try:
            async with aclosing(self._inner.stream(request)) as deltas:
                async for delta in deltas:
                    spoke = spoke or bool(delta.text)
                    yield delta
            self._failures = 0
        except (GeneratorExit, asyncio.CancelledError):
            if spoke:
                self._failures = 0
            raise
        except ModelFailure as failure:
            if failure.reason in _COUNTED and not _is_over(request.ends_at_s):
                self._count(failure)
            raise
        finally:
            if probe:
                self._trying = False

    def _count(self, failure: ModelFailure) -> None:
        self._failures += 1
        self._last = failure.reason
        if self._failures >= self._limit:
            self._open_until = self._clock() + self._pause_s
            log.warning("model_breaker_opened", reason=failure.reason, failures=self._failures)


def resilient(
    model: ChatModel, policy: ResiliencePolicy, metered: Callable[[ChatModel], ChatModel] = lambda model: model
) -> ChatModel:
    """The model inside all wrappers, in the order that the module states; `metered` puts the meter around it."""
    paced = metered(Pace(model, policy.first_token_timeout_s, policy.stall_timeout_s))
    queued = Slots(paced, policy.max_concurrency, policy.max_queue, policy.queue_timeout_s)
    timed = Deadline(Retries(queued, policy), policy.total_timeout_s)
    return Breaker(timed, policy.breaker_failures, policy.breaker_pause_s)


def _is_over(ends_at_s: float | None) -> bool:
    """Whether the caller's own time is up: what fails then says nothing about the endpoint."""
    return ends_at_s is not None and monotonic() >= ends_at_s


def _endless() -> ModelFailure:
    return ModelFailure(ModelFailureReason.SERVER_ERROR, "the endpoint ignores the length it was given")


async def _until_text(deltas: AsyncGenerator[ChatDelta, None]) -> list[ChatDelta]:
    """Pieces up to and with the next that has text; all that are left if none has."""
    head = []
    async for delta in deltas:
        head.append(delta)
        if delta.text:
            break
    return head


async def _next_or_none(deltas: AsyncGenerator[ChatDelta, None]) -> ChatDelta | None:
    return await anext(deltas, None)


async def _within(timeout_s: float, work: Coroutine[Any, Any, T], detail: str) -> T:
    """The result of `work`, or a time-out failure. No limit spans a `yield`, which may resume in another task."""
    try:
        async with asyncio.timeout(timeout_s):
            return await work
    except TimeoutError as error:
        raise ModelFailure(ModelFailureReason.TIMEOUT, detail, retryable=True) from error
