"""What each call to a model costs: tokens as told or counted here, and their price. Leaves keeping it to a ledger.

A call that is cut off is billed like any other, so it is counted from what was sent and what had come.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic

import structlog

from ingestion.errors import PlumblineError
from service.errors import ModelFailure, ModelFailureReason
from service.generation.models.llm import CallContext, ChatDelta, ChatModel, ChatRequest, Usage
from service.generation.models.pricing import Price
from service.generation.models.resilience import Wrapper
from service.ledger.model_calls import ModelCall

log = structlog.get_logger(__name__)

RecordCall = Callable[[Callable[[], ModelCall]], None]
"""Takes a call that is still to be counted. Must neither wait nor fail: `CallRecorder.record`."""

OK = "ok"
CLOSED = "closed"
UNKNOWN = CallContext(tenant="unknown", answer_id=None, purpose="unknown", tier="unknown")
"""Who a call without a context is filed under."""

_TOKENS_PER_MESSAGE = 3
_TOKENS_OF_REPLY = 3
"""What the chat format adds ("How to count tokens with tiktoken", OpenAI Cookbook); other models' formats are close."""

_FREE_WITHOUT_TEXT = frozenset(
    {
        ModelFailureReason.UNREACHABLE,
        ModelFailureReason.RATE_LIMITED,
        ModelFailureReason.REJECTED,
        ModelFailureReason.SERVER_ERROR,
    }
)
"""No endpoint that we know of bills an error that it answered in place of text."""


@dataclass(slots=True)
class _Attempt:
    """What is seen of one call while it runs."""

    request: ChatRequest
    began_s: float = field(default_factory=monotonic)
    pieces: list[str] = field(default_factory=list)
    told: Usage | None = None
    structured: bool = False
    outcome: str = CLOSED

    def see(self, delta: ChatDelta) -> None:
        """Take note of a piece. Where usage comes with every piece, the last one holds."""
        if delta.text:
            self.pieces.append(delta.text)
        self.structured = self.structured or delta.structured
        self.told = delta.usage or self.told

    @property
    def is_free(self) -> bool:
        return not self.pieces and self.told is None and self.outcome in _FREE_WITHOUT_TEXT

    @property
    def is_told(self) -> bool:
        """Whether the endpoint told all of it. A count of no token is none: there is always a prompt."""
        told = self.told
        return self.outcome == OK and told is not None and bool(told.prompt_tokens and told.completion_tokens)


class Meter:
    """Counts and prices the calls of one model, and hands them to be kept. Safe from several threads."""

    def __init__(self, model: str, tier: str, price: Price | None, count: Callable[[str], int]) -> None:
        self._model = model
        self._tier = tier
        self._price = price
        self._count = count

    def usage(self, attempt: _Attempt) -> Usage:
        """Tokens and cost of the call as far as they can be known. Blocking where the endpoint did not tell all."""
        usage = self._tokens(attempt)
        return replace(usage, cost_usd=self._price.cost_usd(usage) if self._price else None)

    def call(self, attempt: _Attempt, usage: Usage, duration_s: float) -> ModelCall:
        """The call as it is kept."""
        context = attempt.request.context or replace(UNKNOWN, tier=self._tier)
        return ModelCall(
            tenant=context.tenant,
            answer_id=context.answer_id,
            purpose=context.purpose,
            tier=context.tier,
            model=self._model,
            prompt_version=context.prompt_version,
            outcome=attempt.outcome,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            estimated=usage.estimated,
            cost_usd=usage.cost_usd,
            duration_ms=round(duration_s * 1000, 2),
        )

    def _tokens(self, attempt: _Attempt) -> Usage:
        if attempt.is_free:
            return Usage(0, 0)
        told = attempt.told or Usage()
        if attempt.is_told:
            return told
        prompt, written = told.prompt_tokens or None, told.completion_tokens or None
        try:
            counted = self._count("".join(attempt.pieces))
            estimated = prompt is None or counted > (written or 0)
            prompt, written = prompt or self._prompt(attempt), max(written or 0, counted)
        except PlumblineError as error:
            log.warning("model_call_not_counted", code=error.code, detail=error.detail)
            return replace(told, prompt_tokens=prompt, completion_tokens=written)
        return replace(told, prompt_tokens=prompt, completion_tokens=written, estimated=estimated)

    def _prompt(self, attempt: _Attempt) -> int:
        request = attempt.request
        messages = request.structured.messages if attempt.structured and request.structured else request.messages
        return _TOKENS_OF_REPLY + sum(_TOKENS_PER_MESSAGE + self._count(message.content) for message in messages)


class Metered(Wrapper):
    """Tells the usage of every attempt in one last piece, priced, and has each kept, whoever ended it and how."""

    def __init__(self, inner: ChatModel, meter: Meter, record: RecordCall | None = None) -> None:
        super().__init__(inner)
        self._meter = meter
        self._record = record

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        attempt = _Attempt(request)
        usage: Usage | None = None
        failure: ModelFailure | None = None
        try:
            try:
                async with aclosing(self._inner.stream(request)) as deltas:
                    async for delta in deltas:
                        attempt.see(delta)
                        if delta.text or delta.cut_off:
                            yield replace(delta, usage=None)
                attempt.outcome = OK
            except ModelFailure as error:
                attempt.outcome, failure = error.reason, error
            usage = await self._usage(attempt)
        finally:
            self._keep(attempt, usage)
        if usage.prompt_tokens or usage.completion_tokens:
            yield ChatDelta(usage=usage)
        if failure is not None:
            raise failure

    async def _usage(self, attempt: _Attempt) -> Usage:
        if attempt.is_told or attempt.is_free:
            return self._meter.usage(attempt)
        return await asyncio.to_thread(self._meter.usage, attempt)

    def _keep(self, attempt: _Attempt, usage: Usage | None) -> None:
        """Have the call kept. One that was left in the middle is counted by whoever keeps it: nothing may wait here."""
        if self._record is None:
            return
        ended_s = monotonic()
        ends_at_s = attempt.request.ends_at_s
        if attempt.outcome == CLOSED and ends_at_s is not None and ended_s >= ends_at_s:
            attempt.outcome = ModelFailureReason.TIMEOUT
        meter, lasted_s = self._meter, ended_s - attempt.began_s
        at = datetime.now(UTC)  # the end of the call; it is counted later
        self._record(lambda: replace(meter.call(attempt, usage or meter.usage(attempt), lasted_s), at=at))
