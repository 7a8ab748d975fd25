"""The life of an answer: retrieve, see whether there is an answer, write, cite, verify, show. Every part of it is left
to its own module.

A model that fails, says nothing or cites nothing costs prose, never the answer: the sentences of the sources stand in.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Protocol

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
    RefusalReason,
    RetrievalEvent,
    SentenceEvent,
    Tier,
)
from service.generation.caching import AnswerCache, AnswerKey, Recipe, answer_key
from service.generation.checking.entailment.entailment import EntailmentModel
from service.generation.checking.evidence import Evidence, Reader
from service.generation.checking.grounding import MakeScorer, scorers
from service.generation.checking.judging import Judge, with_opinion
from service.generation.conversation import Standalone, standing_alone
from service.generation.extracting.fallback import Extractor
from service.generation.extracting.freshness import LOOKED_AT, OPENING_CHARS, give_way, outdated
from service.generation.models.llm import Models
from service.generation.prompts import JUDGE_PROMPT, REWRITE_PROMPT
from service.generation.run import Asking, Run
from service.generation.writing import ModelWriting
from service.retrieval.results import RelevanceLabel, SearchResult, Segment
from service.settings import Caching, ServiceSettings

log = structlog.get_logger(__name__)

Retrieve = Callable[[Scope, AnswerQuery], SearchResult]
"""Blocking search for a question; runs in a worker thread."""
ContentOf = Callable[[Scope, Document], str]
"""Blocking read of a document's normalised text."""


@dataclass(frozen=True, slots=True)
class Means:
    """What answers are made with beside models. Each may be missing, and then is done without.

    content_of  reads documents, so that those that say at their top that they were replaced give way to current ones
    embedder    lets what is extracted be chosen by meaning and not by words alone
    cache       keeps a model's answers, to be given again
    entailment  tells how probable it is that passages say a sentence; words alone decide without
    judge       a model's opinion on the verdicts of some answers, for comparison
    make_scorer what gives the verdicts, where it is not the one of `entailment`
    """

    content_of: ContentOf | None = None
    embedder: Embedder | None = None
    cache: AnswerCache | None = None
    entailment: EntailmentModel | None = None
    judge: Judge | None = None
    make_scorer: MakeScorer | None = None

    def scorers(self) -> MakeScorer:
        """What gives the verdicts."""
        return self.make_scorer or scorers(self.entailment)


class Answering(Protocol):
    """Something that answers: one answerer, or whichever is live."""

    def answer(
        self, scope: Scope, query: AnswerQuery, answer_id: str | None = None
    ) -> AsyncGenerator[AnswerEvent, None]:
        """As `Answerer.answer`."""
        ...


