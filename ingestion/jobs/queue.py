"""Jobs as DBOS workflows: two queues, the worker that takes from them, and the client that only fills them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingestion.corpus.database import database_url
from ingestion.corpus.scope import Scope, TenantId
from ingestion.job_store import JobId, JobKind, JobState, JobStore, Ticket
from ingestion.jobs.jobs import Enqueue
from ingestion.settings import JobsSettings, Settings

if TYPE_CHECKING:
    from dbos import EnqueueOptions

JOBS_FILE = "jobs.sqlite"

_UPLOADS = "ingest"
_BULK = "bulk"
_WORKFLOW = "ingest_job"
_APPLICATION_VERSION = "1"  # fixed, so that a new release takes up the jobs of the one before it
_QUEUE_POLL_S = 0.2  # each look into the queue is a database transaction beside the searches
_STOP_S = 10
_DEATHS = 100
_ENDED = frozenset({"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})

RunJob = Callable[[JobId, TenantId], str]


@dataclass(frozen=True, slots=True)
class Queue:
    """What a worker does with its queues."""

    enqueue: Enqueue
    repair: Callable[[], None]
    """Queues jobs that are in no queue, and ends those whose workflow ended without them."""
    forget: Callable[[Sequence[JobId]], None]


@contextmanager
def open_worker(settings: Settings, store: JobStore, run: RunJob, stopping: threading.Event) -> Iterator[Queue]:
    """Takes jobs from the queues, in threads, until the context ends; it sets `stopping` first.

    `run` ends soon after, by an error that is no `Exception`: the job then goes on at the next start.
    """
    from dbos import DBOS, SetEnqueueOptions, SetWorkflowID

    with ExitStack() as stack:
        # DBOS marks the functions it decorates: methods can't be marked, so this is a function of this call.
        # It has no steps: what is done is known from the job's rows, and a workflow that died is run again.
        @DBOS.workflow(name=_WORKFLOW, max_recovery_attempts=_DEATHS)
        def ingest_job(job: JobId, tenant: TenantId) -> str:
            return run(job, tenant)

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
        _register_queues(settings.jobs)

        def enqueue(ticket: Ticket) -> None:
            name, partition = _place(ticket)
            with SetWorkflowID(ticket.job), SetEnqueueOptions(queue_partition_key=partition):
                DBOS.enqueue_workflow(name, ingest_job, ticket.job, ticket.tenant)

        def repair() -> None:
            _repair(store, enqueue)

        def forget(jobs: Sequence[JobId]) -> None:
            DBOS.delete_workflows(list(jobs))

        repair()
        yield Queue(enqueue, repair, forget)


@contextmanager
def open_client(settings: Settings) -> Iterator[Enqueue]:
    """Puts jobs into the queues; workers in other processes take them."""
    from dbos import DBOS, DBOSClient

    with ExitStack() as stack:
        # The queues must be there before their first worker is.
        DBOS.migrate(_queue_url(settings))
        client = DBOSClient(system_database_url=_queue_url(settings))
        stack.callback(client.destroy)

        def enqueue(ticket: Ticket) -> None:
            name, partition = _place(ticket)
            options: EnqueueOptions = {
                "workflow_name": _WORKFLOW,
                "queue_name": name,
                "workflow_id": ticket.job,
                "app_version": _APPLICATION_VERSION,
            }
            if partition is not None:
                options["queue_partition_key"] = partition
            client.enqueue(options, ticket.job, ticket.tenant)

        yield enqueue


def _register_queues(settings: JobsSettings) -> None:
    from dbos import DBOS

    DBOS.register_queue(
        _UPLOADS,
        worker_concurrency=settings.uploads,
        polling_interval_sec=_QUEUE_POLL_S,
        on_conflict="always_update",
    )
    # One at a time of each source, however many workers there are.
    DBOS.register_queue(
        _BULK,
        worker_concurrency=settings.bulk,
        partition_concurrency=1,
        polling_interval_sec=_QUEUE_POLL_S,
        on_conflict="always_update",
    )


def _repair(store: JobStore, enqueue: Enqueue) -> None:
    from dbos import DBOS

    for ticket in store.unfinished():
        status = DBOS.get_workflow_status(ticket.job)
        if status is None:
            # The process died between storing the job and queueing it.
            enqueue(ticket)
        elif status.status in _ENDED:
            detail = f"its worker died {_DEATHS} times, or could not say how the job ended: see the log"
            state = None if ticket.kind is JobKind.UPLOAD else JobState.FAILED
            store.finish(Scope(ticket.tenant), ticket.job, state=state, detail=detail)


def _place(ticket: Ticket) -> tuple[str, str | None]:
    if ticket.kind is JobKind.UPLOAD:
        return _UPLOADS, None
    return _BULK, f"{ticket.tenant}/{ticket.source or ticket.kind}"


def _queue_url(settings: Settings) -> str:
    url = database_url(settings)
    if url.get_backend_name() == "sqlite":
        url = url.set(database=str((settings.data_dir / JOBS_FILE).absolute()))
    return url.render_as_string(hide_password=False)
