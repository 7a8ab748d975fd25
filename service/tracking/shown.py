"""What a trace showed to whoever asked, in the order in which it was shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from service.ledger.traces import Operation, Trace


@dataclass(frozen=True, slots=True)
class Shown:
    """One passage. `rank` counts from 1, over the pages of a search; `document` is the key of its document.

    `folded`: a passage of another document that says the same, shown below the hit of that rank.
    """

    chunk_id: str
    rank: int
    document: str | None
    uri: str
    title: str
    folded: bool = False


def shown(trace: Trace) -> tuple[Shown, ...]:
    """The hits of a search, the passages of a context pack; of an answer its sources, then what it was written from."""
    if trace.operation != Operation.ANSWER:
        first = trace.body.get("offset", 0) + 1
        return tuple(_ranked(trace.body.get("passages", ()), first))
    cited = sorted(trace.body.get("citations", ()), key=lambda one: one["n"])
    once = {one["chunk_id"]: one for one in (*cited, *trace.body.get("passages", ()))}
    return tuple(_ranked(once.values(), 1))


def _ranked(passages: Iterable[Mapping[str, Any]], first: int) -> Iterable[Shown]:
    for rank, one in enumerate(passages, start=first):
        yield Shown(one["chunk_id"], rank, one.get("document"), one.get("uri", ""), one.get("title", ""))
        for folded in one.get("duplicates", ()):
            yield Shown(
                folded["chunk_id"], rank, folded.get("document"), folded.get("uri", ""), folded.get("title", ""), True
            )
