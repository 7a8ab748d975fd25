"""Durable jobs: an upload is a workflow that survives the process. The only module that knows DBOS.

A job and its documents' bytes are stored before the caller gets an answer. The workflow ingests them in
slices; a slice that was under way when the process died is run again, and ingesting twice equals once.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import structlog

from ingestion.chunking import chunker_for
from ingestion.corpus.catalog import Catalog
from ingestion.corpus.catalog_reader import Page
from ingestion.corpus.corpus import Corpus
from ingestion.corpus.database import database_url
from ingestion.corpus.records import DocumentSource
from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import InvalidRequest, PlumblineError
from ingestion.job_store import ItemStatus, Job, JobId, JobItem, JobState, JobStore
from ingestion.parsing import DocumentParser
from ingestion.pipeline import Outcome, Pipeline, draft_of
from ingestion.settings import EngineKind, Settings

# The records of a job belong to this door; `job_store` is behind it.
__all__ = ["ItemStatus", "Job", "JobId", "JobItem", "JobRunner", "JobState", "Jobs", "open_jobs", "run_worker"]

log = structlog.get_logger(__name__)

Enqueue = Callable[[JobId, TenantId], None]

JOBS_FILE = "jobs.sqlite"
SLICE = 64
"""Documents per durable step."""

_QUEUE = "ingest"
_WORKFLOW = "ingest_job"
_APPLICATION_VERSION = "1"  # fixed, so that a new release takes up the jobs of the one before it
_POLL_S = 0.05
_QUEUE_POLL_S = 0.2  # each look into the queue is a database transaction beside the searches
_ATTEMPTS = 3
_STOP_S = 10


class Jobs:
    """Submit jobs and watch them. Safe from several threads."""

    def __init__(self, store: JobStore, catalog: Catalog, enqueue: Enqueue, chunker_version: str) -> None:
        self._store = store
        self._catalog = catalog
        self._enqueue = enqueue
        self._chunker_version = chunker_version

    def submit(self, scope: Scope, sources: Sequence[DocumentSource]) -> Job:
        """A queued job for these documents. When this returns, it will be done even if the process dies."""
        if not sources:
            raise InvalidRequest("a job needs at least one document")
        job = JobId(str(uuid.uuid4()))
        self._store.add(scope, job, sources, unchanged=self._unchanged(scope, sources))
        stored = self._store.get(scope, job)
        if not stored.state.is_final:
            self._enqueue(job, scope.tenant)
        log.info("job_submitted", job_id=job, documents=len(sources))
        return stored

    def get(self, scope: Scope, job: JobId) -> Job:
        """Raises: NotFound."""
        return self._store.get(scope, job)

    def list(self, scope: Scope, *, cursor: str | None = None, limit: int = 50) -> Page[Job]:
        """Jobs, newest first. Raises: InvalidRequest for a foreign cursor."""
        return self._store.list_jobs(scope, cursor=cursor, limit=limit)

    def cancel(self, scope: Scope, job: JobId) -> Job:
        """Stop a job before its next document; what is ingested stays. A job that is over stays as it ended.

        Raises: NotFound.
        """
        self._store.cancel(scope, job)
        return self._store.get(scope, job)

    def wait(self, scope: Scope, job: JobId, timeout_s: float) -> Job:
        """The job when it is over, or as it stands after `timeout_s`. Raises: NotFound."""
        deadline = time.monotonic() + timeout_s
        while not self._store.is_over(scope, job) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return self._store.get(scope, job)

    def _unchanged(self, scope: Scope, sources: Sequence[DocumentSource]) -> set[int]:
        now = datetime.now(UTC)
        drafts = [draft_of(scope, source, now, self._chunker_version) for source in sources]
        live = self._catalog.live_versions(scope, {draft.key for draft in drafts})
        twice = Counter(draft.key for draft in drafts)
        return {
            position
            for position, draft in enumerate(drafts)
            if live.get(draft.key) == draft.version and twice[draft.key] == 1
        }


class _Interrupted(BaseException):
    """The process is closing. Passes through DBOS unrecorded, so the job goes on at the next start."""


class JobRunner:
    """What a worker does with a job: ingest it slice by slice."""

    def __init__(self, store: JobStore, pipeline: Pipeline, stopping: threading.Event) -> None:
        self._store = store
        self._pipeline = pipeline
        self._stopping = stopping

    def ingest(self, job: JobId, tenant: TenantId, positions: Sequence[int]) -> None:
        """Ingest the documents at these positions that still wait. Run again after a crash, it does the rest.

        Raises: BackendUnavailable if a store or endpoint fails: the same call may work later.
        """
        scope = Scope(tenant)
        waiting = self._store.load(scope, job, positions)
        run = self._pipeline.ingest(
            scope,
            self._until_stopped(job, [source for _, source in waiting]),
            submitted_at=self._store.submitted_at(scope, job),
        )
        for outcome in run:
            if outcome.attached_to is not None:
                continue
            self._record(job, waiting[outcome.position][0], outcome)
        self._store.add_seconds(job, run.stage_seconds)
        if self._stopping.is_set():
            raise _Interrupted(job)

    def _until_stopped(self, job: JobId, sources: Sequence[DocumentSource]) -> Iterator[DocumentSource]:
        for source in sources:
            if self._stopping.is_set() or self._store.is_cancelled(job):
                return
            yield source

    def _record(self, job: JobId, position: int, outcome: Outcome) -> None:
        code = None if outcome.code is None else str(outcome.code)
        self._store.finish_item(job, position, ItemStatus(outcome.status), code=code, detail=outcome.detail)

    def run(self, job: JobId, tenant: TenantId, ingest_slice: Callable[..., None]) -> str:
        """The whole job, `ingest_slice` being `ingest` as a durable step. Returns its final state.

        The boundary for errors: whatever a slice raises ends this job, and no other.
        """
        scope = Scope(tenant)
        total = self._store.start(scope, job)
        try:
            for first in range(0, total, SLICE):
                ingest_slice(job, tenant, list(range(first, min(first + SLICE, total))))
        except PlumblineError as error:
            log.warning("job_failed", job_id=job, code=error.code)
            return self._store.finish(scope, job, detail=error.detail)
        except Exception:
            log.exception("job_crashed", job_id=job)
            return self._store.finish(scope, job, detail="an internal error, see the log")
        return self._store.finish(scope, job)


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
