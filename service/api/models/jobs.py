"""`/v1/jobs`: how far uploads, syncs and rebuilds have come."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from ingestion.jobs import ItemStatus, Job, JobFilter, JobItem, JobKind, JobState
from service.api.models.documents import AcceptedDocument
from service.api.models.fields import Cursor, Reply, Request

MAX_PAGE = 100


class JobFailure(Reply):
    """One document that could not be ingested, and why."""

    id: str
    uri: str
    code: str | None
    detail: str | None


class JobDocument(Reply):
    """What became of one document of a job."""

    id: str
    uri: str
    status: Literal["queued", "created", "updated", "unchanged", "deleted", "failed", "cancelled"]
    code: str | None = Field(None, description="why it failed: stable, for programs")
    detail: str | None = Field(None, description="why it failed: a sentence, for people")


class JobModel(Reply):
    """An upload, the sync of a source, or a rebuild. `partial`: some documents failed, the others are searchable."""

    id: str
    kind: JobKind
    source: str | None = Field(
        description="the source that is synced, or the generation that is switched to if one was named"
    )
    state: JobState
    stage: str | None = Field(description="what it is at, while it runs")
    done: int
    total: int = Field(description="grows while more is found: attached files, items of a source that is scanned")
    counts: dict[str, int] = Field(description="documents by what became of them; exact")
    stage_seconds: dict[str, float] = Field(description="time spent per stage so far")
    eta_s: float | None = Field(description="from the pace of the last half minute; null while it can't be known")
    failures: list[JobFailure] = Field(description="in a list of jobs the first 20 of each, else 1,000 at most")
    detail: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> JobModel:
        return cls(**_fields_of(job))


class JobDetail(JobModel):
    """A job with its documents: all of an upload; of a sync those that changed or failed, 1,000 at most of each."""

    documents: list[JobDocument]

    @classmethod
    def of(cls, job: Job) -> JobDetail:
        return cls(**_fields_of(job), documents=[_document(item) for item in job.items])


class JobPage(Reply):
    """Jobs, newest first; `next_cursor` is null on the last page."""

    jobs: list[JobModel]
    next_cursor: str | None


class JobParameters(Request):
    """Which jobs, and which page of them."""

    kind: JobKind | None = None
    state: JobState | None = None
    source: str | None = Field(None, max_length=64)
    cursor: Cursor | None = None
    limit: int = Field(20, ge=1, le=MAX_PAGE)

    def filter_of(self) -> JobFilter:
        return JobFilter(self.kind, self.state, self.source)


def accepted(item: JobItem) -> AcceptedDocument:
    """What became of one document of a job."""
    return AcceptedDocument(
        id=item.document_id, uri=item.uri, status=item.status.value, code=item.code, detail=item.detail
    )


def _document(item: JobItem) -> JobDocument:
    return JobDocument(id=item.document_id, uri=item.uri, status=item.status.value, code=item.code, detail=item.detail)


def _fields_of(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "source": job.source,
        "state": job.state,
        "stage": job.stage,
        "done": job.done,
        "total": job.total,
        "counts": dict(job.counts),
        "stage_seconds": {stage: round(seconds, 3) for stage, seconds in job.stage_seconds.items()},
        "eta_s": job.eta_s,
        "failures": [
            JobFailure(id=item.document_id, uri=item.uri, code=item.code, detail=item.detail)
            for item in job.items
            if item.status is ItemStatus.FAILED
        ],
        "detail": job.detail,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }
