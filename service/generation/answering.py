"""The life of an answer: retrieve, write, cite, verify, show. Every part of it is left to its own module.

A model that fails, says nothing or cites nothing costs prose, never the answer: the sentences of the sources stand in.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from time import perf_counter

import structlog

from ingestion.corpus.embedding import Embedder
from ingestion.corpus.records import Document, DocumentKey
from ingestion.corpus.scope import Scope
from ingestion.errors import NotFound
from service.errors import ModelFailure, ModelFailureReason
from service.generation.answers import (
    Answer,
    AnswerEvent,
    AnswerQuery,
    Degraded,
    DegradedMode,
    DoneEvent,
    GroundingEvent,
    Refusal,
    RefusalReason,
    RetrievalEvent,
    SentenceEvent,
)
from service.generation.citations import NOT_IN_SOURCES, CitationParser, CitedSentence
from service.generation.drafting import Draft
from service.generation.evidence import Reader
from service.generation.fallback import Extractor
from service.generation.freshness import OPENING_CHARS, outdated
from service.generation.grounding import GroundingScorer
from service.generation.llm import ChatModel, ChatRequest, Usage
from service.generation.prompts import load_prompt
from service.retrieval.results import Passage, RelevanceLabel, SearchResult
from service.settings import LLMSettings

log = structlog.get_logger(__name__)

Retrieve = Callable[[Scope, AnswerQuery], SearchResult]
"""Blocking search for a question; runs in a worker thread."""
ContentOf = Callable[[Scope, Document], str]
"""Blocking read of a document's normalised text."""

_MESSAGES = {
    RefusalReason.NOTHING_RELEVANT: "Nothing in the documents you may read is about this question.",
    RefusalReason.NOT_IN_SOURCES: "The documents touch on this question but do not answer it.",
}
_FOLLOW_UP = re.compile(
    r"^\s*(?:and|but|so|then|also|what about|how about)\b|\b(?:it|its|that|those|these|this|they|them|there|ones?)\b",
    re.IGNORECASE,
)
_SHORT_QUESTION_WORDS = 4
_REMEMBERED_TURNS = 2
_CHARACTERS_PER_TOKEN = 12
"""No tokenizer's average comes near; beyond so much text an endpoint is ignoring the limit it was given."""


@dataclass(slots=True)
class _Run:
    """What one answer has come to so far."""

    question: str
    passages: Sequence[Passage]
    old: frozenset[int]
    result: SearchResult
    draft: Draft
    extractor: Extractor
    refusal: Refusal | None = None
    degraded: Degraded | None = None
    model: str | None = None
    prompt_version: str | None = None
    usage: Usage = field(default_factory=lambda: Usage(0, 0, 0.0))
    verify_s: float = 0.0

    def refuse(self, reason: RefusalReason) -> None:
        self.refusal = Refusal(reason, _MESSAGES[reason])

    def show(self, sentence: CitedSentence | None) -> list[SentenceEvent]:
        """Events that a model's sentence brings, verified; with None, those that the end of the answer brings."""
        started = perf_counter()
        events = self.draft.close() if sentence is None else self.draft.add(sentence)
        self.verify_s += perf_counter() - started
        return events


