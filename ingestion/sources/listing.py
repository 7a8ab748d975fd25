"""Scans of origins that can list their items with revisions: only what changed is fetched, a batch at a time.

Also how the path of a file becomes a key: names of files are bytes, keys are text that any database stores.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from urllib.parse import quote, unquote_to_bytes

from ingestion.sources.origin import Fetched, Gone, Known, Unavailable, Unchanged

BATCH = 256

_ENCODED = "./"
"""Starts the key of a path that is not UTF-8. No path that was walked to starts so, hence no two share a key."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Listed:
    """An item in a listing. `revision` is None where the origin can't promise that it changes with the content."""

    key: str
    revision: str | None


Fetch = Callable[[Sequence[Listed]], Iterator[Fetched | Unavailable | Gone]]


def sightings(
    listed: Iterable[Listed | Unavailable], known: Known, fetch: Fetch, *, batch: int = BATCH
) -> Iterator[Unchanged | Fetched | Unavailable | Gone]:
    """Each listed item as unchanged, or as `fetch` gives it; what could not be listed as it came.

    Holds one batch of listed items.
    """
    items = iter(listed)
    while several := list(islice(items, batch)):
        yield from (item for item in several if isinstance(item, Unavailable))
        present = [item for item in several if isinstance(item, Listed)]
        remembered = {}
        for start in range(0, len(present), BATCH):
            remembered.update(known.get([item.key for item in present[start : start + BATCH]]))
        changed = []
        for item in present:
            before = remembered.get(item.key)
            if before is not None and item.revision is not None and before.revision == item.revision:
                yield Unchanged(item.key)
            else:
                changed.append(item)
        if changed:
            yield from fetch(changed)


def key_of(path: bytes) -> str:
    """The key of a path with forward slashes: the path itself where it is UTF-8, and else its bytes in percents."""
    try:
        return path.decode("utf-8")
    except UnicodeDecodeError:
        return _ENCODED + quote(path)


def path_of(key: str) -> bytes:
    """The path that has this key."""
    return unquote_to_bytes(key.removeprefix(_ENCODED)) if key.startswith(_ENCODED) else key.encode()


def readable(path: bytes) -> str:
    """The path for people, on one line: U+FFFD stands for what is not UTF-8 and for control characters."""
    return _CONTROL.sub("\ufffd", path.decode("utf-8", "replace"))
