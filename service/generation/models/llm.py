"""The one seam to a language model: a stream of text pieces. Leaves vendors to `providers`, limits to `resilience`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal, Protocol, TypeVar

N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Structured:
    """The same request worded for an endpoint that holds its output to a JSON schema."""

    messages: tuple[ChatMessage, ...]
    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CallContext:
    """Whom a call is made for and why: what its bill is filed under. Never sent to the endpoint."""

    tenant: str
    answer_id: str | None
    purpose: str
    tier: str
    prompt_version: str | None = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A conversation to go on with. `structured` is sent instead of `messages` where the endpoint takes a schema.

    `ends_at_s`: when the answer must be complete, on the clock of `time.monotonic`; the wrappers may shorten it.
    """

    messages: tuple[ChatMessage, ...]
    max_output_tokens: int
    temperature: float = 0.0
    structured: Structured | None = None
    context: CallContext | None = None
    ends_at_s: float | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and their price. None: not known; a price that is not known is never 0.

    `estimated`: counted by this service, because the endpoint did not tell. `cached_prompt_tokens` are the part of
    `prompt_tokens` that the endpoint had read before, which most sell for less.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    estimated: bool = False
    cached_prompt_tokens: int = 0

    def plus(self, other: Usage) -> Usage:
        """Both together. What is not known of one is not known of both."""
        return Usage(
            _sum(self.prompt_tokens, other.prompt_tokens),
            _sum(self.completion_tokens, other.completion_tokens),
            _sum(self.cost_usd, other.cost_usd),
            self.estimated or other.estimated,
            self.cached_prompt_tokens + other.cached_prompt_tokens,
        )


@dataclass(frozen=True, slots=True)
class ChatDelta:
    """A piece of the answer. The last ones may carry the usage and no text.

    What the wrappers give out has one usage for each attempt that cost something: they add up (`Usage.plus`).
    `cut_off`: the endpoint stopped here because it reached `max_output_tokens`, not because the answer was complete.
    `structured`: the text is a piece of the JSON that `ChatRequest.structured` asks for.
    """

    text: str = ""
    usage: Usage | None = None
    cut_off: bool = False
    structured: bool = False


class ChatModel(Protocol):
    """Something that answers a conversation. Real ones: an endpoint, and the wrappers of `resilience`, `metering`."""

    @property
    def name(self) -> str:
        """The model's name as an answer states it."""
        ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """Pieces of the answer as they arrive. Closing the generator ends the call.

        Raises:
            ModelFailure: with the reason, whatever went wrong at the endpoint.
        """
        ...


@dataclass(frozen=True, slots=True)
class Completed:
    """A whole answer: what its pieces said together."""

    text: str
    usage: Usage
    structured: bool = False
    cut_off: bool = False


async def complete(model: ChatModel, request: ChatRequest) -> Completed:
    """The whole answer of a call, with the usage of all its attempts. Raises: see `ChatModel.stream`."""
    text, usages, structured, cut_off = "", list[Usage](), False, False
    async with aclosing(model.stream(request)) as deltas:
        async for delta in deltas:
            text += delta.text
            usages += [delta.usage] if delta.usage else []
            structured = structured or delta.structured
            cut_off = cut_off or delta.cut_off
    return Completed(text, reduce(Usage.plus, usages) if usages else Usage(), structured, cut_off)


@dataclass(frozen=True, slots=True)
class Models:
    """The models that may write: None where there is none. Each has its own breaker and slots."""

    fast: ChatModel | None = None
    strong: ChatModel | None = None

    def __bool__(self) -> bool:
        return self.fast is not None or self.strong is not None

    @property
    def names(self) -> str:
        """The names of both."""
        return "+".join(model.name for model in (self.fast, self.strong) if model is not None)


def _sum(a: N | None, b: N | None) -> N | None:
    return None if a is None or b is None else a + b
