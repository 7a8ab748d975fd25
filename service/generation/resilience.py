"""Patience with an endpoint: limits, retries and a breaker around a `ChatModel`. Leaves vendor errors to `providers`.

The wrappers, outermost first, and why in this order:

1. `Breaker`: while it is open a call fails at once, without waiting for a slot or a time-out. One call counts once,
   however many attempts it took.
2. `Deadline`: outside the retries, so that they never lengthen the time a user waits.
3. `Retries`: only before the first token, for what was shown can't be taken back.
4. `Slots`: inside the retries, so that a call that backs off holds no slot.
5. `FirstToken`: inside the slots, so that waiting for a slot is not held against the endpoint.

The time to connect is the HTTP client's own limit, set in `providers`.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

import structlog

from service.errors import ModelFailure, ModelFailureReason
from service.generation.llm import ChatDelta, ChatModel, ChatRequest
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


@dataclass(frozen=True, slots=True)
class ResiliencePolicy:
    """How long to wait and how often to try."""

    first_token_timeout_s: float = 60.0
    total_timeout_s: float = 180.0
    max_retries: int = 2
    backoff_s: float = 0.5
    max_backoff_s: float = 8.0
    max_concurrency: int = 8
    breaker_failures: int = 5
    breaker_pause_s: float = 30.0

    @classmethod
    def of(cls, settings: LLMSettings) -> ResiliencePolicy:
        """The policy that the settings ask for."""
        return cls(
            first_token_timeout_s=settings.first_token_timeout_s,
            total_timeout_s=settings.total_timeout_s,
            max_retries=settings.max_retries,
            max_concurrency=settings.max_concurrency,
        )


def resilient(model: ChatModel, policy: ResiliencePolicy) -> ChatModel:
    """The model inside all wrappers, in the order that the module states."""
    patient = FirstToken(model, policy.first_token_timeout_s)
    retried = Retries(Slots(patient, policy.max_concurrency), policy)
    return Breaker(Deadline(retried, policy.total_timeout_s), policy.breaker_failures, policy.breaker_pause_s)


class _Wrapper(ABC):
    """A chat model around another, with its name."""

    def __init__(self, inner: ChatModel) -> None:
        self._inner = inner

    @property
    def name(self) -> str:
        return self._inner.name

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        return self._guard(lambda: self._inner.stream(request))

    @abstractmethod
    def _guard(self, call: Callable[[], AsyncGenerator[ChatDelta, None]]) -> AsyncGenerator[ChatDelta, None]:
        """The pieces of `call()`, or a ModelFailure in their place."""


class FirstToken(_Wrapper):
    """Fails when the first piece of text takes too long."""

    def __init__(self, inner: ChatModel, timeout_s: float) -> None:
        super().__init__(inner)
        self._timeout_s = timeout_s

    async def _guard(self, call: Callable[[], AsyncGenerator[ChatDelta, None]]) -> AsyncGenerator[ChatDelta, None]:
        async with aclosing(call()) as deltas:
            head = await _within(self._timeout_s, _until_text(deltas), "no first token in time")
            for delta in head:
                yield delta
            async for delta in deltas:
                yield delta


class Slots(_Wrapper):
    """At most so many calls at one time; the others wait their turn."""

    def __init__(self, inner: ChatModel, max_concurrency: int) -> None:
        super().__init__(inner)
        self._slots = asyncio.Semaphore(max_concurrency)

    async def _guard(self, call: Callable[[], AsyncGenerator[ChatDelta, None]]) -> AsyncGenerator[ChatDelta, None]:
        async with self._slots, aclosing(call()) as deltas:
            async for delta in deltas:
                yield delta


class Retries(_Wrapper):
    """Tries again after a retryable failure that came before the first text."""

    def __init__(self, inner: ChatModel, policy: ResiliencePolicy) -> None:
        super().__init__(inner)
        self._policy = policy

    async def _guard(self, call: Callable[[], AsyncGenerator[ChatDelta, None]]) -> AsyncGenerator[ChatDelta, None]:
        attempt = 0
        while True:
            attempt += 1
            started = False
            try:
                async with aclosing(call()) as deltas:
                    async for delta in deltas:
                        started = started or bool(delta.text)
                        yield delta
                return
            except ModelFailure as failure:
                if started or not failure.may_retry or attempt > self._policy.max_retries:
                    raise
                wait_s = self._wait_s(attempt, failure)
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


class Deadline(_Wrapper):
    """Ends a call that takes too long as a whole, however it spends the time."""

    def __init__(self, inner: ChatModel, timeout_s: float) -> None:
        super().__init__(inner)
        self._timeout_s = timeout_s

    async def _guard(self, call: Callable[[], AsyncGenerator[ChatDelta, None]]) -> AsyncGenerator[ChatDelta, None]:
        ends = monotonic() + self._timeout_s
        async with aclosing(call()) as deltas:
            while True:
                delta = await _within(ends - monotonic(), _next_or_none(deltas), "the answer took too long")
                if delta is None:
                    return
                yield delta


class Breaker(_Wrapper):
    """After so many failures in a row, fails at once for a while; then lets one call through to see."""

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

    async def _guard(self, call: Callable[[], AsyncGenerator[ChatDelta, None]]) -> AsyncGenerator[ChatDelta, None]:
        if self.is_open:
            raise ModelFailure(self._last, "the endpoint failed repeatedly and is left alone for a while")
        probe = self._trying = self._failures >= self._limit
        try:
            async with aclosing(call()) as deltas:
                async for delta in deltas:
                    yield delta
            self._failures = 0
        except ModelFailure as failure:
            if failure.reason in _COUNTED:
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


async def _until_text(deltas: AsyncGenerator[ChatDelta, None]) -> list[ChatDelta]:
    """Pieces up to and with the first that has text; all of them if none has."""
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
