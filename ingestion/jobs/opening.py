"""Builds the jobs of a corpus: with a worker in this process, or with a queue that other processes work on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta

from ingestion.corpus.corpus import Corpus
from ingestion.corpus.scope import Scope, TenantId
from ingestion.job_store import JobId, JobKind, JobStore
from ingestion.jobs.bulk import Bulk, BulkWork
from ingestion.jobs.jobs import Enqueue, Jobs
from ingestion.jobs.lanes import Lanes
from ingestion.jobs.queue import Queue, open_client, open_worker
from ingestion.jobs.rebuilds import rebuild_work, submit_wanted
from ingestion.jobs.runner import JobRunner
from ingestion.jobs.scheduler import Duties, Scheduler, scheduling
from ingestion.jobs.uploads import Uploads
from ingestion.parsing import DocumentParser
from ingestion.pipeline import Pipeline
from ingestion.settings import EngineKind, Settings
from ingestion.source_store import SourceStore, utc_now
from ingestion.sources.definitions import SourceId
from ingestion.syncing import Oversight, Syncer, SyncReport


@contextmanager
def open_jobs(settings: Settings, corpus: Corpus) -> Iterator[Jobs]:
    """Jobs of this corpus, with a worker in this process where the deployment is embedded.

    With a Qdrant server, jobs are only put in the queue: `run_worker` in another process takes them.
    """
    if settings.index.engine is EngineKind.EDGE:
        with _working(settings, corpus) as jobs:
            yield jobs
    else:
        with open_client(settings) as enqueue:
            yield _jobs(corpus, enqueue)


@contextmanager
def run_worker(settings: Settings, corpus: Corpus) -> Iterator[None]:
    """Take jobs from the queue, in threads, and submit what is due, until the context ends."""
    with _working(settings, corpus):
        yield


@contextmanager
def _working(settings: Settings, corpus: Corpus) -> Iterator[Jobs]:
    store, sources = JobStore(corpus.database), SourceStore(corpus.database)
    stopping = threading.Event()
    with ExitStack() as stack:
        parser = stack.enter_context(DocumentParser(settings.parsing))
        pipeline = Pipeline(corpus, parser)
        lanes = Lanes(time.monotonic)
        runner = JobRunner(
            store,
            Uploads(store.uploads, pipeline, settings.jobs.attempts),
            Bulk(_works(settings, corpus, sources, pipeline), sources, lanes),
            lanes,
            stopping,
        )

        def run(job: JobId, tenant: TenantId) -> str:
            return runner.run(job, tenant, time.monotonic)

        queue = stack.enter_context(open_worker(settings, store, run, stopping))
        jobs = _jobs(corpus, queue.enqueue)
        submit_wanted(corpus, jobs)
        scheduler = Scheduler(sources, _duties(settings, store, jobs, queue))
        stack.enter_context(scheduling(scheduler, utc_now, quiet_s=settings.sources.watch_debounce_s))
        yield jobs


def _works(settings: Settings, corpus: Corpus, sources: SourceStore, pipeline: Pipeline) -> Mapping[JobKind, BulkWork]:
    syncer = Syncer(corpus, sources, pipeline, settings)

    def sync(scope: Scope, source: str | None, oversight: Oversight) -> SyncReport:
        return syncer.sync(scope, SourceId(source or ""), oversight)

    return {JobKind.SYNC: sync, JobKind.REBUILD: rebuild_work(corpus)}


def _duties(settings: Settings, store: JobStore, jobs: Jobs, queue: Queue) -> Duties:
    def is_under_way(scope: Scope, source: SourceId) -> bool:
        return store.under_way(scope, JobKind.SYNC, source) is not None

    def prune(now: datetime) -> None:
        while forgotten := store.prune(now - timedelta(days=settings.jobs.keep_days)):
            queue.forget(forgotten)

    return Duties(sync=jobs.sync, is_under_way=is_under_way, mend=queue.repair, prune=prune)


def _jobs(corpus: Corpus, enqueue: Enqueue) -> Jobs:
    return Jobs(
        JobStore(corpus.database),
        SourceStore(corpus.database),
        corpus.writer.catalog,
        enqueue,
        lambda: corpus.index_version,
    )
