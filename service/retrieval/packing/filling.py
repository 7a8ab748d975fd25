"""What fits: stretches within an exact budget of tokens. Which passages are worth a place was decided before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ingestion.corpus.records import ChunkId, DocumentKey
from ingestion.corpus.surroundings import PlacedChunk
from service.retrieval.packing.stretches import SEPARATOR, Neighbours, Stretch, cut_points, needs, render
from service.retrieval.results import Passage

Count = Callable[[str], int]

NEIGHBOURLY = 3
"""Of so many stretches the neighbours are taken in before shorter, weaker passages."""
_LEAST_REST = 40
"""Tokens left that are worth filling with the beginning of a passage."""


@dataclass(frozen=True, slots=True)
class Room:
    """How much may be said."""

    budget: int
    max_passages: int
    count: Count


@dataclass(slots=True)
class Filler:
    """Fills one pack. `barred` chunks may not come in as neighbours; `notes` belong to replaced documents."""

    room: Room
    neighbours: Neighbours
    barred: frozenset[ChunkId]
    notes: Mapping[DocumentKey, str]
    stretches: list[Stretch] = field(default_factory=list)
    _sizes: dict[tuple[ChunkId, ChunkId, int | None], int] = field(default_factory=dict)

    def fill(self, passages: Sequence[Passage]) -> list[Stretch]:
        """Stretches in the order of their best passages, that fit together: passages from the best on, whole, with what
        they need; the beginning of the first that does not fit; what stands around the best; shorter, weaker ones."""
        left = list(enumerate(passages))
        while left and self._take(*left[0]):
            left.pop(0)
        if left:
            self._take_beginning(*left[0])
        for stretch in sorted(self.stretches, key=lambda stretch: stretch.rank)[:NEIGHBOURLY]:
            self._widen(stretch)
        for rank, passage in left:
            self._take(rank, passage)
        self.stretches.sort(key=lambda stretch: stretch.rank)
        self._shrink()
        return self.stretches

    def _take(self, rank: int, passage: Passage) -> bool:
        """Add the passage with what it needs, or alone, if it fits."""
        if self._holds(passage.indexed.id):
            return True
        placed = self.neighbours.placed(passage.indexed) or PlacedChunk(passage.indexed, "")
        stretch = Stretch((placed,), rank)
        whole = self._with_needs(stretch)
        return (whole is not stretch and self._add(whole)) or self._add(stretch)

    def _with_needs(self, stretch: Stretch) -> Stretch:
        after = self.neighbours.after(stretch)
        if after is not None and self._may_join(after) and needs(stretch.last, after.indexed):
            stretch = stretch.joined(Stretch((after,), stretch.rank))
        before = self.neighbours.before(stretch)
        if before is not None and self._may_join(before) and needs(before.indexed, stretch.first):
            stretch = Stretch((before,), stretch.rank).joined(stretch)
        return stretch

    def _widen(self, stretch: Stretch) -> None:
        """Take in what follows and what comes before, in turn, as far as it is known and fits."""
        for beside in (self.neighbours.after, self.neighbours.before):
            placed = beside(self._stretch_of(stretch.first.id))
            if placed is not None and self._may_join(placed):
                self._add(Stretch((placed,), stretch.rank))

    def _take_beginning(self, rank: int, passage: Passage) -> None:
        """As many lines and sentences of the passage as fit."""
        if self.stretches and self.room.budget - self._used() < _LEAST_REST:
            return
        placed = self.neighbours.placed(passage.indexed) or PlacedChunk(passage.indexed, "")
        whole = Stretch((placed,), rank)
        ends = cut_points(passage.indexed.chunk.text)
        low, high = 0, len(ends)
        while low < high:
            middle = (low + high + 1) // 2
            if self._fits(replace(whole, cut=ends[middle - 1])):
                low = middle
            else:
                high = middle - 1
        if low:
            cut = ends[low - 1]
            self._add(whole if cut == len(passage.indexed.chunk.text) else replace(whole, cut=cut))

    def _fits(self, stretch: Stretch) -> bool:
        return self._plan(stretch) is not None

    def _plan(self, stretch: Stretch) -> tuple[Stretch, list[Stretch]] | None:
        """The stretch joined with those that it touches, and these; None if it does not fit."""
        touching: list[Stretch] = []
        for other in self.stretches:
            if stretch.follows(other):
                stretch = other.joined(stretch)
                touching.append(other)
            elif other.follows(stretch):
                stretch = stretch.joined(other)
                touching.append(other)
        if len(self.stretches) - len(touching) >= self.room.max_passages:
            return None
        freed = sum(self.size(other) for other in touching)
        if self._used() - freed + self.size(stretch) > self.room.budget:
            return None
        return stretch, touching

    def _add(self, stretch: Stretch) -> bool:
        stretch = self._without_held(stretch)
        plan = self._plan(stretch)
        if plan is None:
            return False
        joined, touching = plan
        self.stretches = [other for other in self.stretches if all(other is not gone for gone in touching)] + [joined]
        return True

    def _without_held(self, stretch: Stretch) -> Stretch:
        """The stretch without chunks at its ends that are in already."""
        chunks = list(stretch.chunks)
        while len(chunks) > 1 and self._holds(chunks[0].indexed.id):
            chunks.pop(0)
        while len(chunks) > 1 and self._holds(chunks[-1].indexed.id):
            chunks.pop()
        return stretch if len(chunks) == len(stretch.chunks) else replace(stretch, chunks=tuple(chunks))

    def _shrink(self) -> None:
        """Tokens may join across blocks in ways that no sum foresees: the whole is counted, and it decides."""
        while self.stretches and self.room.count(self.text()) > self.room.budget:
            self.stretches.pop()

    def text(self) -> str:
        """The whole context."""
        return SEPARATOR.join(
            render(n, stretch, self.notes.get(stretch.first.document.key))
            for n, stretch in enumerate(self.stretches, start=1)
        )

    def size(self, stretch: Stretch) -> int:
        """Tokens of its block with the blank line after it."""
        key = (stretch.first.id, stretch.last.id, stretch.cut)
        if key not in self._sizes:
            block = render(1, stretch, self.notes.get(stretch.first.document.key))
            self._sizes[key] = self.room.count(block + SEPARATOR)
        return self._sizes[key]

    def _used(self) -> int:
        return sum(self.size(stretch) for stretch in self.stretches)

    def _holds(self, id_: ChunkId) -> bool:
        return any(placed.indexed.id == id_ for stretch in self.stretches for placed in stretch.chunks)

    def _stretch_of(self, id_: ChunkId) -> Stretch:
        return next(s for s in self.stretches if any(placed.indexed.id == id_ for placed in s.chunks))

    def _may_join(self, placed: PlacedChunk) -> bool:
        return placed.indexed.id not in self.barred and not self._holds(placed.indexed.id)
