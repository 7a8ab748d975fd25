"""Prose by a model: read as it streams, judged, held back, mended once, and asked of a stronger model if need be.

Which model begins is decided by `routing`, what may be shown by `holding`. What stands in for a model that fails is
left to `answering`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from time import monotonic, perf_counter

import structlog

from service.errors import ModelFailure, ModelFailureReason
from service.generation.answers import RefusalReason, SentenceEvent, Tier
from service.generation.checking.attribution import Judged
from service.generation.citations import NOT_IN_SOURCES, CitedSentence
from service.generation.declining import declines
from service.generation.holding import HoldBack
from service.generation.languages import Languages
from service.generation.mending import mend
from service.generation.models.llm import ChatDelta, Models, Usage
from service.generation.prompts import Prompt, PromptPurpose, load_prompt
from service.generation.routing import Writer, route, signals_of
from service.generation.run import UNSUPPORTED_MESSAGE, Run
from service.generation.structured import AnswerReader
from service.settings import LLMSettings, Policy, ServiceSettings

log = structlog.get_logger(__name__)

_CHARACTERS_PER_TOKEN = 12
"""No tokenizer's average comes near; beyond so much text an endpoint is ignoring the limit it was given."""

_LAST_WORDS = 100
"""Characters that a model may go on after it said that there is no answer: the end of its call tells the tokens."""


@dataclass(slots=True)
class _Said:
    """What came of one call, beside its sentences."""

    characters: int = 0
    cut_off: bool = False
    usage: Usage | None = None

    def take(self, delta: ChatDelta) -> None:
        """Take note of a piece."""
        self.cut_off = self.cut_off or delta.cut_off
        self.characters += len(delta.text.strip())
        if delta.usage is not None:
            self.usage = delta.usage if self.usage is None else self.usage.plus(delta.usage)


@dataclass(frozen=True, slots=True)
class _Way:
    """How one of the models is asked."""

    prompt: Prompt
    max_output_tokens: int
    temperature: float

    @classmethod
    def of(cls, llm: LLMSettings) -> _Way:
        return cls(load_prompt(llm.prompt, PromptPurpose.ANSWER), llm.max_output_tokens, llm.temperature)


