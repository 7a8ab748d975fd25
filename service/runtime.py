"""The composition root: everything a process of the service runs on, opened in order and closed in reverse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import structlog

from ingestion.corpus.corpus import Corpus, Selection, open_corpus
from ingestion.corpus.scope import Scope
from ingestion.jobs import Jobs, open_jobs
from ingestion.syncing import Sources, SourceStore
from service.access.door import Door
from service.access.keys import Keys
from service.access.principals import DEFAULT_TENANT
from service.access.refusals import Refusals
from service.generation.answering import Answering, Means, Retrieve
from service.generation.answers import AnswerQuery
from service.generation.caching import AnswerCache
from service.generation.checking.entailment.entailment import open_entailment
from service.generation.extracting.freshness import LOOKED_AT
from service.generation.verification import Verifier
from service.ledger.answer_cache import KeptAnswers
from service.ledger.audit import Audit, Later, write_later
from service.ledger.database import migrate_ledger
from service.ledger.feedback import Feedback
from service.ledger.idempotency import IdempotencyLedger
from service.ledger.masking import Masker
from service.ledger.metrics import Metrics
from service.ledger.model_calls import CallRecorder, ModelCall, write_model_calls
from service.ledger.recording import Recorder, Write, open_recorder
from service.ledger.releases import Releases
from service.ledger.retention import Retention
from service.ledger.secrets import QUERY_HASH, ledger_secret
from service.ledger.starts import open_audit
from service.ledger.traces import TraceRow, Traces, write_trace_rows
from service.releasing.answerers import Answerers, LiveAnswerer, open_live
from service.releasing.choices import LIVE, Choices
from service.releasing.following import Follower
from service.releasing.returning import WayBack
from service.releasing.watching import Watcher
from service.retrieval.context import ContextBuilder
from service.retrieval.query import MAX_QUERY_BYTES, SearchQuery
from service.retrieval.reranking.opening import open_reranker
from service.retrieval.reranking.second_look import SecondLook
from service.retrieval.results import SearchResult
from service.retrieval.search import Searcher
from service.retrieval.tokens import TokenCounter
from service.settings import ServiceSettings
from service.tracking.feedback import FeedbackTaker
from service.tracking.housekeeping import Duty, keeping
from service.tracking.recent import Recent
from service.tracking.tracker import Tracker
from service.tracking.watching import Watch

if TYPE_CHECKING:
    from service.tracking.spans.making import Spans

log = structlog.get_logger(__name__)

T = TypeVar("T")

WRITERS: Mapping[type, Write] = {
    TraceRow: write_trace_rows,
    ModelCall: write_model_calls,
    Later: write_later,
}
"""How the ledger writes each kind of record."""

RETENTION_EVERY_S = 3600.0
OWNER = Scope(DEFAULT_TENANT)
"""Whose jobs those are listed with that concern all tenants."""

WARM_UP = "how to restart the gateway"


@dataclass(frozen=True, slots=True)
class Runtime:
    """What HTTP, the command line and tests work with."""

    settings: ServiceSettings
    corpus: Corpus
    jobs: Jobs
    sources: Sources
    releases: Releases
    watcher: Watcher
    searcher: Searcher
    contexts: ContextBuilder
    answerer: Answering
    cache: AnswerCache
    verifier: Verifier
    recorder: Recorder
    tracker: Tracker
    traces: Traces
    feedback: Feedback
    feedback_taker: FeedbackTaker
    audit: Audit
    refusals: Refusals
    keys: Keys
    door: Door
    idempotency: IdempotencyLedger
    metrics: Metrics
    recent: Recent = field(default_factory=Recent)
    """Reports over traces and documents, which take seconds to make."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The half of a runtime that answers and changes nothing. `answerers` opens others than what is live."""

    corpus: Corpus
    searcher: Searcher
    contexts: ContextBuilder
    answerers: Answerers
    answerer: LiveAnswerer
    cache: AnswerCache
    verifier: Verifier
    recorder: Recorder
    tracker: Tracker
    masker: Masker


@asynccontextmanager
async def open_reading(
    settings: ServiceSettings, metrics: Metrics | None = None, candidate: Choices = LIVE
) -> AsyncIterator[Reading]:
    """What it takes to search and to answer, without a worker for jobs.

    Calls to models are written to the ledger, which is brought up to date, and counted in `metrics`. Served is what is
    released, or a `candidate` in its place, to be looked at before it is live.

    Raises: ConfigurationError (CorpusInUse among them), BackendUnavailable; NotFound, InvalidRequest for a candidate.
    """
    async with AsyncExitStack() as stack:
        corpus = await _enter(stack, open_corpus(settings))
        if candidate.generation is not None:
            corpus = await _enter(stack, corpus.previewed(candidate.generation))
        await asyncio.to_thread(migrate_ledger, corpus.database)
        metrics = metrics or Metrics()
        # Before the recorder, which makes the spans: so that it closes after it.
        spans = await _enter(stack, _tracing(settings, metrics))
        recorder = await _enter(stack, open_recorder(corpus.database, metrics, WRITERS, settings.ledger))
        calls = CallRecorder(recorder, metrics)
        masker = Masker(settings.ledger, await asyncio.to_thread(ledger_secret, corpus.database, QUERY_HASH))
        counter = TokenCounter()
        reranker = await _enter(stack, open_reranker(settings.reranker, settings.models_path))
        searcher = Searcher(corpus, settings.retrieval, SecondLook(reranker, settings.reranker))
        cache = AnswerCache(KeptAnswers(corpus.database))
        means = replace(await asyncio.to_thread(means_of, corpus, settings), cache=cache)
        answerers = Answerers(
            settings,
            retriever(searcher, settings),
            means,
            calls.record if spans is None else spans.watching(calls.record),
            counter,
        )
        follower = Follower(Releases(corpus.database), settings)
        live = candidate.over(await asyncio.to_thread(follower.released))
        answerer = await stack.enter_async_context(open_live(answerers, live))
        contexts = ContextBuilder(searcher, corpus, counter)
        tracker = Tracker(recorder, masker, metrics, settings.ledger, settings.audit.questions)
        if spans is not None:
            tracker.also(spans.operation)
        yield Reading(
            corpus,
            searcher,
            contexts,
            answerers,
            answerer,
            cache,
            Verifier(corpus.get_chunks, means.scorers()),
            recorder,
            tracker,
            masker,
        )


