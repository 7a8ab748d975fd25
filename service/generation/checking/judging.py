"""A chat model's opinion on sentences that were verified: asked for a sample, afterwards, and only to be compared.

No verdict changes by it, and nothing waits for it. When it runs and where its opinion is shown is left to the callers.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from ingestion.corpus.records import IndexedChunk
from service.errors import ModelFailure
from service.generation.answers import AnsweredSentence, Support
from service.generation.models.llm import CallContext, ChatModel, Usage, complete
from service.generation.prompts import JUDGE_PROMPT, PromptPurpose, load_prompt
from service.generation.quoting import quote_passages
from service.generation.structured import without_thinking

_LINE = re.compile(
    r"^[ \t>*-]{0,4}(?:sentence )?(\d{1,3})[*]{0,2}[:.)][*]{0,2}[ \t]*[*\"']{0,2}(yes|no)\b", re.I | re.M
)
JUDGED_CHECK = "judge:"
"""Begins the check that tells the opinion."""
_TOKENS_A_SENTENCE = 8
_SPARE_TOKENS = 64


class Opinion(StrEnum):
    """Whether the model finds a sentence in the passages; what it did not say of one is unknown."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class JudgedSentences:
    """An opinion for each sentence asked about, with what the asking took."""

    opinions: tuple[Opinion, ...]
    usage: Usage


class Judge:
    """Asks for a share of what it is shown. `draw` gives numbers from 0 to 1, by which the share is taken."""

    def __init__(
        self, model: ChatModel, sample: float, *, within_s: float = 60.0, draw: Callable[[], float] = random.random
    ) -> None:
        self._model = model
        self._sample = sample
        self._within_s = within_s
        self._draw = draw
        self._prompt = load_prompt(JUDGE_PROMPT, PromptPurpose.JUDGE)

    def is_sampled(self) -> bool:
        """Whether to ask about this answer."""
        return self._sample > 0 and self._draw() < self._sample

    async def judge(
        self,
        question: str,
        sentences: Sequence[str],
        passages: Sequence[IndexedChunk],
        context: CallContext | None = None,
    ) -> JudgedSentences:
        """The opinions, in the order of the sentences; all unknown where the model fails or is too slow: never raises.

        To be awaited after the answer is complete.
        """
        unknown = JudgedSentences((Opinion.UNKNOWN,) * len(sentences), Usage())
        if not sentences:
            return unknown
        numbered = "\n".join(f"{at}: {' '.join(text.split())}" for at, text in enumerate(sentences, 1))
        prompt = self._prompt.fill(
            passages=quote_passages(passages, frozenset(), self._prompt.quoting),
            question=self._prompt.quote(question),
            sentences=self._prompt.quote(numbered),
        )
        request = prompt.request(_SPARE_TOKENS + _TOKENS_A_SENTENCE * len(sentences))
        try:
            async with asyncio.timeout(self._within_s):
                completed = await complete(self._model, replace(request, context=context))
        except (ModelFailure, TimeoutError):
            return unknown
        return JudgedSentences(read_opinions(completed.text, len(sentences)), completed.usage)


def read_opinions(answer: str, asked: int) -> tuple[Opinion, ...]:
    """What the model said of each sentence; of two lines on one sentence the first counts."""
    found: dict[int, Opinion] = {}
    for number, word in _LINE.findall(without_thinking(answer)):
        found.setdefault(int(number), Opinion(word.lower()))
    return tuple(found.get(at, Opinion.UNKNOWN) for at in range(1, asked + 1))


def with_opinion(sentence: AnsweredSentence, opinion: Opinion) -> AnsweredSentence:
    """The sentence with `judge:yes` or `judge:no` among its checks; label and score stay."""
    if opinion is Opinion.UNKNOWN:
        return sentence
    support = sentence.support
    return replace(
        sentence, support=Support(support.label, support.score, (*support.checks, f"{JUDGED_CHECK}{opinion}"))
    )
