"""What a worker does with a job, whatever queue it came from: run it, try again, and say how it ended."""

from __future__ import annotations

import threading

import structlog

from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import PlumblineError
from ingestion.job_store import JobId, JobKind, JobState, JobStore
from ingestion.jobs.boundary import Crash, attempted
from ingestion.jobs.bulk import Bulk
from ingestion.jobs.lanes import Clock, Lanes
from ingestion.jobs.progress import Ending, Meter, Stop, Task
from ingestion.jobs.uploads import Uploads

log = structlog.get_logger(__name__)

PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Between two tries of a job whose stores, endpoint or origin fail."""

_CRASHED = "an internal error, see the log"


class Interrupted(BaseException):
    """The process is closing. Passes through DBOS unrecorded, so the job goes on at the next start."""


class JobRunner:
    """Runs jobs, several at a time, each in a thread of its own. `stopping` is set when the worker closes."""

    def __init__(self, store: JobStore, uploads: Uploads, bulk: Bulk, lanes: Lanes, stopping: threading.Event) -> None:
        self._store = store
        self._uploads = uploads
        self._bulk = bulk
        self._lanes = lanes
        self._stopping = stopping

    def run(self, job: JobId, tenant: TenantId, clock: Clock) -> str:
        """The whole job; run again after a crash, what is left of it. Returns its final state.

        Whatever it raises ends this job, and no other. Raises: Interrupted if the worker closes.
        """
        scope = Scope(tenant)
        kind, source, submitted_at, seconds = self._store.facts(scope, job)
        task = Task(
            scope=scope,
            job=job,
            source=source,
            submitted_at=submitted_at,
            meter=Meter(self._store, job, clock, seconds),
            stop=Stop(self._stopping, lambda: self._store.is_cancelled(job), clock),
        )
        with structlog.contextvars.bound_contextvars(job_id=job):
            ending = self._work(kind, task)
        if isinstance(ending, Crash):
            ending = _failed(kind, _CRASHED)
        return self._store.finish(scope, job, state=ending.state, detail=ending.detail)

    def _work(self, kind: JobKind, task: Task) -> Ending | Crash:
        pauses = iter(PAUSES_S)
        while True:
            try:
                ending = attempted(lambda: self._try(kind, task))
            except PlumblineError as error:
                pause_s = next(pauses, None)
                if pause_s is None or not self._may_pass(kind, task, error):
                    self._leave_if_closing(task)
                    log.warning("job_failed", code=error.code)
                    return _failed(kind, error.detail)
                log.warning("job_waits", code=error.code, pause_s=pause_s)
                task.stop.wait(pause_s)
                continue
            self._leave_if_closing(task)
            return ending

    def _try(self, kind: JobKind, task: Task) -> Ending:
        self._leave_if_closing(task)
        if not self._store.start(task.scope, task.job):
            return Ending()
        if kind is not JobKind.UPLOAD:
            return self._bulk.run(kind, task)
        with self._lanes.upload():
            self._uploads.ingest(task)
        return Ending()

    def _may_pass(self, kind: JobKind, task: Task, error: PlumblineError) -> bool:
        return error.retryable if kind is JobKind.UPLOAD else self._bulk.may_pass(task, error)

    def _leave_if_closing(self, task: Task) -> None:
        if self._stopping.is_set():
            raise Interrupted(task.job)


def _failed(kind: JobKind, detail: str) -> Ending:
    # What is done of an upload stays done: its items tell.
    return Ending(None if kind is JobKind.UPLOAD else JobState.FAILED, detail)
