"""A chat model for benchmarks that no endpoint stands behind: it writes from the numbered passages of the prompt, with
the whims of a sampled model. Another seed writes other answers to the same questions; the same seed writes the same.

It leaves sentences out, takes others in, cites a neighbour, gets a number wrong or gives up, each at a rate of its own.
Whether it cites at all is up to the prompt: it does what the instructions ask for.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from math import log
from random import Random

from service.generation.checking.sentences import UnitKind, units_of
from service.generation.citations import NOT_IN_SOURCES, leads_in
from service.generation.models.llm import ChatDelta, ChatMessage, ChatModel, ChatRequest, Usage

_PASSAGE = re.compile(r'<passage number="(\d+)"[^\n]*>\n(.*?)\n</passage>', re.DOTALL)
_QUESTION = re.compile(r"^Question: (.*?)(?=\n\nSentences:|\Z)", re.DOTALL | re.MULTILINE)
_ASKS_FOR_CITATIONS = "the number of the passage"
_WORD = re.compile(r"\w{3,}")
_STEM = 5
_NUMBER = re.compile(r"(?<![\w.-])\d{1,4}(?![\w.-])")
_PIECE = 40
_SENTENCES = 6


@dataclass(frozen=True, slots=True)
class Whims:
    """How noisy it is: shares of sentences or answers, and the `temperature` at which sentences are ranked."""

    temperature: float = 0.12
    left_out: float = 0.12
    neighbour: float = 0.05
    uncited: float = 0.05
    wrong_number: float = 0.03
    given_up: float = 0.02
    cited_unasked: float = 0.1
    """Share of its sentences that bear a citation where nobody asks for one."""


@dataclass(frozen=True, slots=True)
class _Unit:
    text: str
    passage: int
    code: bool


class NoisyWriter:
    """See the module."""

    def __init__(self, seed: int, whims: Whims | None = None) -> None:
        self._seed = seed
        self._whims = whims or Whims()

    @property
    def name(self) -> str:
        return "noisy-writer"

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """See `ChatModel.stream`."""
        body = request.messages[-1].content
        question = _QUESTION.search(body)
        assert question is not None, "the prompt asks a question"
        chance = Random(f"{self._seed}\n{question.group(1)}")
        purpose = request.context.purpose if request.context else "answer"
        asked = any(_ASKS_FOR_CITATIONS in message.content for message in request.messages if message.role == "system")
        said = "DROP" if purpose == "repair" else self._answer(question.group(1), _units(body), chance, cite=asked)
        for start in range(0, len(said), _PIECE):
            yield ChatDelta(said[start : start + _PIECE])
        read = sum(len(message.content) for message in request.messages)
        yield ChatDelta(usage=Usage(read // 4, max(1, len(said) // 4), 0.0))

    def _answer(self, question: str, units: Sequence[_Unit], chance: Random, *, cite: bool) -> str:
        whims = self._whims
        scores = _scores(question, units)
        best = max(scores, default=0.0)
        if chance.random() < whims.given_up + max(0.0, 0.5 - 2 * best):
            return NOT_IN_SOURCES
        noisy = [score - whims.temperature * log(-log(chance.uniform(1e-9, 1 - 1e-9))) for score in scores]
        order = sorted(range(len(units)), key=lambda at: -noisy[at])[:_SENTENCES]
        chosen = [at for at in sorted(order) if chance.random() >= whims.left_out] or order[:1]
        return "\n".join(self._sentence(units[at], units, chance, cite=cite) for at in chosen)

    def _sentence(self, unit: _Unit, units: Sequence[_Unit], chance: Random, *, cite: bool) -> str:
        whims = self._whims
        text, number = unit.text, unit.passage
        wrong = _NUMBER.search(text)
        if wrong and chance.random() < whims.wrong_number:
            text = text[: wrong.start()] + str(int(wrong.group()) + chance.randint(1, 9)) + text[wrong.end() :]
        if chance.random() < whims.neighbour:
            number = chance.choice([one.passage for one in units])
        cites = chance.random() >= whims.uncited if cite else chance.random() < whims.cited_unasked
        if not cites:
            return text
        return f"{text}\n[{number}]" if unit.code else f"{text.rstrip()} [{number}]"


class ForgettingPrompt:
    """A model asked with a prompt that says nothing of citations: rules, examples and marks of passages are gone."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model

    @property
    def name(self) -> str:
        return self._model.name

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """See `ChatModel.stream`."""
        messages = tuple(ChatMessage(one.role, _without_citations(one.content)) for one in request.messages)
        async for delta in self._model.stream(replace(request, messages=messages, structured=None)):
            yield delta


def _without_citations(text: str) -> str:
    lines = [line for line in text.splitlines() if _ASKS_FOR_CITATIONS not in line]
    return re.sub(r" ?\[\d+\]", "", "\n".join(lines))


def _units(body: str) -> list[_Unit]:
    """What stands in the passages, without the marks that the prompt put behind it."""
    found = []
    for match in _PASSAGE.finditer(body):
        number, text = (
            int(match.group(1)),
            re.sub(rf"[ \n]\[{match.group(1)}\]$", "", match.group(2), flags=re.MULTILINE),
        )
        for unit in units_of(text):
            said = text[unit.start : unit.end].strip()
            if unit.kind is not UnitKind.HEADING and not leads_in(said) and len(_WORD.findall(said)) >= 2:
                found.append(_Unit(said, number, unit.kind is UnitKind.CODE))
    return found


def _scores(question: str, units: Sequence[_Unit]) -> list[float]:
    """Share of the question's words that each holds, rare ones counting more; those of the first passages are ahead."""
    words = [_stems(unit.text) for unit in units]
    asked = _stems(question)
    weight = {stem: log(1 + len(units) / (1 + sum(stem in one for one in words))) for stem in asked}
    whole = sum(weight.values()) or 1.0
    return [
        sum(weight[stem] for stem in asked & one) / whole + 0.3 / unit.passage
        for unit, one in zip(units, words, strict=True)
    ]


def _stems(text: str) -> frozenset[str]:
    return frozenset(word.casefold()[:_STEM] for word in _WORD.findall(text))
