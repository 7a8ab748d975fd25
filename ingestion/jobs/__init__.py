"""Durable jobs: uploads, syncs and rebuilds that survive the process. The only package that knows DBOS.

A job, and the documents' bytes of an upload, are stored before the caller gets an answer. A job that was under way
when the process died is run again and does the rest: ingesting twice equals once.
"""

from ingestion.job_store import (
    ItemStatus,
    Job,
    JobFilter,
    JobId,
    JobItem,
    JobKind,
    JobReader,
    JobState,
    JobStore,
)
from ingestion.jobs.jobs import Jobs
from ingestion.jobs.opening import open_jobs, run_worker

__all__ = [
    "ItemStatus",
    "Job",
    "JobFilter",
    "JobId",
    "JobItem",
    "JobKind",
    "JobReader",
    "JobState",
    "JobStore",
    "Jobs",
    "open_jobs",
    "run_worker",
]
