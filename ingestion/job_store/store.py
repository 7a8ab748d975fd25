"""Writes of jobs: from the queue through their progress to their end, and out of the table when they are old."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from ingestion.corpus import tables
from ingestion.corpus.database import write_transaction
from ingestion.corpus.scope import Scope, TenantId
from ingestion.job_store.reading import DONE, JobReader, now, of
from ingestion.job_store.records import ItemStatus, JobId, JobItem, JobKind, JobState, Ticket
from ingestion.job_store.uploads import UploadStore

MAX_RECORDED = 1000
"""Failures, and changes, that are recorded of one sync; all are counted."""
_PRUNED_AT_ONCE = 500
_OPEN = (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a job stands. `done`, `total` and `counts` are those of a sync or rebuild; of an upload, its items tell.

    `pace` is items per second of the recent past, None while it can't be said how much is left.
    """

    stage: str
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    pace: float | None = None
    done: int = 0
    total: int = 0
    counts: Mapping[str, int] | None = None


class JobStore:
    """Writes of jobs, and the few reads that a worker needs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.reader = JobReader(engine)
        self.uploads = UploadStore(engine)

    def add_bulk(self, scope: Scope, job: JobId, kind: JobKind, source: str | None) -> JobId:
        """The job, queued; or the one of that kind, for that source, which is not over yet."""
        head: dict[str, object] = {
            "id": job,
            "tenant": scope.tenant,
            "kind": kind,
            "source": source,
            "state": JobState.QUEUED,
            "total": 0,
            "counts": {},
            "stage_seconds": {},
            "created_at": now(),
        }
        while True:
            under_way = self.under_way(scope, kind, source)
            if under_way is not None:
                return under_way
            try:
                with write_transaction(self._engine) as connection:
                    connection.execute(insert(tables.jobs).values(head))
                return job
            except IntegrityError:
                continue  # another caller was faster: its job is the one

    def start(self, scope: Scope, job: JobId) -> bool:
        """Mark a job as running; False if it is over. Raises: NotFound."""
        jobs = tables.jobs.c
        with write_transaction(self._engine) as connection:
            started = connection.execute(
                update(tables.jobs)
                .where(of(scope, job), jobs.state.in_(_OPEN))
                .values(state=JobState.RUNNING, started_at=func.coalesce(jobs.started_at, now()), pace=None)
            )
        if not started.rowcount:
            self.reader.fact(scope, job, jobs.state)
        return started.rowcount == 1

    def unfinished(self) -> list[Ticket]:
        """Every job that is not over, oldest first, across tenants: for the worker alone."""
        jobs = tables.jobs.c
        query = select(jobs.tenant, jobs.id, jobs.kind, jobs.source).where(jobs.finished_at.is_(None))
        with self._engine.connect() as connection:
            return [
                Ticket(TenantId(row.tenant), JobId(row.id), JobKind(row.kind), row.source)
                for row in connection.execute(query.order_by(jobs.created_at))
            ]

    def under_way(self, scope: Scope, kind: JobKind, source: str | None) -> JobId | None:
        """The job of that kind, for that source, that is not over."""
        jobs = tables.jobs.c
        same = jobs.source.is_(None) if source is None else jobs.source == source
        query = select(jobs.id).where(jobs.tenant == scope.tenant, jobs.kind == kind, same, jobs.finished_at.is_(None))
        with self._engine.connect() as connection:
            found = connection.scalar(query)
        return None if found is None else JobId(found)

    def facts(self, scope: Scope, job: JobId) -> tuple[JobKind, str | None, datetime, dict[str, float]]:
        """Kind, source, time of submission and seconds per stage so far. Raises: NotFound."""
        jobs = tables.jobs.c
        return (
            JobKind(self.reader.fact(scope, job, jobs.kind)),
            self.reader.fact(scope, job, jobs.source),
            self.reader.fact(scope, job, jobs.created_at),
            dict(self.reader.fact(scope, job, jobs.stage_seconds)),
        )

    def progress(self, job: JobId, progress: Progress) -> None:
        """Write down where the job stands."""
        values: dict[str, object] = {
            "stage": progress.stage,
            "stage_seconds": dict(progress.stage_seconds),
            "pace": progress.pace,
        }
        if progress.counts is not None:
            values |= {"total": progress.total, "counts": {**progress.counts, DONE: progress.done}}
        with write_transaction(self._engine) as connection:
            connection.execute(update(tables.jobs).where(tables.jobs.c.id == job).values(values))

    def record(self, job: JobId, items: Sequence[JobItem]) -> None:
        """Record what a sync changed or could not, once for each document: the latest word is the one that counts."""
        columns = tables.job_items.c
        latest = {item.document_id: item for item in items}
        with write_transaction(self._engine) as connection:
            connection.execute(delete(tables.job_items).where(columns.job_id == job, columns.document_id.in_(latest)))
            room = _room(connection, job)
            last = connection.scalar(select(func.max(columns.position)).where(columns.job_id == job))
            rows: list[dict[str, object]] = []
            for item in latest.values():
                is_failure = item.status is ItemStatus.FAILED
                if room[is_failure] > 0:
                    room[is_failure] -= 1
                    rows.append(_row(job, (-1 if last is None else last) + 1 + len(rows), item))
            if rows:
                connection.execute(insert(tables.job_items), rows)

    def finish(self, scope: Scope, job: JobId, *, state: JobState | None = None, detail: str | None = None) -> JobState:
        """Close the job, unless it is closed: in that state, or in the one that follows from its items.

        Items that still wait fail with `detail`, or are cancelled with their job.
        """
        jobs, items = tables.jobs.c, tables.job_items.c
        with write_transaction(self._engine) as connection:
            was = JobState(connection.execute(select(jobs.state).where(of(scope, job))).scalar_one())
            left = ItemStatus.CANCELLED if was is JobState.CANCELLED else ItemStatus.FAILED
            connection.execute(
                update(tables.job_items)
                .where(items.job_id == job, items.status == ItemStatus.QUEUED)
                .values(status=left, code=None if detail is None else "internal", detail=detail, data=None)
            )
            if was.is_final:
                connection.execute(update(tables.jobs).where(of(scope, job)).values(stage=None, pace=None))
                return was
            ended = state or _state_of(connection, job)
            connection.execute(
                update(tables.jobs)
                .where(of(scope, job))
                .values(state=ended, stage=None, pace=None, detail=detail, finished_at=now())
            )
        return ended

    def cancel(self, scope: Scope, job: JobId) -> None:
        """Mark a job that is not over as cancelled; its worker stops before the next document. Raises: NotFound."""
        jobs = tables.jobs.c
        self.reader.fact(scope, job, jobs.id)
        with write_transaction(self._engine) as connection:
            connection.execute(
                update(tables.jobs)
                .where(of(scope, job), jobs.state.in_(_OPEN))
                .values(state=JobState.CANCELLED, pace=None, finished_at=now())
            )

    def is_cancelled(self, job: JobId) -> bool:
        """Whether the job was cancelled, or is no more."""
        with self._engine.connect() as connection:
            state = connection.scalar(select(tables.jobs.c.state).where(tables.jobs.c.id == job))
        return state is None or state == JobState.CANCELLED

    def prune(self, before: datetime) -> list[JobId]:
        """Forget the oldest jobs that ended before that time, some hundreds at once; returns which."""
        jobs = tables.jobs.c
        oldest = select(jobs.id).where(jobs.finished_at < before).order_by(jobs.finished_at).limit(_PRUNED_AT_ONCE)
        with write_transaction(self._engine) as connection:
            ids = [JobId(id_) for id_ in connection.scalars(oldest)]
            connection.execute(delete(tables.job_items).where(tables.job_items.c.job_id.in_(ids)))
            connection.execute(delete(tables.jobs).where(jobs.id.in_(ids)))
        return ids


def _room(connection: Connection, job: JobId) -> dict[bool, int]:
    """How many more items may be recorded, by whether they failed."""
    items = tables.job_items.c
    query = select(items.status, func.count()).where(items.job_id == job).group_by(items.status)
    room = {True: MAX_RECORDED, False: MAX_RECORDED}
    for status, count in connection.execute(query):
        room[status == ItemStatus.FAILED] -= count
    return room


def _row(job: JobId, position: int, item: JobItem) -> dict[str, object]:
    return {
        "job_id": job,
        "position": position,
        "document_id": item.document_id,
        "uri": item.uri,
        "attributes": {},
        "status": item.status,
        "code": item.code,
        "detail": item.detail,
    }


def _state_of(connection: Connection, job: JobId) -> JobState:
    items = tables.job_items.c
    query = select(items.status, func.count()).where(items.job_id == job).group_by(items.status)
    counts: dict[str, int] = {row[0]: row[1] for row in connection.execute(query)}
    failed = counts.get(ItemStatus.FAILED, 0)
    if not failed:
        return JobState.SUCCEEDED
    return JobState.FAILED if failed == sum(counts.values()) else JobState.PARTIAL
