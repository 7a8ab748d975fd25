"""Listens in on a chat model: what it sent, and when. What is made of it is left to `answers`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from time import perf_counter

from service.errors import ModelFailure
from service.generation.citations import NOT_IN_SOURCES, CitedSentence, leads_in
from service.generation.models.llm import ChatDelta, ChatModel, ChatRequest
from service.generation.structured import AnswerReader


@dataclass(slots=True)
class Call:
    """One call: when it began, and its pieces with the moments at which they came (`perf_counter`)."""

    started: float
    pieces: list[tuple[float, ChatDelta]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All that the model said."""
        return "".join(delta.text for _, delta in self.pieces)


class TappedModel:
    """A model that is listened to; otherwise it is the model."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model
        self._calls: list[Call] = []

    @property
    def name(self) -> str:
        return self._model.name

    def take(self) -> list[Call]:
        """The calls since this was last asked for."""
        calls, self._calls = self._calls, []
        return calls

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """See `ChatModel.stream`."""
        call = Call(perf_counter())
        self._calls.append(call)
        async with aclosing(self._model.stream(request)) as deltas:
            async for delta in deltas:
                call.pieces.append((perf_counter(), delta))
                yield delta


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """What a model itself said, before anything was checked or mended.

    `valid`: it can be read, cites at least one passage or refuses, and names none that was not shown. `cited` are
    the sentences that bear a citation of their own, of `sentences` in all but those that only introduce.
    """

    valid: bool
    refused: bool
    cited: int
    sentences: int


def raw_answer(call: Call, shown: int) -> RawAnswer:
    """What the model said in that call, with `shown` passages before it."""
    sentences, readable = _read(call.pieces, shown)
    refused = any(sentence.text == NOT_IN_SOURCES for sentence in sentences)
    own = [sentence for sentence in sentences if sentence.text != NOT_IN_SOURCES and not leads_in(sentence.text)]
    cited = sum(bool(sentence.cites) for sentence in own)
    invented = any(sentence.unknown for sentence in sentences)
    return RawAnswer(readable and not invented and (refused or cited > 0), refused, cited, len(own))


def finished_s(call: Call, text: str, shown: int) -> float | None:
    """Seconds from the start of the call until the model had written all of that sentence, its citation included.

    None if it did not write it so. The sentence counts as finished with the first piece after which, had the model
    stopped there, it would have been read as it was in the end.
    """
    wanted = next((sentence for sentence in _read(call.pieces, shown)[0] if sentence.text == text), None)
    if wanted is None:
        return None
    for count in range(1, len(call.pieces) + 1):
        found, _ = _read(call.pieces[:count], shown)
        if any((sentence.text, sentence.cites) == (wanted.text, wanted.cites) for sentence in found):
            return call.pieces[count - 1][0] - call.started
    return None


def _read(pieces: Sequence[tuple[float, ChatDelta]], shown: int) -> tuple[list[CitedSentence], bool]:
    reader = AnswerReader(shown)
    sentences: list[CitedSentence] = []
    try:
        for _, delta in pieces:
            sentences += reader.feed(delta)
        sentences += reader.close(cut_off=any(delta.cut_off for _, delta in pieces))
    except ModelFailure:
        return sentences, False
    return sentences, True
