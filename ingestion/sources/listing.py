"""Scans of origins that can list their items with revisions: only what changed is fetched, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from ingestion.sources.origin import Fetched, Gone, Known, Unavailable, Unchanged

BATCH = 256


@dataclass(frozen=True, slots=True)
class Listed:
    """An item in a listing. `revision` is None where the origin can't promise that it changes with the content."""

    key: str
    revision: str | None


Fetch = Callable[[Sequence[Listed]], Iterator[Fetched | Unavailable | Gone]]


def sightings(
    listed: Iterable[Listed], known: Known, fetch: Fetch
) -> Iterator[Unchanged | Fetched | Unavailable | Gone]:
    """Each listed item as unchanged, or as `fetch` gives it. Holds one batch of `BATCH` items."""
    items = iter(listed)
    while batch := list(islice(items, BATCH)):
        remembered = known.get([item.key for item in batch])
        changed = []
        for item in batch:
            before = remembered.get(item.key)
            if before is not None and item.revision is not None and before.revision == item.revision:
                yield Unchanged(item.key)
            else:
                changed.append(item)
        if changed:
            yield from fetch(changed)
