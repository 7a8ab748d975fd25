"""Jobs as DBOS workflows: their queue, its worker, and the client that only fills it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from ingestion.chunking import chunker_for
from ingestion.corpus.corpus import Corpus
from ingestion.corpus.database import database_url
from ingestion.corpus.scope import TenantId
from ingestion.errors import PlumblineError
from ingestion.job_store import JobId, JobStore
from ingestion.jobs.jobs import Enqueue, Jobs
from ingestion.jobs.runner import JobRunner
from ingestion.parsing import DocumentParser
from ingestion.pipeline import Pipeline
from ingestion.settings import EngineKind, Settings

JOBS_FILE = "jobs.sqlite"

_QUEUE = "ingest"
_WORKFLOW = "ingest_job"
_APPLICATION_VERSION = "1"  # fixed, so that a new release takes up the jobs of the one before it
_QUEUE_POLL_S = 0.2  # each look into the queue is a database transaction beside the searches
_ATTEMPTS = 3
_STOP_S = 10


@contextmanager
def open_jobs(settings: Settings, corpus: Corpus) -> Iterator[Jobs]:
    """Jobs of this corpus, with a worker in this process where the deployment is embedded.

    With a Qdrant server, jobs are only put in the queue: `run_worker` in another process takes them.
    """
    store = JobStore(corpus.database)
    embedded = settings.index.engine is EngineKind.EDGE
    with _worker(settings, corpus, store) if embedded else _client(settings) as enqueue:
        yield Jobs(store, corpus.writer.catalog, enqueue, chunker_for(settings.chunking, corpus.embedder).version)


@contextmanager
def run_worker(settings: Settings, corpus: Corpus) -> Iterator[None]:
    """Take jobs from the queue, in threads, until the context ends."""
    with _worker(settings, corpus, JobStore(corpus.database)):
        yield


@contextmanager
def _worker(settings: Settings, corpus: Corpus, store: JobStore) -> Iterator[Enqueue]:
    from dbos import DBOS, SetWorkflowID

    stopping = threading.Event()
    with ExitStack() as stack:
        parser = stack.enter_context(DocumentParser(settings.parsing))
        chunker = chunker_for(settings.chunking, corpus.embedder)
        runner = JobRunner(store, Pipeline(corpus, parser, chunker), stopping)

        # DBOS marks the functions it decorates: methods can't be marked, so these are functions of this call.
        @DBOS.step(name="ingest_slice", retries_allowed=True, max_attempts=_ATTEMPTS, should_retry=_may_pass)
        def ingest_slice(job: JobId, tenant: TenantId, positions: Sequence[int]) -> None:
            runner.ingest(job, tenant, positions)

        @DBOS.workflow(name=_WORKFLOW)
        def ingest_job(job: JobId, tenant: TenantId) -> str:
            return runner.run(job, tenant, ingest_slice)

        DBOS(
            config={
                "name": "plumbline",
                "system_database_url": _queue_url(settings),
                "application_version": _APPLICATION_VERSION,
                "executor_id": settings.worker_id,
                "console_log_level": "WARNING",
            }
        )
        stack.callback(DBOS.destroy, destroy_registry=True, workflow_completion_timeout_sec=_STOP_S)
        stack.callback(stopping.set)
        DBOS.launch()
        DBOS.register_queue(_QUEUE, worker_concurrency=1, polling_interval_sec=_QUEUE_POLL_S)

        def enqueue(job: JobId, tenant: TenantId) -> None:
            with SetWorkflowID(job):
                DBOS.enqueue_workflow(_QUEUE, ingest_job, job, tenant)

        # A process that died between storing a job and queueing it left a job without a workflow.
        for tenant, job in store.unfinished():
            if DBOS.get_workflow_status(job) is None:
                enqueue(job, tenant)
        yield enqueue


@contextmanager
def _client(settings: Settings) -> Iterator[Enqueue]:
    from dbos import DBOS, DBOSClient

    with ExitStack() as stack:
        # The queue must be there before its first worker is.
        DBOS.migrate(_queue_url(settings))
        client = DBOSClient(system_database_url=_queue_url(settings))
        stack.callback(client.destroy)

        def enqueue(job: JobId, tenant: TenantId) -> None:
            client.enqueue(
                {
                    "workflow_name": _WORKFLOW,
                    "queue_name": _QUEUE,
                    "workflow_id": job,
                    "app_version": _APPLICATION_VERSION,
                },
                job,
                tenant,
            )

        yield enqueue


def _queue_url(settings: Settings) -> str:
    url = database_url(settings)
    if url.get_backend_name() == "sqlite":
        url = url.set(database=str((settings.data_dir / JOBS_FILE).absolute()))
    return url.render_as_string(hide_password=False)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, PlumblineError) and error.retryable
