"""`/v1/sources`: where documents are kept in step with, how that goes, and what differs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from ingestion.sources.definitions import OriginDefinition
from ingestion.syncing import Difference, Reconciliation, Source, SourceHealth
from service.api.models.fields import Cursor, Reply, Request

MAX_PAGE = 100


class SourceErrorModel(Reply):
    """Why the last sync did not end well."""

    code: str
    detail: str


class SourceModel(Reply):
    """A source with how its syncs went."""

    id: str
    origin: OriginDefinition
    collection: str
    labels: list[str]
    metadata: dict[str, Any]
    interval_s: int | None
    health: SourceHealth
    paused: bool
    failures: int = Field(description="syncs that failed since the last that did not")
    error: SourceErrorModel | None
    counts: dict[str, int] = Field(description="of the last sync that ended")
    created_at: datetime
    attempted_at: datetime | None
    succeeded_at: datetime | None
    due_at: datetime | None = Field(description="when it is synced next; null: on demand")

    @classmethod
    def of(cls, source: Source) -> SourceModel:
        definition = source.definition
        return cls(
            id=source.id,
            origin=definition.origin,
            collection=definition.collection,
            labels=list(definition.labels),
            metadata=definition.metadata,
            interval_s=definition.interval_s,
            health=source.health,
            paused=source.paused,
            failures=source.failures,
            error=None
            if source.error is None
            else SourceErrorModel(code=source.error.code, detail=source.error.detail),
            counts=dict(source.counts),
            created_at=source.created_at,
            attempted_at=source.attempted_at,
            succeeded_at=source.succeeded_at,
            due_at=source.due_at,
        )


class SourcePage(Reply):
    """Sources, newest first; `next_cursor` is null on the last page."""

    sources: list[SourceModel]
    next_cursor: str | None


class SourceParameters(Request):
    """Which page of sources."""

    cursor: Cursor | None = None
    limit: int = Field(50, ge=1, le=MAX_PAGE)


class Retried(Reply):
    """How many documents the next sync tries again."""

    documents: int


class DifferenceModel(Reply):
    """How many documents, exactly, and the ids of the first hundred."""

    count: int
    ids: list[str]

    @classmethod
    def of(cls, difference: Difference) -> DifferenceModel:
        return cls(count=difference.count, ids=list(difference.ids))


class ReconciliationModel(Reply):
    """What the origin and the corpus disagree on. `equal`: nothing, and everything at the origin was compared."""

    equal: bool
    complete: bool
    documents: int = Field(description="at the origin")
    missing: DifferenceModel = Field(description="at the origin, not in the corpus")
    stale: DifferenceModel = Field(description="in the corpus as another version")
    orphaned: DifferenceModel = Field(description="in the corpus, not at the origin")
    failed: DifferenceModel = Field(description="at the origin; why it is not in the corpus as it is, is known")
    quarantined: DifferenceModel = Field(description="failed so often that it is no longer tried")
    index_differs: int = Field(description="chunks that catalogue and index do not both have")
    oldest_unsynced_s: float | None = Field(description="age of the oldest change that is not in the corpus")

    @classmethod
    def of(cls, found: Reconciliation) -> ReconciliationModel:
        return cls(
            equal=found.equal,
            complete=found.complete,
            documents=found.documents,
            missing=DifferenceModel.of(found.missing),
            stale=DifferenceModel.of(found.stale),
            orphaned=DifferenceModel.of(found.orphaned),
            failed=DifferenceModel.of(found.failed),
            quarantined=DifferenceModel.of(found.quarantined),
            index_differs=found.index_differs,
            oldest_unsynced_s=found.oldest_unsynced_s,
        )
