"""Keeps a trace of every operation: counts it at once, and leaves the rest to the ledger's thread.

What the trace holds is left to `bodies`, what its words may be to `service.ledger.masking`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from ingestion.errors import PlumblineError
from service.generation.answers import Answer, AnswerEvent, AnswerQuery, DoneEvent, RetrievalEvent
from service.generation.checking.judging import JUDGED_CHECK
from service.ledger.audit import Later, Question, actor_of
from service.ledger.masking import Masker
from service.ledger.metrics import ANSWERS, JUDGED, RELEVANCE, Metrics
from service.ledger.recording import Recorder
from service.ledger.traces import Operation, Outcome, Trace, row_of
from service.retrieval.packing.records import ContextPack
from service.retrieval.query import SearchQuery
from service.retrieval.results import Relevance, SearchResult, Segment
from service.settings import LedgerSettings
from service.tracking.bodies import answer_body, context_body, documents_of, search_body, selection_body
from service.tracking.signals import Signals, legs_agree


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked, and what the trace will be known by. `id` is the query's, of an answer the answer's id.

    `began` is a reading of `perf_counter`, `traceparent` the W3C header as it came.
    """

    id: str
    query_id: str
    tenant: str
    key_id: str | None = None
    request_id: str | None = None
    traceparent: str | None = None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = field(default_factory=perf_counter)

    def elapsed_ms(self) -> float:
        return (perf_counter() - self.began) * 1e3


@dataclass(frozen=True, slots=True)
class Timeline:
    """When an operation was at which stage, and the searches that it made."""

    segments: Sequence[Segment] = ()
    searches: Sequence[SearchResult] = ()


NO_TIMELINE = Timeline()
Spanning = Callable[[Asked, Trace, Timeline], None]
"""Makes spans of an operation that is over: `service.tracking.spans`."""


class Tracker:
    """Told of every operation that was asked for over HTTP or by `plumbline ask`. Safe from several threads.

    None of its calls waits or fails; what can't be kept is counted.
    """

    def __init__(
        self, recorder: Recorder, masker: Masker, metrics: Metrics, settings: LedgerSettings, questions: bool = False
    ) -> None:
        self._recorder = recorder
        self._masker = masker
        self._metrics = metrics
        self._settings = settings
        self._signals = Signals(metrics)
        self._questions = questions
        self._span: Spanning | None = None

    def also(self, span: Spanning) -> None:
        """Have spans made of every operation, too, in the ledger's thread."""
        self._span = span

    def search(self, asked: Asked, query: SearchQuery, result: SearchResult) -> None:
        """A search that was answered."""
        self._metrics.observe_stages("search", result.timings_ms)
        self._metrics.count(RELEVANCE, "search", result.relevance.label)
        self._signals.search(result)
        total_ms = asked.elapsed_ms()

        def tell() -> Trace:
            return self._trace(
                asked,
                Operation.SEARCH,
                query.text,
                outcome=Outcome.OK,
                total_ms=total_ms,
                hits=len(result.passages),
                collection=_collection(query.selection.collections, result),
                timings=dict(result.timings_ms),
                documents=documents_of(result.passages),
                body={"mode": query.mode.value, "offset": query.offset}
                | selection_body(query.selection.collections, query.selection.filter, self._masker.content)
                | search_body(result, self._settings.candidates),
                **_of_relevance(result.relevance),
                **_of_index(result),
            )

        self._keep(asked, Operation.SEARCH, tell, Timeline(searches=(result,)))

    def context(self, asked: Asked, text: str, collections: tuple[str, ...], pack: ContextPack) -> None:
        """A context pack that was built."""
        total_ms = asked.elapsed_ms()
        self._metrics.observe_stages("context", {"total": total_ms})
        self._metrics.count(RELEVANCE, "context", pack.relevance.label)
        self._signals.context(pack)

        def tell() -> Trace:
            best = pack.results[0] if pack.results else None
            return self._trace(
                asked,
                Operation.CONTEXT,
                text,
                outcome=Outcome.OK,
                total_ms=total_ms,
                hits=len(pack.passages),
                collection=_collection(collections, best),
                timings={"total": total_ms},
                documents=list(dict.fromkeys(str(one.document.key) for one in pack.passages)),
                body=context_body(pack, self._settings.candidates, self._masker.content),
                **_of_relevance(pack.relevance),
                **(_of_index(best) if best else {}),
            )

        self._keep(asked, Operation.CONTEXT, tell, Timeline(searches=pack.results))

    def answer(
        self,
        asked: Asked,
        query: AnswerQuery,
        found: RetrievalEvent | None,
        answer: Answer | None,
        segments: Sequence[Segment] = (),
    ) -> None:
        """An answer as far as it came: `answer` is None if whoever asked left before its end."""
        total_ms = asked.elapsed_ms()
        if answer is not None:
            self._count(answer)
            self._signals.answer(answer, found)

        def tell() -> Trace:
            mask, result = self._masker.content, None if found is None else found.result
            body = answer_body(query, answer, mask)
            if found is not None:
                body |= search_body(found.result, self._settings.candidates) | {"standing": mask(found.question)}
            return self._trace(
                asked,
                Operation.ANSWER,
                query.question,
                outcome=_outcome(answer),
                total_ms=total_ms,
                hits=0 if result is None else len(result.passages),
                collection=_collection(query.collections, result),
                timings={} if answer is None else dict(answer.timings_ms),
                documents=[] if result is None else documents_of(result.passages),
                body=body,
                **({} if result is None else _of_relevance(result.relevance) | _of_index(result)),
                **({} if answer is None else _of_answer(answer)),
            )

        searches = () if found is None else (found.result,)
        self._keep(asked, Operation.ANSWER, tell, Timeline(segments, searches))

    def _count(self, answer: Answer) -> None:
        outcome = "answered" if answer.answered else "refused" if answer.refusal else "empty"
        self._metrics.count(ANSWERS, outcome, answer.degraded.reason if answer.degraded else "none")
        self._metrics.count(RELEVANCE, "answer", answer.relevance.label)
        self._metrics.observe_stages("answer", answer.timings_ms)
        for sentence in answer.sentences:
            for check in sentence.support.checks:
                if check.startswith(JUDGED_CHECK):
                    self._metrics.count(JUDGED, sentence.support.label, check.removeprefix(JUDGED_CHECK))

    async def following(
        self, asked: Asked, query: AnswerQuery, events: AsyncGenerator[AnswerEvent, None]
    ) -> AsyncGenerator[AnswerEvent, None]:
        """The events of an answer, of which a trace is kept however it ends. They end when this does."""
        found: RetrievalEvent | None = None
        kept = False
        try:
            async for event in events:
                if isinstance(event, RetrievalEvent):
                    found = event
                elif isinstance(event, DoneEvent):
                    self.answer(asked, query, found, event.answer, event.segments)
                    kept = True
                yield event
        except PlumblineError as error:
            if not kept:
                self.failed(asked, Operation.ANSWER, query.question, error.code)
                kept = True
            raise
        except (GeneratorExit, asyncio.CancelledError):
            if not kept:
                self.answer(asked, query, found, None)
                kept = True
            raise
        finally:
            if not kept:
                self.failed(asked, Operation.ANSWER, query.question, PlumblineError.code)
            await events.aclose()

    def failed(self, asked: Asked, operation: Operation, text: str, code: str) -> None:
        """An operation that ended in an error; `code` is the error's."""
        total_ms = asked.elapsed_ms()
        self._keep(asked, operation, lambda: self._trace(asked, operation, text, outcome=code, total_ms=total_ms))

    def _keep(
        self, asked: Asked, operation: Operation, tell: Callable[[], Trace], timeline: Timeline = NO_TIMELINE
    ) -> None:
        span = self._span
        if self._settings.enabled:
            told = tell if span is None else lambda: _spanned(span, asked, tell(), timeline)
            self._recorder.record(lambda: row_of(told()))
        if self._questions:
            actor = actor_of(asked.key_id)
            self._recorder.record(lambda: Later(Question(asked.tenant, actor, operation.value, asked.id, asked.at)))

    def _trace(self, asked: Asked, operation: Operation, text: str, **values: Any) -> Trace:
        return Trace(
            id=asked.id,
            query_id=asked.query_id,
            tenant=asked.tenant,
            at=asked.at,
            operation=operation.value,
            key_id=asked.key_id,
            request_id=asked.request_id,
            query=self._masker.content(text),
            query_hash=self._masker.digest(text),
            **values,
        )