class Answerer:
    """Answers questions from passages; without models all are extracted. Safe for concurrent calls on one loop."""

    def __init__(
        self,
        retrieve: Retrieve,
        models: Models,
        settings: ServiceSettings,
        means: Means | None = None,
    ) -> None:
        self._retrieve = retrieve
        self._models = models
        self._settings = settings
        self._means = means or Means()
        self._make_scorer = self._means.scorers()
        self._writing = ModelWriting(models, settings)

    async def answer(
        self, scope: Scope, query: AnswerQuery, answer_id: str | None = None
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Events of one answer: retrieval, verified sentences, grounding, done. Closing it ends the model's call too.

        `answer_id` is what the calls to models are recorded under.

        Raises:
            PlumblineError: retrieval failed; a failing model never raises.
        """
        asking = Asking(scope, query, answer_id or str(uuid.uuid4()), perf_counter())
        standing = await self._standalone(asking)
        searching = perf_counter()
        result, old = await asyncio.to_thread(self._find, scope, replace(query, question=standing.question))
        found = perf_counter()
        yield RetrievalEvent(result, standing.question)
        run = self._begin(asking, standing, result, old)
        writing = perf_counter()
        async with aclosing(self._write(run)) as events:
            async for event in events:
                yield event
        ended = perf_counter()
        spent = {
            **({"rewrite": searching - asking.began} if standing.decision is not None else {}),
            "retrieve": found - searching,
            "generate": ended - writing - sum(run.spent_s.values()),
            "verify": 0.0,
            **run.spent_s,
            "total": ended - asking.began,
        }
        answer = run.answer({stage: round(seconds * 1000, 2) for stage, seconds in spent.items()})
        if answer.grounding is not None:
            yield GroundingEvent(answer.grounding)
        answer = await self._judged(run, answer)
        _log(answer)
        await self._keep(run, answer)
        rewriting = [Segment("rewrite", asking.began, searching)] if standing.decision is not None else []
        retrieving, generating = Segment("retrieve", searching, found), Segment("generate", writing, ended)
        yield DoneEvent(answer, (*rewriting, retrieving, generating, *run.segments))

    async def _standalone(self, asking: Asking) -> Standalone:
        """The question as one that needs no history."""
        model = self._models.fast or self._models.strong if self._settings.answers.rewrite else None
        tier = Tier.FAST if self._models.fast is not None else Tier.STRONG
        return await standing_alone(asking.query, model, asking.context("rewrite", tier, REWRITE_PROMPT))

    def _begin(self, asking: Asking, standing: Standalone, result: SearchResult, old: frozenset[int]) -> Run:
        # a reader per answer: its stemmer may move to a worker thread but is never used by two at once
        reader = Reader()
        evidence = [Evidence.of(reader, passage.indexed) for passage in result.passages]
        scorer = self._make_scorer(reader, evidence)
        return Run(
            asking=asking,
            question=standing.question,
            result=result,
            old=old,
            policy=asking.query.unsupported or self._settings.answers.unsupported,
            reader=reader,
            evidence=evidence,
            scorer=scorer,
            extractor=Extractor(reader, scorer, self._means.embedder),
            usages=[standing.usage] if standing.usage is not None else [],
            decisions=[standing.decision] if standing.decision is not None else [],
        )

    def _find(self, scope: Scope, query: AnswerQuery) -> tuple[SearchResult, frozenset[int]]:
        """What was found, cut to what is answered from, and which of it comes from replaced documents. Blocking."""
        result = self._retrieve(scope, query)
        most = self._settings.retrieval.answer_passages
        passages = result.passages[: most * LOOKED_AT]
        openings: dict[DocumentKey, str] = {}
        if self._means.content_of is not None and result.relevance.label is not RelevanceLabel.NONE:
            for document in {passage.indexed.document.key: passage.indexed.document for passage in passages}.values():
                with suppress(NotFound):  # deleted since it was found
                    openings[document.key] = self._means.content_of(scope, document)[:OPENING_CHARS]
        chosen = give_way(passages, outdated(passages, openings), most)
        return replace(result, passages=chosen), outdated(chosen, openings)

    async def _write(self, run: Run) -> AsyncGenerator[SentenceEvent, None]:
        if run.result.relevance.label is RelevanceLabel.NONE or not run.passages:
            run.refuse(RefusalReason.NOTHING_RELEVANT)
            return
        if not self._models:
            for event in await self._stand_in(run, ModelFailureReason.NOT_CONFIGURED):
                yield event
            return
        if await self._is_hopeless(run):
            run.refuse(RefusalReason.NOT_IN_SOURCES)
            return
        if self._settings.answers.cache is Caching.ALWAYS and await self._recall(run):
            for event in run.replay():
                yield event
            return
        try:
            async with aclosing(self._writing.write(run)) as events:
                async for event in events:
                    yield event
        except ModelFailure as error:
            log.warning("model_failed", reason=error.reason, sentences_shown=len(run.draft.sentences))
            for event in await self._stand_in(run, error.reason):
                yield event

    async def _is_hopeless(self, run: Run) -> bool:
        """Whether the passages hold no answer so surely that no model need be paid to say so."""

        def estimate() -> float:
            return run.extractor.answerable(run.question, run.passages, run.result.relevance)

        least = self._settings.answers.min_answerability
        likely = await asyncio.to_thread(run.timed, "gate", estimate) if least > 0 else 1.0
        if likely < least:
            run.decide("answerability", "no model asked", f"{likely:.2f} is below {least:.2f}")
        return likely < least

    async def _judged(self, run: Run, answer: Answer) -> Answer:
        """The answer with a model's opinion beside its verdicts, if it is one of those that are asked about."""
        judge = self._means.judge
        if judge is None or not answer.answered or answer.model is None or not judge.is_sampled():
            return answer
        told = await judge.judge(
            run.question,
            [sentence.text for sentence in answer.sentences],
            [passage.indexed for passage in run.passages],
            run.asking.context("judge", run.tier or Tier.AUTO, JUDGE_PROMPT),
        )
        sentences = tuple(map(with_opinion, answer.sentences, told.opinions))
        return replace(answer, sentences=sentences, usage=answer.usage.plus(told.usage))

    async def _stand_in(self, run: Run, failure: ModelFailureReason) -> Sequence[SentenceEvent]:
        """What is shown in the place of a model's answer: nothing where a part of that is shown already."""
        if run.draft.sentences:
            kept = failure if failure is ModelFailureReason.TRUNCATED else ModelFailureReason.INTERRUPTED
            run.degraded = Degraded(kept, DegradedMode.PARTIAL)
            return ()
        if self._models and self._settings.answers.cache is not Caching.OFF and await self._recall(run):
            run.degraded = Degraded(failure, DegradedMode.CACHED)
            return run.replay()
        run.degraded = Degraded(failure, DegradedMode.EXTRACTIVE)
        run.model = run.prompt_version = run.tier = None
        return await self._extract(run)

    async def _recall(self, run: Run) -> bool:
        """Whether a model answered the same before, over the same passages; `run.cached` then is that answer."""
        if self._means.cache is None:
            return False
        run.cached = await asyncio.to_thread(self._means.cache.get, run.asking.scope, self._key(run))
        if run.cached is not None:
            run.decide("cache", "used")
        return run.cached is not None

    async def _keep(self, run: Run, answer: Answer) -> None:
        if self._means.cache is not None and run.cached is None and self._settings.answers.cache is not Caching.OFF:
            await asyncio.to_thread(self._means.cache.put, run.asking.scope, self._key(run), answer)

    def _key(self, run: Run) -> AnswerKey:
        recipe = Recipe(
            policy=run.policy,
            language="",  # the question's own, so that the question tells it
            prompt_version=self._settings.llm.prompt,
            model=self._models.names,
            tier=run.asking.query.tier,
        )
        return answer_key(run.asking.scope, run.question, run.passages, run.old, recipe)

    async def _extract(self, run: Run) -> list[SentenceEvent]:
        """Sentences of the sources, or a refusal where they don't answer."""
        run.restart()
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


def _log(answer: Answer) -> None:
    log.info(
        "answer_finished",
        answered=answer.answered,
        sentences=len(answer.sentences),
        grounding=answer.grounding.label if answer.grounding else None,
        refusal=answer.refusal.reason if answer.refusal else None,
        degraded=answer.degraded.reason if answer.degraded else None,
        **{f"{stage}_ms": value for stage, value in answer.timings_ms.items()},
    )
