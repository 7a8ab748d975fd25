"""The list of jobs and their items, in the catalogue's database; how they are run is the matter of `jobs`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NewType

from sqlalchemy import ColumnElement, Engine, Row, and_, func, insert, select, update

from ingestion.corpus import tables
from ingestion.corpus.catalog_reader import Page, older_than, page_of
from ingestion.corpus.database import write_transaction
from ingestion.corpus.records import DocumentId, DocumentSource
from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import NotFound

JobId = NewType("JobId", str)


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self not in (JobState.QUEUED, JobState.RUNNING)


class ItemStatus(StrEnum):
    QUEUED = "queued"
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class JobItem:
    """One document of a job; `code` and `detail` say why it failed."""

    document_id: DocumentId
    uri: str
    status: ItemStatus
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job with its progress. `eta_s` is an estimate from the pace so far, None while there is none."""

    id: JobId
    state: JobState
    done: int
    total: int
    items: tuple[JobItem, ...]
    stage_seconds: Mapping[str, float]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    eta_s: float | None = None
    detail: str | None = None


class JobStore:
    """Reads and writes of jobs. A job belongs to a tenant: every method takes the scope first."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(
        self, scope: Scope, job: JobId, sources: Sequence[DocumentSource], *, unchanged: Collection[int] = ()
    ) -> None:
        """Store a job with the bytes of its documents, so that it outlives the process.

        `unchanged` are positions of documents that are live as they are: they are done. A job of nothing else is over.
        """
        now = datetime.now(UTC)
        over = len(unchanged) == len(sources)
        rows = [
            {
                "job_id": job,
                "position": position,
                "document_id": source.id,
                "uri": source.uri,
                "attributes": _attributes(source),
                "data": None if position in unchanged else source.data,
                "status": ItemStatus.UNCHANGED if position in unchanged else ItemStatus.QUEUED,
            }
            for position, source in enumerate(sources)
        ]
        head = {
            "id": job,
            "tenant": scope.tenant,
            "state": JobState.SUCCEEDED if over else JobState.QUEUED,
            "total": len(rows),
            "stage_seconds": {},
            "created_at": now,
            "finished_at": now if over else None,
        }
        with write_transaction(self._engine) as connection:
            connection.execute(insert(tables.jobs).values(head))
            connection.execute(insert(tables.job_items), rows)

    def get(self, scope: Scope, job: JobId) -> Job:
        """Raises: NotFound."""
        with self._engine.connect() as connection:
            head = connection.execute(select(tables.jobs).where(_of(scope, job))).one_or_none()
            if head is None:
                raise NotFound(f"no job {job!r}")
            items = connection.execute(_items_of([job])).all()
        return _job(head, items)

    def list_jobs(self, scope: Scope, *, cursor: str | None = None, limit: int = 50) -> Page[Job]:
        """Jobs, newest first. Raises: InvalidRequest for a foreign cursor."""
        jobs = tables.jobs.c
        condition = jobs.tenant == scope.tenant
        if cursor is not None:
            condition = and_(condition, older_than(cursor, jobs.created_at, jobs.id))
        newest_first = select(tables.jobs).where(condition).order_by(jobs.created_at.desc(), jobs.id.desc())
        with self._engine.connect() as connection:
            heads = connection.execute(newest_first.limit(limit + 1)).all()
            items = connection.execute(_items_of([head.id for head in heads])).all()
        grouped: dict[str, list[Row[Any]]] = {head.id: [] for head in heads}
        for item in items:
            grouped[item.job_id].append(item)
        found = [_job(head, grouped[head.id]) for head in heads]
        return page_of(found, limit, lambda job: (job.created_at, job.id))

    def start(self, scope: Scope, job: JobId) -> int:
        """Mark a job as running, unless it was cancelled meanwhile. Returns its number of items. Raises: NotFound."""
        jobs = tables.jobs.c
        with write_transaction(self._engine) as connection:
            connection.execute(
                update(tables.jobs)
                .where(_of(scope, job), jobs.state.in_([JobState.QUEUED, JobState.RUNNING]))
                .values(state=JobState.RUNNING, started_at=func.coalesce(jobs.started_at, datetime.now(UTC)))
            )
        total: int = self._fact(scope, job, jobs.total)
        return total

    def unfinished(self) -> list[tuple[TenantId, JobId]]:
        """Every job that is not over, oldest first, across tenants: for the worker alone."""
        jobs = tables.jobs.c
        open_jobs = select(jobs.tenant, jobs.id).where(jobs.finished_at.is_(None)).order_by(jobs.created_at)
        with self._engine.connect() as connection:
            return [(TenantId(row.tenant), JobId(row.id)) for row in connection.execute(open_jobs)]

    def submitted_at(self, scope: Scope, job: JobId) -> datetime:
        """When the job was submitted: what orders competing versions of a document. Raises: NotFound."""
        submitted_at: datetime = self._fact(scope, job, tables.jobs.c.created_at)
        return submitted_at

    def is_over(self, scope: Scope, job: JobId) -> bool:
        """Whether the job has ended, without reading its items. Raises: NotFound."""
        return JobState(self._fact(scope, job, tables.jobs.c.state)).is_final

    def load(self, scope: Scope, job: JobId, positions: Sequence[int]) -> list[tuple[int, DocumentSource]]:
        """The documents at these positions that still wait, with their bytes."""
        items = tables.job_items.c
        query = (
            select(tables.job_items)
            .join(tables.jobs, tables.jobs.c.id == items.job_id)
            .where(_of(scope, job), items.position.in_(positions), items.status == ItemStatus.QUEUED)
            .order_by(items.position)
        )
        with self._engine.connect() as connection:
            return [(row.position, _source(row)) for row in connection.execute(query)]

    def finish_item(
        self, job: JobId, position: int, status: ItemStatus, *, code: str | None = None, detail: str | None = None
    ) -> None:
        """Record what became of an item and drop its bytes."""
        items = tables.job_items.c
        with write_transaction(self._engine) as connection:
            connection.execute(
                update(tables.job_items)
                .where(items.job_id == job, items.position == position, items.status == ItemStatus.QUEUED)
                .values(status=status, code=code, detail=detail, data=None)
            )

    def add_seconds(self, job: JobId, seconds: Mapping[str, float]) -> None:
        """Add to the job's time per stage."""
        jobs = tables.jobs.c
        with write_transaction(self._engine) as connection:
            known = connection.scalar(select(jobs.stage_seconds).where(jobs.id == job)) or {}
            total = Counter(known) + Counter(dict(seconds))
            connection.execute(update(tables.jobs).where(jobs.id == job).values(stage_seconds=dict(total)))

    def finish(self, scope: Scope, job: JobId, *, detail: str | None = None) -> JobState:
        """Close the job: its state follows from its items, and items that still wait fail with `detail`."""
        jobs, items = tables.jobs.c, tables.job_items.c
        with write_transaction(self._engine) as connection:
            state = connection.scalar(select(jobs.state).where(_of(scope, job)))
            left = ItemStatus.CANCELLED if state == JobState.CANCELLED else ItemStatus.FAILED
            connection.execute(
                update(tables.job_items)
                .where(items.job_id == job, items.status == ItemStatus.QUEUED)
                .values(status=left, code=None if detail is None else "internal", detail=detail, data=None)
            )
            if state != JobState.CANCELLED:
                statuses = connection.scalars(select(items.status).where(items.job_id == job)).all()
                state = _final_state(statuses)
            connection.execute(
                update(tables.jobs)
                .where(_of(scope, job))
                .values(state=state, detail=detail, finished_at=func.coalesce(jobs.finished_at, datetime.now(UTC)))
            )
        return JobState(state)

    def cancel(self, scope: Scope, job: JobId) -> None:
        """Mark a job that is not over as cancelled; its worker stops before the next document. Raises: NotFound."""
        jobs = tables.jobs.c
        self.get(scope, job)
        with write_transaction(self._engine) as connection:
            connection.execute(
                update(tables.jobs)
                .where(_of(scope, job), jobs.state.in_([JobState.QUEUED, JobState.RUNNING]))
                .values(state=JobState.CANCELLED, finished_at=datetime.now(UTC))
            )

    def is_cancelled(self, job: JobId) -> bool:
        with self._engine.connect() as connection:
            return connection.scalar(select(tables.jobs.c.state).where(tables.jobs.c.id == job)) == JobState.CANCELLED

    def _fact(self, scope: Scope, job: JobId, column: ColumnElement[Any]) -> Any:
        with self._engine.connect() as connection:
            row = connection.execute(select(column).where(_of(scope, job))).one_or_none()
        if row is None:
            raise NotFound(f"no job {job!r}")
        return row[0]


