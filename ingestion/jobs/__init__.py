"""Durable jobs: an upload is a workflow that survives the process. The only package that knows DBOS.

A job and its documents' bytes are stored before the caller gets an answer. The workflow ingests them in
slices; a slice that was under way when the process died is run again, and ingesting twice equals once.
"""

from ingestion.job_store import ItemStatus, Job, JobId, JobItem, JobState
from ingestion.jobs.jobs import Jobs
from ingestion.jobs.queue import open_jobs, run_worker
from ingestion.jobs.runner import JobRunner

__all__ = ["ItemStatus", "Job", "JobId", "JobItem", "JobRunner", "JobState", "Jobs", "open_jobs", "run_worker"]
