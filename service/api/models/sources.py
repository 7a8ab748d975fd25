"""`/v1/sources`: where documents are kept in step with, how that goes, and what differs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from ingestion.corpus.records import DEFAULT_COLLECTION
from ingestion.sources.definitions import OriginDefinition, SourceDefinition
from ingestion.syncing import Difference, Reconciliation, Source, SourceHealth
from service.api.models.fields import CollectionName, Cursor, Labels, MetadataMap, Reply, Request

MAX_PAGE = 100
_TAGS = ("union_tag_invalid", "union_tag_not_found")
_KINDS = "must be folder, git, web or sql"


class SourceRequest(SourceDefinition):
    """A source as it is added or defined anew."""

    collection: CollectionName = Field(DEFAULT_COLLECTION, description="where its documents go")
    labels: Labels = ()
    metadata: MetadataMap = Field(default_factory=dict, description="stored with each of its documents")

    @field_validator("origin", mode="wrap")
    @classmethod
    def _found_where_it_stands(cls, value: Any, check: ValidatorFunctionWrapHandler) -> Any:
        """What is wrong is told of `/origin/path`, not of `/origin/folder/path`: nobody sent such a field."""
        if any("\0" in text or not _is_unicode(text) for text in _texts(value)):
            raise PydanticCustomError("string_unicode", "holds a NUL character or a lone surrogate")
        try:
            return check(value)
        except ValidationError as error:
            raise ValidationError.from_exception_data(error.title, [_moved(one) for one in error.errors()]) from None


def _moved(error: Any) -> InitErrorDetails:
    location, told = (("kind",), _KINDS) if error["type"] in _TAGS else (error["loc"][1:], error["msg"])
    # As an error of ours: one of theirs would have to be given the context of its message again.
    return InitErrorDetails(type=PydanticCustomError(error["type"], told), loc=location, input=error["input"])


def _texts(value: Any) -> Iterator[str]:
    """Every text in what JSON gave."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in (*value, *value.values()):
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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
    """How many documents, exactly, and the first hundred of them: their ids, and what people know them by."""

    count: int
    ids: list[str]
    uris: list[str]

    @classmethod
    def of(cls, difference: Difference) -> DifferenceModel:
        return cls(count=difference.count, ids=list(difference.ids), uris=list(difference.uris))


class ReconciliationModel(Reply):
    """What the origin and the corpus disagree on. `equal`: nothing, and everything at the origin was compared."""

    equal: bool
    complete: bool
    documents: int = Field(description="in the corpus, files attached to others not counted")
    missing: DifferenceModel = Field(description="at the origin, not in the corpus")
    stale: DifferenceModel = Field(description="at the origin, and in the corpus as another version")
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
