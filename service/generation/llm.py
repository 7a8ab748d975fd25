"""The one seam to a language model: a stream of text pieces. Leaves vendors to `providers`, limits to `resilience`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


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
    """

    text: str = ""
    usage: Usage | None = None
    cut_off: bool = False


class ChatModel(Protocol):
    """Something that answers a conversation. Two real ones: an endpoint, and the wrappers of `resilience`."""

    @property
    def name(self) -> str:
        """The model's name as an answer states it."""
        ...

    def stream(
        self, messages: Sequence[ChatMessage], *, max_output_tokens: int, temperature: float
    ) -> AsyncGenerator[ChatDelta, None]:
        """Pieces of the answer as they arrive. Closing the generator ends the call.

        Raises:
            ModelFailure: with the reason, whatever went wrong at the endpoint.
        """
        ...
