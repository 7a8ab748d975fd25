"""Documents that say of themselves that another took their place: shown after that one, where both are found."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ingestion.corpus.records import ChunkId, Document, DocumentKey, IndexedChunk, Metadata

_SUPERSEDED = frozenset({"superseded", "deprecated", "obsolete", "retired", "replaced"})
NEAR = 0.1
"""Fused score by which a passage of such a document must lead to stand before one of another document."""
FOUND = 0.5
"""A replacement counts as found if it has this share of the fused score of what it replaces."""

Successors = Callable[[Document], Mapping[DocumentKey, float]]
"""The documents among the candidates that took a document's place, with their best fused score."""


def is_superseded(metadata: Metadata) -> bool:
    """Whether a document says of itself that another took its place."""
    status = metadata.get("status")
    return bool(metadata.get("superseded_by")) or (
        isinstance(status, str) and status.split(" ")[0].strip().casefold() in _SUPERSEDED
    )


def named_successors(metadata: Metadata) -> tuple[str, ...]:
    """The ids or uris of the documents that took its place, as its metadata names them."""
    named = metadata.get("superseded_by")
    if isinstance(named, str):
        return (named,)
    return tuple(named) if isinstance(named, list) else ()


@dataclass(slots=True)
class _Waiting:
    """A passage that is held back: for one of these documents, and until what follows is this far behind."""

    passage: IndexedChunk
    until: frozenset[DocumentKey]
    score: float


@dataclass(slots=True)
class Demotion:
    """Holds passages of superseded documents back; the order of all others stays.

    A passage waits for the best one of the document that took its place, if that was found among the candidates, and
    otherwise lets those pass whose fused score is less than NEAR behind. Reads no further than it is asked to.
    """

    scores: Mapping[ChunkId, float]
    successors: Successors
    held: set[ChunkId] = field(default_factory=set)
    """Passages that did not keep their place."""

    def apply(self, passages: Iterable[IndexedChunk]) -> Iterator[IndexedChunk]:
        """The passages in the order in which they are to be shown."""
        waiting: list[_Waiting] = []
        shown: set[DocumentKey] = set()
        for passage in passages:
            if waiting:
                yield from self._released(waiting, shown, self.scores.get(passage.id, 0.0))
            key = passage.document.key
            if is_superseded(passage.document.metadata) and passage.id in self.scores:
                found = self._wait(passage, shown, waiting)
                if found is not None:
                    waiting.append(found)
                    self.held.add(passage.id)
                    continue
            shown.add(key)
            yield passage
        yield from self._released(waiting, shown, -math.inf)
        yield from (entry.passage for entry in waiting)

    def _wait(self, passage: IndexedChunk, shown: set[DocumentKey], waiting: list[_Waiting]) -> _Waiting | None:
        score = self.scores[passage.id]
        found = self.successors(passage.document)
        if any(key in shown for key in found):
            return None
        stuck = {entry.passage.document.key for entry in waiting if passage.document.key in entry.until}
        until = {key for key, best in found.items() if best >= FOUND * score and key not in stuck}
        return _Waiting(passage, frozenset(until), score)

    @staticmethod
    def _released(waiting: list[_Waiting], shown: set[DocumentKey], following: float) -> Iterator[IndexedChunk]:
        """Those whose wait is over before a passage of that score, in their order."""
        at = 0
        while at < len(waiting):
            entry = waiting[at]
            over = entry.until & shown if entry.until else following < entry.score - NEAR
            if not over:
                at += 1
                continue
            del waiting[at]
            shown.add(entry.passage.document.key)
            yield entry.passage
            at = 0
