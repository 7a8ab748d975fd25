"""`/v1/jobs`: watch and stop ingestions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from ingestion.jobs import JobId
from service.api.access import Ingesting, Running
from service.api.auditing import Audited
from service.api.models.fields import DocumentIdText
from service.api.models.jobs import JobDetail, JobModel, JobPage, JobParameters
from service.api.problems import RESPONSES
from service.api.replies import reply
from service.ledger.audit import Action

router = APIRouter(tags=["jobs"], responses=RESPONSES)

PathJob = Annotated[DocumentIdText, Path(max_length=64)]


@router.get("/v1/jobs", response_model=JobPage, summary="List jobs")
def list_jobs(parameters: Annotated[JobParameters, Query()], principal: Ingesting, runtime: Running) -> Response:
    """The tenant's uploads, syncs and rebuilds, newest first."""
    wanted = parameters.filter_of()
    page = runtime.jobs.list(principal.scope, wanted, cursor=parameters.cursor, limit=parameters.limit)
    return reply(JobPage(jobs=[JobModel.of(job) for job in page.items], next_cursor=page.next_cursor))


@router.get("/v1/jobs/{job_id}", response_model=JobDetail, summary="One job")
def get_job(job_id: PathJob, principal: Ingesting, runtime: Running) -> Response:
    """How far it has come, and what became of each document."""
    return reply(JobDetail.of(runtime.jobs.get(principal.scope, JobId(job_id))))


@router.post("/v1/jobs/{job_id}/cancel", response_model=JobDetail, summary="Stop a job")
def cancel_job(job_id: PathJob, principal: Ingesting, runtime: Running, acting: Audited) -> Response:
    """It stops before its next document; what is ingested stays. A job that is over stays as it ended."""
    with acting.change(Action.JOB_CANCEL, job_id):
        return reply(JobDetail.of(runtime.jobs.cancel(principal.scope, JobId(job_id))))