class ModelWriting:
    """Writes answers with the models there are; holds no state of an answer."""

    def __init__(self, models: Models, settings: ServiceSettings) -> None:
        self._models = models
        self._settings = settings.answers
        strong = settings.llm_strong.beside(settings.llm) or settings.llm
        self._ways = {tier: _Way.of(llm) for tier, llm in ((Tier.FAST, settings.llm), (Tier.STRONG, strong))}
        self._languages = Languages()

    async def write(self, run: Run) -> AsyncGenerator[SentenceEvent, None]:
        """Verified sentences of a model, or `run.refusal`. A second one is asked if nothing of the first can be shown.

        Raises:
            ModelFailure: it failed, said nothing, or nothing that one of the passages says.
        """
        writers, decision = await asyncio.to_thread(
            route,
            run.asking.query.tier,
            self._models,
            lambda: signals_of(run.reader, run.question, run.evidence, run.result.relevance),
        )
        run.decisions.append(decision)
        for at, writer in enumerate(writers):
            successor = writers[at + 1] if at + 1 < len(writers) else None
            try:
                async with aclosing(self._turn(run, writer, successor)) as events:
                    async for event in events:
                        yield event
                return
            except ModelFailure as failure:
                if successor is None or run.draft.sentences or not self._in_time(run):
                    raise
                run.decide("escalation", successor.tier, failure.reason)
                run.restart()

    async def _turn(self, run: Run, writer: Writer, successor: Writer | None) -> AsyncGenerator[SentenceEvent, None]:
        """The sentences of one model. With a `successor` it fails rather than show what is not supported."""
        way = self._ways[writer.tier]
        run.tier, run.model, run.prompt_version = writer.tier, writer.model.name, way.prompt.version

        def mendable() -> bool:
            another = successor is not None and not run.draft.sentences
            return (another or self._settings.repair) and self._in_time(run)

        hold = HoldBack(run.policy, mendable=mendable)
        said = _Said()
        try:
            async with aclosing(self._sentences(run, writer, said)) as sentences:
                async for sentence in sentences:
                    for event in run.show(hold.pass_on(await self._judged(run, sentence))):
                        yield event
        except ModelFailure:
            if successor is None or run.draft.sentences:
                for event in run.show(hold.release()):
                    yield event
                run.withheld = hold.withheld
            raise
        if run.refusal is not None:
            return
        for event in run.show(hold.pass_on(await self._judged(run, None))):
            yield event
        if hold.failing() and self._in_time(run):
            if successor is not None and not run.draft.sentences:
                raise ModelFailure(ModelFailureReason.UNSUPPORTED, "the passages do not support what was written")
            if self._settings.repair:
                await self._mend(run, successor or writer, hold)
        for event in run.show(hold.release()):
            yield event
        run.withheld = hold.withheld
        self._conclude(run, said)

    def _conclude(self, run: Run, said: _Said) -> None:
        """Nothing, if there is something to show for the call.

        Raises:
            ModelFailure: there is nothing, or not all.
        """
        if said.cut_off:
            raise ModelFailure(ModelFailureReason.TRUNCATED, "the answer is longer than it may be")
        if run.draft.sentences:
            return
        if run.withheld and run.policy is Policy.STRICT:
            run.refuse(RefusalReason.NOT_IN_SOURCES, UNSUPPORTED_MESSAGE)
        elif run.withheld:
            raise ModelFailure(ModelFailureReason.UNSUPPORTED, "the passages support nothing of what was written")
        else:
            reason = ModelFailureReason.UNCITED if said.characters else ModelFailureReason.EMPTY
            raise ModelFailure(reason, "the model gave nothing that can be checked")

    async def _sentences(self, run: Run, writer: Writer, said: _Said) -> AsyncGenerator[CitedSentence, None]:
        """What the model writes, sentence by sentence; ends at once with `run.refusal` where it says there is nothing.

        Raises:
            ModelFailure: see `ChatModel.stream`; besides, an answer without end.
        """
        way = self._ways[writer.tier]
        prompt = way.prompt.render(run.question, [passage.indexed for passage in run.passages], run.old)
        request = replace(
            prompt.request(way.max_output_tokens, way.temperature),
            context=run.asking.context("answer", writer.tier, way.prompt.version),
        )
        reader = AnswerReader(len(run.passages))
        room = way.max_output_tokens * _CHARACTERS_PER_TOKEN
        try:
            async with aclosing(writer.model.stream(request)) as deltas:
                async for delta in deltas:
                    said.take(delta)
                    if said.characters > room and run.refusal is None:
                        raise ModelFailure(
                            ModelFailureReason.SERVER_ERROR, "the endpoint ignores the length it was given"
                        )
                    if run.refusal is None:
                        for sentence in self._telling(run, reader.feed(delta)):
                            yield sentence
                        room = room if run.refusal is None else said.characters + _LAST_WORDS
                    elif said.characters > room:
                        return
            if run.refusal is None:
                for sentence in self._telling(run, reader.close(cut_off=said.cut_off)):
                    yield sentence
        finally:
            run.usages.append(said.usage or Usage())

    def _telling(self, run: Run, sentences: Sequence[CitedSentence]) -> list[CitedSentence]:
        """The sentences without one that says that there is no answer, which is a refusal if nothing came before it."""
        told = []
        for sentence in sentences:
            if NOT_IN_SOURCES not in sentence.text:
                told.append(sentence)
            elif not told and not run.draft.begun:
                run.refuse(RefusalReason.NOT_IN_SOURCES)
                break
        return told

    async def _judged(self, run: Run, sentence: CitedSentence | None) -> list[Judged]:
        """The verdicts that a sentence brings, or the end of the answer, found in a thread: they take some time."""

        def judge() -> list[Judged]:
            if sentence is None:
                return run.draft.close()
            if not run.draft.begun:
                self._listen(run, sentence)
            return run.draft.judge(sentence)

        return await asyncio.to_thread(run.timed, "verify", judge)

    def _listen(self, run: Run, sentence: CitedSentence) -> None:
        """Nothing, if an answer may begin so.

        Raises:
            ModelFailure: the model excuses itself, or speaks another language than whoever asked.
        """
        if not sentence.cites and declines(sentence.text):
            raise ModelFailure(ModelFailureReason.DECLINED, "the model declined to answer")
        if self._languages.answers_in_other_language(run.question, [sentence.text]):
            raise ModelFailure(ModelFailureReason.WRONG_LANGUAGE, "the answer is not in the language of the question")

    async def _mend(self, run: Run, writer: Writer, hold: HoldBack) -> None:
        """Ask once for better sentences in the place of those that fail; if that fails too, they stay as they are."""
        try:
            ends_at_s = monotonic() + self._settings.repair_within_s
            await mend(run, writer, hold, self._ways[writer.tier].max_output_tokens, ends_at_s)
        except ModelFailure as failure:
            log.warning("repair_failed", reason=failure.reason)
            run.decide("repair", writer.model.name, failure.reason)

    def _in_time(self, run: Run) -> bool:
        return perf_counter() - run.asking.began < self._settings.repair_within_s