def _of(scope: Scope, job: JobId) -> Any:
    return and_(tables.jobs.c.tenant == scope.tenant, tables.jobs.c.id == job)


def _items_of(jobs: Sequence[str]) -> Any:
    items = tables.job_items.c
    columns = (items.job_id, items.document_id, items.uri, items.status, items.code, items.detail)
    return select(*columns).where(items.job_id.in_(jobs)).order_by(items.job_id, items.position)


def _final_state(statuses: Sequence[str]) -> JobState:
    failed = sum(status == ItemStatus.FAILED for status in statuses)
    if not failed:
        return JobState.SUCCEEDED
    return JobState.FAILED if failed == len(statuses) else JobState.PARTIAL


def _job(head: Row[Any], items: Sequence[Row[Any]]) -> Job:
    done = sum(item.status != ItemStatus.QUEUED for item in items)
    eta_s = None
    if head.state == JobState.RUNNING and done and head.started_at is not None:
        elapsed_s = (datetime.now(UTC) - head.started_at).total_seconds()
        eta_s = round(elapsed_s / done * (head.total - done), 1)
    return Job(
        id=JobId(head.id),
        state=JobState(head.state),
        done=done,
        total=head.total,
        items=tuple(
            JobItem(DocumentId(item.document_id), item.uri, ItemStatus(item.status), item.code, item.detail)
            for item in items
        ),
        stage_seconds=head.stage_seconds,
        created_at=head.created_at,
        started_at=head.started_at,
        finished_at=head.finished_at,
        eta_s=eta_s,
        detail=head.detail,
    )


def _attributes(source: DocumentSource) -> dict[str, Any]:
    return {
        "name": source.name,
        "title": source.title,
        "collection": source.collection,
        "source": source.source,
        "labels": list(source.labels),
        "metadata": dict(source.metadata),
        "media_type": source.media_type,
        "modified_at": source.modified_at.isoformat() if source.modified_at else None,
    }


def _source(row: Row[Any]) -> DocumentSource:
    facts = dict(row.attributes)
    modified_at = facts.pop("modified_at")
    labels = tuple(facts.pop("labels"))
    return DocumentSource(
        id=DocumentId(row.document_id),
        uri=row.uri,
        data=row.data or b"",
        labels=labels,
        modified_at=datetime.fromisoformat(modified_at) if modified_at else None,
        **facts,
    )
