"""What a sync says while it runs and when it ends, and what a comparison with the origin finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from ingestion.corpus.records import DocumentId


class SyncStage(StrEnum):
    SCANNING = "scanning"
    DELETING = "deleting"


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """Where a sync stands; other bulk work has stages of its own. Files attached to a document count with it.

    `total` is the number of items met last time.
    """

    stage: StrEnum
    seen: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    failed: int = 0
    quarantined: int = 0
    total: int | None = None


@dataclass(frozen=True, slots=True)
class SyncReport:
    """How a sync ended.

    `complete`: the scan met everything, so that what it did not meet is deleted. `stopped`: it was asked to stop.
    """

    seen: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    failed: int = 0
    quarantined: int = 0
    complete: bool = True
    stopped: bool = False

    def counts(self) -> dict[str, int]:
        return {name: value for name, value in asdict(self).items() if name not in ("complete", "stopped")}


class ItemStatus(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    FAILED = "failed"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """An item that a sync changed or could not; `code` and `detail` say why not."""

    document_id: DocumentId
    uri: str
    status: ItemStatus
    code: str | None = None
    detail: str | None = None


def _ignore(_: object) -> None:
    """Nobody watches."""


def _never() -> bool:
    return False


def _at_once() -> None:
    """Nobody goes first."""


@dataclass(frozen=True, slots=True)
class Oversight:
    """How others watch a sync and hold it. All are called often and by more than one thread, `record` once an item.

    `should_stop`: True ends the sync soon; what was done stays, and nothing is deleted.
    `wait_turn` is called before each batch is embedded, and may block while more urgent work is done.
    `spent` is given, for each pass over documents, its seconds per stage: a mapping that grows while the pass goes on.
    """

    progress: Callable[[SyncProgress], None] = _ignore
    should_stop: Callable[[], bool] = _never
    wait_turn: Callable[[], None] = _at_once
    record: Callable[[ItemRecord], None] = _ignore
    spent: Callable[[Mapping[str, float]], None] = _ignore


LISTED = 100
"""Ids that a difference names."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How many documents, and the ids of the first hundred with what people know them by."""

    count: int = 0
    ids: tuple[DocumentId, ...] = ()
    uris: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What an origin and the corpus disagree on.

    `missing`: at the origin, not in the corpus. `stale`: another version is in the corpus. `orphaned`: in the corpus,
    not at the origin. `failed` and `quarantined`: at the origin, and the corpus says why they are not in it as they
    are. `index_differs`: chunks that catalogue and index do not both have. `oldest_unsynced_s`: how long the oldest
    of the missing and stale has been so, None if there is none. `complete`: everything at the origin was compared.
    """

    documents: int
    missing: Difference
    stale: Difference
    orphaned: Difference
    failed: Difference
    quarantined: Difference
    index_differs: int
    oldest_unsynced_s: float | None
    complete: bool

    @property
    def equal(self) -> bool:
        """Whether what is at the origin is in catalogue and index, exactly."""
        differences = (self.missing, self.stale, self.orphaned, self.failed, self.quarantined)
        return self.complete and not self.index_differs and not any(found.count for found in differences)
