"""What a source is to the sync: a place that can be scanned. The sync decides what to store and what to delete.

One scan passes over everything at the origin and says of each item whether it changed. The rule behind the types:
only an item that the origin itself no longer has is gone; whatever could not be looked at is `Unavailable`, and stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from ingestion.corpus.records import Metadata
from ingestion.errors import RejectionCode


@dataclass(frozen=True, slots=True)
class KnownItem:
    """What is remembered of an item since it was last fetched.

    `revision` is what the origin gave for it then, None if it must be fetched again whatever the origin says now.
    `state` is the origin's own memory, for example the validators of an HTTP answer.
    """

    key: str
    revision: str | None
    state: Mapping[str, Any] = field(default_factory=dict)


class Known(Protocol):
    """The memory of earlier scans."""

    def get(self, keys: Collection[str]) -> dict[str, KnownItem]:
        """What is remembered of those of the items that were fetched before. Ask for some hundreds at a time."""
        ...

    def sample(self) -> KnownItem | None:
        """Any one of the items that were fetched before; None if there are none, as in a source's first scan."""
        ...


@dataclass(frozen=True, slots=True)
class OriginDocument:
    """An item as it was fetched. `uri` is what readers see; `name` is a file name whose suffix proposes the format."""

    uri: str
    name: str
    data: bytes
    title: str | None = None
    metadata: Metadata = field(default_factory=dict)
    media_type: str | None = None
    modified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The item is there, as it was when it was last fetched."""

    key: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """The item is there, and this is its content, new or not.

    Equal revisions promise equal content. None promises nothing: the item is fetched again by the next scan.
    """

    key: str
    document: OriginDocument
    revision: str | None = None
    state: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The item is there, or may be, but could not be had now. What is indexed of it stays."""

    key: str
    uri: str
    code: RejectionCode
    detail: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The origin says that the item no longer exists. Items that a complete scan did not meet are gone without it."""

    key: str


@dataclass(frozen=True, slots=True)
class End:
    """The last word of every scan. `complete`: what the scan did not meet is not at the origin."""

    complete: bool


Sighting = Unchanged | Fetched | Unavailable | Gone | End


class Origin(Protocol):
    """One place that documents come from. All pass tests/contracts/test_origin.py. Used by one thread at a time."""

    def token(self) -> str | None:
        """The state of the whole origin in one string, where that is cheap: equal tokens, nothing changed.

        Raises: SourceUnavailable.
        """
        ...

    def scan(self, known: Known) -> Iterator[Sighting]:
        """Everything at the origin, each item once, then one `End`. Holds no more than a batch in memory.

        Raises: SourceUnavailable if the origin does not answer or can't be listed: nothing may then be deleted.
        """
        ...

    def close(self) -> None: ...
