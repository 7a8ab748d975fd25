"""`/v1/jobs`: how far an ingestion has come."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from ingestion.jobs import Job, JobItem
from service.api.models.documents import AcceptedDocument
from service.api.models.fields import Cursor, Reply, Request

MAX_PAGE = 100


class JobFailure(Reply):
    """One document that could not be ingested, and why."""

    id: str
    uri: str
    code: str | None
    detail: str | None


class JobModel(Reply):
    """An ingestion. `partial`: some documents failed, the others are searchable."""

    id: str
    state: Literal["queued", "running", "succeeded", "partial", "failed", "cancelled"]
    done: int
    total: int
    stage_seconds: dict[str, float] = Field(description="time spent per stage so far")
    eta_s: float | None
    failures: list[JobFailure]
    detail: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> JobModel:
        return cls(**_fields_of(job))


class JobDetail(JobModel):
    """An ingestion with each of its documents."""

    documents: list[AcceptedDocument]

    @classmethod
    def of(cls, job: Job) -> JobDetail:
        return cls(**_fields_of(job), documents=[accepted(item) for item in job.items])


class JobPage(Reply):
    """Jobs, newest first; `next_cursor` is null on the last page."""

    jobs: list[JobModel]
    next_cursor: str | None


class JobParameters(Request):
    """Which page of jobs."""

    cursor: Cursor | None = None
    limit: int = Field(20, ge=1, le=MAX_PAGE)


def accepted(item: JobItem) -> AcceptedDocument:
    """What became of one document of a job."""
    return AcceptedDocument(
        id=item.document_id, uri=item.uri, status=item.status.value, code=item.code, detail=item.detail
    )


def _fields_of(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state.value,
        "done": job.done,
        "total": job.total,
        "stage_seconds": {stage: round(seconds, 3) for stage, seconds in job.stage_seconds.items()},
        "eta_s": job.eta_s,
        "failures": [
            JobFailure(id=item.document_id, uri=item.uri, code=item.code, detail=item.detail)
            for item in job.items
            if item.status.value == "failed"
        ],
        "detail": job.detail,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }
