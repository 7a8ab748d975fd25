"""What a worker does with a job, whatever queue it came from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import structlog

from ingestion.corpus.records import DocumentSource
from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import PlumblineError
from ingestion.job_store import ItemStatus, JobId, JobStore
from ingestion.pipeline import Outcome, Pipeline

log = structlog.get_logger(__name__)

SLICE = 64
"""Documents per durable step."""


class Interrupted(BaseException):
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
            raise Interrupted(job)

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
