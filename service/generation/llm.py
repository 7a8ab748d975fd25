"""The one seam to a language model: a stream of text pieces. Leaves vendors to `providers`, limits to `resilience`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol


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
class ChatRequest:
    """A conversation to go on with. `structured` is sent instead of `messages` where the endpoint takes a schema."""

    messages: tuple[ChatMessage, ...]
    max_output_tokens: int
    temperature: float = 0.0
    structured: Structured | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer as the endpoint counted them, and their price. None: not told, never an estimate."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class ChatDelta:
    """A piece of the answer. The last ones may carry the usage and no text.

    `cut_off`: the endpoint stopped here because it reached `max_output_tokens`, not because the answer was complete.
    `structured`: the text is a piece of the JSON that `ChatRequest.structured` asks for.
    """

    text: str = ""
    usage: Usage | None = None
    cut_off: bool = False
    structured: bool = False


class ChatModel(Protocol):
    """Something that answers a conversation. Two real ones: an endpoint, and the wrappers of `resilience`."""

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
class Models:
    """The models that may write: None where there is none."""

    fast: ChatModel | None = None
    strong: ChatModel | None = None

    def __bool__(self) -> bool:
        return self.fast is not None or self.strong is not None

    @property
    def names(self) -> str:
        """The names of both."""
        return "+".join(model.name for model in (self.fast, self.strong) if model is not None)
