"""Jobs as they are told: read from their rows, without the bytes of what still waits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, and_, func, select

from ingestion.corpus import tables
from ingestion.corpus.catalog_reader import Page, older_than, page_of
from ingestion.corpus.records import DocumentId
from ingestion.corpus.scope import Scope
from ingestion.errors import NotFound
from ingestion.job_store.records import ItemStatus, Job, JobFilter, JobId, JobItem, JobKind, JobState

DONE = "done"
"""How many items a sync is done with, among its counts."""
LISTED_FAILURES = 20
"""Failed documents of each job in a list of jobs."""


class JobReader:
    """Reads jobs. A job belongs to a tenant: every method takes the scope first."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, scope: Scope, job: JobId) -> Job:
        """Raises: NotFound."""
        with self._engine.connect() as connection:
            head = connection.execute(select(tables.jobs).where(of(scope, job))).one_or_none()
            if head is None:
                raise NotFound(f"no job {job!r}")
            counts = _counts(connection, [job])[job]
            return _job(head, counts, _items(connection, job))

    def list_jobs(self, scope: Scope, wanted: JobFilter, *, cursor: str | None = None, limit: int = 50) -> Page[Job]:
        """Jobs, newest first, each with some of its failed items. Raises: InvalidRequest for a foreign cursor."""
        jobs = tables.jobs.c
        conditions = [jobs.tenant == scope.tenant, *_conditions(wanted)]
        if cursor is not None:
            conditions.append(older_than(cursor, jobs.created_at, jobs.id))
        newest_first = select(tables.jobs).where(and_(*conditions)).order_by(jobs.created_at.desc(), jobs.id.desc())
        with self._engine.connect() as connection:
            heads = connection.execute(newest_first.limit(limit + 1)).all()
            ids = [head.id for head in heads]
            counts, failures = _counts(connection, ids), _failures(connection, ids)
        found = [_job(head, counts[head.id], failures[head.id]) for head in heads]
        return page_of(found, limit, lambda job: (job.created_at, job.id))

    def is_over(self, scope: Scope, job: JobId) -> bool:
        """Whether the job has ended, without reading its items. Raises: NotFound."""
        return JobState(self.fact(scope, job, tables.jobs.c.state)).is_final

    def fact(self, scope: Scope, job: JobId, column: ColumnElement[Any]) -> Any:
        """One column of the job's row. Raises: NotFound."""
        with self._engine.connect() as connection:
            row = connection.execute(select(column).where(of(scope, job))).one_or_none()
        if row is None:
            raise NotFound(f"no job {job!r}")
        return row[0]


def of(scope: Scope, job: JobId) -> ColumnElement[bool]:
    """The job's row."""
    return and_(tables.jobs.c.tenant == scope.tenant, tables.jobs.c.id == job)


def _conditions(wanted: JobFilter) -> list[ColumnElement[bool]]:
    jobs = tables.jobs.c
    conditions = []
    if wanted.kind is not None:
        conditions.append(jobs.kind == wanted.kind)
    if wanted.state is not None:
        conditions.append(jobs.state == wanted.state)
    if wanted.source is not None:
        conditions.append(jobs.source == wanted.source)
    return conditions


def _counts(connection: Connection, jobs: Sequence[str]) -> dict[str, dict[str, int]]:
    items = tables.job_items.c
    query = select(items.job_id, items.status, func.count()).where(items.job_id.in_(jobs))
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for job, status, count in connection.execute(query.group_by(items.job_id, items.status)):
        counts[job][status] = count
    return counts


def _items(connection: Connection, job: JobId) -> list[JobItem]:
    # Two reads: the columns that come after the bytes of a waiting item are slow to reach, and nothing is in them.
    items = tables.job_items.c
    waiting = select(items.position, items.document_id, items.uri).where(
        items.job_id == job, items.status == ItemStatus.QUEUED
    )
    over = select(items.position, items.document_id, items.uri, items.status, items.code, items.detail).where(
        items.job_id == job, items.status != ItemStatus.QUEUED
    )
    found = [
        (row.position, JobItem(DocumentId(row.document_id), row.uri, ItemStatus.QUEUED))
        for row in connection.execute(waiting)
    ]
    found += [(row.position, _item(row)) for row in connection.execute(over)]
    return [item for _, item in sorted(found, key=lambda pair: pair[0])]


def _failures(connection: Connection, jobs: Sequence[str]) -> dict[str, list[JobItem]]:
    items = tables.job_items.c
    rank = func.row_number().over(partition_by=items.job_id, order_by=items.position).label("rank")
    failed = (
        select(items.job_id, items.position, items.document_id, items.uri, items.status, items.code, items.detail, rank)
        .where(items.job_id.in_(jobs), items.status == ItemStatus.FAILED)
        .subquery()
    )
    few = select(failed).where(failed.c.rank <= LISTED_FAILURES).order_by(failed.c.job_id, failed.c.position)
    grouped: dict[str, list[JobItem]] = defaultdict(list)
    for row in connection.execute(few):
        grouped[row.job_id].append(_item(row))
    return grouped


def _item(row: Any) -> JobItem:
    return JobItem(DocumentId(row.document_id), row.uri, ItemStatus(row.status), row.code, row.detail)


def _job(head: Row[Any], by_status: Mapping[str, int], items: Sequence[JobItem]) -> Job:
    kind = JobKind(head.kind)
    if kind is JobKind.UPLOAD:
        counts = Counter(by_status)
        total = counts.total()
        done = total - counts.pop(ItemStatus.QUEUED, 0)
    else:
        counts = Counter(head.counts or {})
        total, done = head.total, counts.pop(DONE, 0)
    return Job(
        id=JobId(head.id),
        kind=kind,
        source=head.source,
        state=JobState(head.state),
        stage=head.stage,
        done=done,
        total=total,
        counts=dict(counts),
        items=tuple(items),
        stage_seconds=head.stage_seconds,
        created_at=head.created_at,
        started_at=head.started_at,
        finished_at=head.finished_at,
        eta_s=_eta_s(head, total - done),
        detail=head.detail,
    )


def _eta_s(head: Row[Any], left: int) -> float | None:
    if head.state != JobState.RUNNING or not head.pace:
        return None
    return round(left / float(head.pace), 1)


def now() -> datetime:
    """The time of the clock on the wall."""
    return datetime.now(UTC)
