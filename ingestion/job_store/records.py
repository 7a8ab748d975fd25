"""What is known of a job: its state, its progress and what became of each document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from ingestion.corpus.records import DocumentId
from ingestion.corpus.scope import TenantId

JobId = NewType("JobId", str)


class JobKind(StrEnum):
    """`upload`: its items are the work. `sync` and `rebuild`: its items are a record of what changed or failed."""

    UPLOAD = "upload"
    SYNC = "sync"
    REBUILD = "rebuild"


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
    DELETED = "deleted"
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
    """A job with its progress.

    `total` grows while more work is found: files that were attached, items of a source that is scanned. `counts` are
    exact, by outcome. `items` are all documents of an upload, in their order; of other kinds what changed or failed,
    1,000 at most of each; in a list of jobs, only some that failed. `eta_s` is None while it can't be known.
    """

    id: JobId
    kind: JobKind
    state: JobState
    done: int
    total: int
    counts: Mapping[str, int]
    items: tuple[JobItem, ...]
    stage_seconds: Mapping[str, float]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    source: str | None = None
    stage: str | None = None
    eta_s: float | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs: those that meet every condition that is set."""

    kind: JobKind | None = None
    state: JobState | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Ticket:
    """What it takes to queue a job. Two jobs of one kind for one source never run at the same time."""

    tenant: TenantId
    job: JobId
    kind: JobKind
    source: str | None = None