def _spanned(span: Spanning, asked: Asked, trace: Trace, timeline: Timeline) -> Trace:
    span(asked, trace, timeline)
    return trace


def _outcome(answer: Answer | None) -> str:
    if answer is None:
        return Outcome.CLOSED
    return Outcome.OK if answer.answered else Outcome.REFUSED


def _collection(asked: tuple[str, ...], result: SearchResult | None) -> str | None:
    if len(asked) == 1:
        return asked[0]
    return result.passages[0].indexed.document.collection if result is not None and result.passages else None


def _of_relevance(relevance: Relevance) -> dict[str, Any]:
    signals = relevance.signals
    return {
        "relevance": relevance.label.value,
        "confidence": relevance.confidence,
        "top_score": signals.top_score,
        "margin": signals.margin,
    }


def _of_index(result: SearchResult) -> dict[str, Any]:
    return {
        "index_version": result.index_version,
        "embedder": None if result.trail is None else result.trail.embedder,
        "legs_agree": legs_agree(result),
    }


def _of_answer(answer: Answer) -> dict[str, Any]:
    grounding, usage = answer.grounding, answer.usage
    told: dict[str, Any] = {
        "refusal": None if answer.refusal is None else answer.refusal.reason.value,
        "degraded": None if answer.degraded is None else answer.degraded.reason.value,
        "degraded_mode": None if answer.degraded is None else answer.degraded.mode.value,
        "sentences": len(answer.sentences),
        "model": answer.model,
        "prompt_version": answer.prompt_version,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cost_usd": usage.cost_usd,
    }
    if grounding is not None:
        told |= {
            "grounding": grounding.label.value,
            "grounding_score": grounding.score,
            "unsupported": grounding.unsupported_sentences,
            "citation_precision": grounding.citation_precision,
            "citation_recall": grounding.citation_recall,
        }
    return told
