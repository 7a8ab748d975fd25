"""Stretches: chunks that follow each other in a document, as one text; and how one is written into a pack."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ingestion.corpus.records import ChunkId, ElementKind, IndexedChunk, Span
from ingestion.corpus.surroundings import PlacedChunk

SEPARATOR = "\n\n"
_BLOCKS = (ElementKind.TABLE, ElementKind.CODE)
_FENCE = re.compile(r"^[ \t>]*(?:```|~~~)", re.MULTILINE)
_END = re.compile(r"\n|(?<=[.!?]) (?=\S)|\Z")
_LEAST_CUT = 20
"""Characters of a chunk's beginning that are worth a place."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive chunks of one document in text order. `rank` is the place of the best one among what was found.

    `cut`: so many characters of the last chunk are left; None if all of it is.
    """

    chunks: tuple[PlacedChunk, ...]
    rank: int
    cut: int | None = None

    @property
    def first(self) -> IndexedChunk:
        return self.chunks[0].indexed

    @property
    def last(self) -> IndexedChunk:
        return self.chunks[-1].indexed

    @property
    def text(self) -> str:
        """As it stands in the document."""
        parts = [self.first.chunk.text]
        for placed in self.chunks[1:]:
            parts += [placed.before, placed.indexed.chunk.text]
        if self.cut is not None:
            parts[-1] = parts[-1][: self.cut]
        return "".join(parts)

    @property
    def span(self) -> Span:
        last = self.last.chunk.span
        return Span(self.first.chunk.span.start, last.end if self.cut is None else last.start + self.cut)

    def follows(self, other: Stretch) -> bool:
        """Whether this one goes on where the other ends."""
        return (
            self.first.document.key == other.last.document.key
            and self.first.chunk.position == other.last.chunk.position + 1
            and other.cut is None
        )

    def joined(self, after: Stretch) -> Stretch:
        """This one and the one that follows it as one."""
        return Stretch((*self.chunks, *after.chunks), min(self.rank, after.rank), after.cut)


def render(n: int, stretch: Stretch, note: str | None = None) -> str:
    """One block: number, title and the headings where it begins; the uri; a note; the text as it stands."""
    path = (stretch.first.document.title, *stretch.first.chunk.heading_path)
    head = f"[{n}] {' > '.join(' '.join(part.split()) for part in path)}\nSource: {_line(stretch.first.document.uri)}\n"
    return head + (f"Note: {_line(note)}\n" if note else "") + stretch.text


def cut_points(text: str) -> list[int]:
    """Where a text may end, up to its end: after a line or a sentence that leaves something to read, not inside fenced
    code, and not after what announces something. Anywhere between lines and sentences if that leaves nothing."""
    ends = [match.start() for match in _END.finditer(text)]
    least = min(_LEAST_CUT, len(text.strip()))
    ends = [end for end in ends if len(text[:end].strip()) >= least and not text[end - 1].isspace()]
    good = [end for end in ends if len(_FENCE.findall(text, 0, end)) % 2 == 0 and text[end - 1] != ":"]
    return good if good[:1] != [len(text)] else ends


class Neighbours:
    """The chunks around those that were found, by their place."""

    def __init__(self, placed: Mapping[ChunkId, PlacedChunk]) -> None:
        self._by_place = {(p.indexed.document.key, p.indexed.chunk.position): p for p in placed.values()}

    def after(self, stretch: Stretch) -> PlacedChunk | None:
        return self._by_place.get((stretch.last.document.key, stretch.last.chunk.position + 1))

    def before(self, stretch: Stretch) -> PlacedChunk | None:
        return self._by_place.get((stretch.first.document.key, stretch.first.chunk.position - 1))

    def placed(self, indexed: IndexedChunk) -> PlacedChunk | None:
        return self._by_place.get((indexed.document.key, indexed.chunk.position))


def needs(chunk: IndexedChunk, following: IndexedChunk) -> bool:
    """Whether the first can't be understood without the second: a heading with nothing under it, a list, table or code
    block that goes on, a sentence that announces something."""
    kinds, then = chunk.chunk.kinds, following.chunk.kinds
    if not kinds or not then or then[0] is ElementKind.HEADING:
        return bool(kinds) and set(kinds) == {ElementKind.HEADING}
    if kinds[-1] is ElementKind.HEADING or chunk.chunk.text.rstrip().endswith(":"):
        return True
    if chunk.chunk.heading_path != following.chunk.heading_path:
        return False
    if then[0] is ElementKind.LIST_ITEM:
        return ElementKind.LIST_ITEM in kinds
    return then[0] in _BLOCKS and kinds[-1] is then[0]


def _line(text: str) -> str:
    return " ".join(text.split())