@asynccontextmanager
async def open_runtime(settings: ServiceSettings) -> AsyncIterator[Runtime]:
    """A warm runtime: the embedder is loaded and has answered once. In embedded mode it works on jobs, too.

    Raises: ConfigurationError (CorpusInUse among them, and an open address without a key), BackendUnavailable.
    """
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        reading = await stack.enter_async_context(open_reading(settings, metrics))
        corpus = reading.corpus
        keys = Keys(corpus.database)
        door = Door(keys, settings.server.host)
        await asyncio.to_thread(door.check_start)
        jobs = await _enter(stack, open_jobs(settings, corpus))
        await asyncio.to_thread(corpus.embedder.embed_query, WARM_UP)
        retention = Retention(corpus.database, settings.ledger)
        audit = await _enter(stack, open_audit(corpus.database, settings))
        releases = Releases(corpus.database)
        way_back = WayBack(releases, corpus.generations, lambda name: jobs.rebuild(OWNER, name).id)
        watcher = Watcher(corpus.database, settings.releases, way_back, metrics)
        follow = partial(Follower(releases, settings).follow, reading.answerer, asyncio.get_running_loop())
        duties = (
            Duty("retention", RETENTION_EVERY_S, retention.sweep),
            Duty("releases", settings.releases.poll_s, follow),
            Duty("release_watch", settings.releases.watch_every_s, watcher.look),
            Duty("audit", RETENTION_EVERY_S, audit.keep_house),
            Duty("signals", settings.signals.refresh_s, Watch(corpus.database, metrics, settings.signals).look),
        )
        await _enter(stack, keeping(duties, metrics))
        stack.callback(retention.stop)
        traces, feedback = Traces(corpus.database), Feedback(corpus.database)
        yield Runtime(
            settings=settings,
            corpus=corpus,
            jobs=jobs,
            sources=Sources(corpus, SourceStore(corpus.database), settings),
            releases=releases,
            watcher=watcher,
            searcher=reading.searcher,
            contexts=reading.contexts,
            answerer=reading.answerer,
            cache=reading.cache,
            verifier=reading.verifier,
            recorder=reading.recorder,
            tracker=reading.tracker,
            traces=traces,
            feedback=feedback,
            feedback_taker=FeedbackTaker(feedback, traces, reading.recorder, reading.masker, metrics, settings.ledger),
            audit=audit,
            refusals=Refusals(),
            keys=keys,
            door=door,
            idempotency=IdempotencyLedger(corpus.database),
            metrics=metrics,
        )


def means_of(corpus: Corpus, settings: ServiceSettings) -> Means:
    """What answers over a corpus are made with, but for what belongs to a service. Reads weights from disk."""
    return Means(
        content_of=lambda scope, document: corpus.get_content(scope, document.id, document.collection).text,
        embedder=corpus.embedder,
        entailment=open_entailment(corpus.embedder, settings.grounding, settings.models_path),
    )


def retriever(searcher: Searcher, settings: ServiceSettings) -> Retrieve:
    """How an answer finds its passages."""

    def retrieve(scope: Scope, query: AnswerQuery) -> SearchResult:
        # A question with earlier turns before it may be longer than a query may be: its end is the question.
        text = query.question.encode()[-MAX_QUERY_BYTES:].decode(errors="ignore")
        return searcher.search(
            scope,
            SearchQuery(
                text=text,
                limit=settings.retrieval.answer_passages * LOOKED_AT,
                selection=Selection(query.collections, query.filter),
                highlight=False,
            ),
        )

    return retrieve


@contextmanager
def _tracing(settings: ServiceSettings, metrics: Metrics) -> Iterator[Spans | None]:
    """What makes spans, if there is somebody to send them to. OpenTelemetry is loaded only then."""
    if settings.tracing.endpoint is None:
        yield None
        return
    from service.tracking.spans.making import open_spans

    with open_spans(settings.tracing, metrics) as spans:
        yield spans


async def _enter(stack: AsyncExitStack, manager: AbstractContextManager[T]) -> T:
    """Enter a blocking context manager in a thread, and leave it in a thread."""
    entered = await asyncio.to_thread(manager.__enter__)

    async def leave() -> None:
        await asyncio.to_thread(manager.__exit__, None, None, None)

    stack.push_async_callback(leave)
    return entered
