"""The list of jobs and their items, in the catalogue's database; how they are run is the matter of `jobs`."""

from ingestion.job_store.reading import JobReader
from ingestion.job_store.records import ItemStatus, Job, JobFilter, JobId, JobItem, JobKind, JobState, Ticket
from ingestion.job_store.store import JobStore, Progress
from ingestion.job_store.uploads import UploadStore, Waiting

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
    "Progress",
    "Ticket",
    "UploadStore",
    "Waiting",
]