class Answerer:
    """Answers questions from passages; with `model` None all are extracted. Safe for concurrent calls on one loop.

    With `content_of`, documents that say at their top that they were replaced give way to current ones. With
    `embedder`, what is extracted is chosen by meaning and not by words alone.
    """

    def __init__(
        self,
        retrieve: Retrieve,
        model: ChatModel | None,
        settings: LLMSettings,
        *,
        max_passages: int = 6,
        content_of: ContentOf | None = None,
        embedder: Embedder | None = None,
    ) -> None:
        self._retrieve = retrieve
        self._model = model
        self._settings = settings
        self._max_passages = max_passages
        self._content_of = content_of
        self._embedder = embedder
        self._prompt = load_prompt()

    async def answer(self, scope: Scope, query: AnswerQuery) -> AsyncGenerator[AnswerEvent, None]:
        """Events of one answer: retrieval, verified sentences, grounding, done. Closing it ends the model's call too.

        Raises:
            PlumblineError: retrieval failed; a failing model never raises.
        """
        started = perf_counter()
        question = resolve_question(query)
        result, old = await asyncio.to_thread(self._find, scope, replace(query, question=question))
        retrieved = perf_counter()
        yield RetrievalEvent(result, question)
        run = self._run(question, result, old)
        writing = perf_counter()
        async with aclosing(self._write(run)) as events:
            async for event in events:
                yield event
        ended = perf_counter()
        timings = {
            "retrieve": retrieved - started,
            "generate": ended - writing - run.verify_s,
            "verify": run.verify_s,
            "total": ended - started,
        }
        answer = _answer(run, {stage: round(seconds * 1000, 2) for stage, seconds in timings.items()})
        if answer.grounding is not None:
            yield GroundingEvent(answer.grounding)
        log.info(
            "answer_finished",
            answered=answer.answered,
            sentences=len(answer.sentences),
            grounding=answer.grounding.label if answer.grounding else None,
            refusal=answer.refusal.reason if answer.refusal else None,
            degraded=answer.degraded.reason if answer.degraded else None,
            **{f"{stage}_ms": value for stage, value in answer.timings_ms.items()},
        )
        yield DoneEvent(answer)

    def _find(self, scope: Scope, query: AnswerQuery) -> tuple[SearchResult, frozenset[int]]:
        """What was found, and which of its passages come from documents that were replaced. Blocking."""
        result = self._retrieve(scope, query)
        passages = result.passages[: self._max_passages]
        openings: dict[DocumentKey, str] = {}
        if self._content_of is not None and result.relevance.label is not RelevanceLabel.NONE:
            for document in {passage.indexed.document.key: passage.indexed.document for passage in passages}.values():
                with suppress(NotFound):  # deleted since it was found
                    openings[document.key] = self._content_of(scope, document)[:OPENING_CHARS]
        return result, outdated(passages, openings)

    def _run(self, question: str, result: SearchResult, old: frozenset[int]) -> _Run:
        # a reader per answer: its stemmer may move to a worker thread but is never used by two at once
        reader = Reader()
        scorer = GroundingScorer(reader)
        passages = result.passages[: self._max_passages]
        draft = Draft(reader, scorer, passages, question, old)
        return _Run(question, passages, old, result, draft, Extractor(reader, scorer, self._embedder))

    async def _write(self, run: _Run) -> AsyncGenerator[SentenceEvent, None]:
        if run.result.relevance.label is RelevanceLabel.NONE or not run.passages:
            run.refuse(RefusalReason.NOTHING_RELEVANT)
            return
        if self._model is None:
            failure: ModelFailureReason | None = ModelFailureReason.NOT_CONFIGURED
        else:
            failure = None
            try:
                async with aclosing(self._generate(self._model, run)) as events:
                    async for event in events:
                        yield event
            except ModelFailure as error:
                failure = error.reason
                log.warning("model_failed", reason=error.reason, sentences_shown=len(run.draft.sentences))
        if failure is None:
            return
        if run.draft.sentences:
            kept = failure if failure is ModelFailureReason.TRUNCATED else ModelFailureReason.INTERRUPTED
            run.degraded = Degraded(kept, DegradedMode.PARTIAL)
            return
        run.degraded = Degraded(failure, DegradedMode.EXTRACTIVE)
        run.model = run.prompt_version = None
        for event in await self._extract(run):
            yield event

    async def _generate(self, model: ChatModel, run: _Run) -> AsyncGenerator[SentenceEvent, None]:
        """A model's sentences, verified.

        Raises:
            ModelFailure: it failed, said nothing, or nothing that one of the passages says.
        """
        run.model, run.prompt_version = model.name, self._prompt.version
        run.usage = Usage()
        messages = self._prompt.render(run.question, [passage.indexed for passage in run.passages], run.old)
        parser = CitationParser(len(run.passages))
        room = self._settings.max_output_tokens * _CHARACTERS_PER_TOKEN
        received, cut_off = 0, False
        stream = model.stream(ChatRequest(messages, self._settings.max_output_tokens, self._settings.temperature))
        async with aclosing(stream) as deltas:
            async for delta in deltas:
                run.usage = delta.usage or run.usage
                cut_off = cut_off or delta.cut_off
                received += len(delta.text.strip())
                if received > room:
                    raise ModelFailure(ModelFailureReason.SERVER_ERROR, "the endpoint ignores the length it was given")
                for event in self._shown(run, parser.feed(delta.text)):
                    yield event
                if run.refusal is not None:
                    return
        for event in self._shown(run, parser.close(cut_off=cut_off)):
            yield event
        if run.refusal is not None:
            return
        for event in run.show(None):
            yield event
        if cut_off:
            raise ModelFailure(ModelFailureReason.TRUNCATED, "the answer is longer than it may be")
        if not run.draft.sentences:
            reason = ModelFailureReason.UNCITED if received else ModelFailureReason.EMPTY
            raise ModelFailure(reason, "the model gave nothing that can be checked")

    def _shown(self, run: _Run, sentences: Sequence[CitedSentence]) -> list[SentenceEvent]:
        events: list[SentenceEvent] = []
        for sentence in sentences:
            if NOT_IN_SOURCES not in sentence.text:
                events += run.show(sentence)
            elif not run.draft.sentences:
                run.refuse(RefusalReason.NOT_IN_SOURCES)
                return events
        return events

    async def _extract(self, run: _Run) -> list[SentenceEvent]:
        """Sentences of the sources, or a refusal where they don't answer."""
        extracts = await asyncio.to_thread(
            run.extractor.extract, run.question, run.passages, run.result.relevance, run.old
        )
        if not extracts:
            run.refuse(RefusalReason.NOT_IN_SOURCES)
        return [run.draft.add_extract(extract) for extract in extracts]


async def collect(events: AsyncIterator[AnswerEvent]) -> Answer:
    """The whole answer of a stream of events: what is not streamed takes the same path."""
    answer: Answer | None = None
    async for event in events:
        if isinstance(event, DoneEvent):
            answer = event.answer
    assert answer is not None, "a stream of answer events ends with `done`"
    return answer


def resolve_question(query: AnswerQuery) -> str:
    """The question with the user's last turns before it where it can't stand alone: short, or pointing back."""
    asked = query.question.strip()
    earlier = [turn.content.strip() for turn in query.history if turn.role == "user"][-_REMEMBERED_TURNS:]
    if not earlier or not (len(asked.split()) <= _SHORT_QUESTION_WORDS or _FOLLOW_UP.search(asked)):
        return asked
    return "\n".join((*earlier, asked))


def _answer(run: _Run, timings_ms: dict[str, float]) -> Answer:
    draft = run.draft
    return Answer(
        answered=bool(draft.sentences),
        text=draft.text,
        sentences=tuple(draft.sentences),
        citations=tuple(draft.citations),
        grounding=draft.grounding() if draft.sentences else None,
        relevance=run.result.relevance,
        refusal=run.refusal,
        degraded=run.degraded,
        model=run.model,
        prompt_version=run.prompt_version,
        usage=run.usage,
        timings_ms=timings_ms,
    )
