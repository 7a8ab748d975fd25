"""Packs the pieces of a document into chunks: what belongs together stays together, as far as the limits allow.

Knows sizes and headings, not text. The work grows with the number of pieces alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ingestion.corpus.records import ElementKind, Span

WHOLE = frozenset({ElementKind.CODE, ElementKind.TABLE})
"""Kinds that are cut only beyond the hard limit."""
JOIN_TOKENS = 2
"""Tokens that the white space between two elements may cost."""

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """An element, or a `part` of one that is too long to stay whole. `glued`: must not be parted from the next.

    `tokens` counts the text alone. `header` is of the table that this part continues, `header_tokens` its size.
    """

    kind: ElementKind
    span: Span
    tokens: int
    path: Path
    page: int | None
    glued: bool = False
    part: bool = False
    header: Span | None = None
    header_tokens: int = 0

    @property
    def size(self) -> int:
        """Tokens that it takes in a chunk."""
        return self.tokens + self.header_tokens


@dataclass(frozen=True, slots=True)
class Draft:
    """Neighbouring pieces that will be a chunk, or a part of one; their size with the white space between them."""

    pieces: tuple[Piece, ...]
    path: Path
    size: int

    @property
    def span(self) -> Span:
        return Span(self.pieces[0].span.start, self.pieces[-1].span.end)

    def joined(self, after: Draft, path: Path) -> Draft:
        return Draft(self.pieces + after.pieces, path, self.size + JOIN_TOKENS + after.size)


@dataclass(frozen=True, slots=True)
class Limits:
    """In the embedder's tokens. `soft` bounds prose, `hard` everything; what is under `least` looks for company."""

    soft: int
    least: int
    hard: int

    def of(self, kind: ElementKind) -> int:
        return self.hard if kind in WHOLE else self.soft


def draft_of(pieces: Sequence[Piece]) -> Draft:
    size = sum(piece.size for piece in pieces) + JOIN_TOKENS * max(0, len(pieces) - 1)
    return Draft(tuple(pieces), pieces[-1].path, size)


def pack(groups: Sequence[Draft], limits: Limits) -> list[Draft]:
    """Groups of pieces that must not be parted, to drafts of chunks."""
    packed = _merge(_pack_sections(groups, limits), limits, _is_one_section)
    return _merge(packed, limits, _belongs_together)


def _pack_sections(groups: Sequence[Draft], limits: Limits) -> list[Draft]:
    """Neighbouring groups of one section together, up to the limit; a short rest borrows from its neighbour."""
    runs: list[list[Draft]] = []
    sizes: list[int] = []
    for group in groups:
        if runs and runs[-1][-1].path == group.path and sizes[-1] + JOIN_TOKENS + group.size <= limits.soft:
            runs[-1].append(group)
            sizes[-1] += JOIN_TOKENS + group.size
        else:
            runs.append([group])
            sizes.append(group.size)
    for number, (before, after) in enumerate(pairwise(runs)):
        if before[-1].path != after[0].path or sizes[number + 1] >= limits.least or len(before) == 1:
            continue
        moved = before[-1].size + JOIN_TOKENS
        if sizes[number] - moved >= limits.least and sizes[number + 1] + moved <= limits.soft:
            after.insert(0, before.pop())
            sizes[number] -= moved
            sizes[number + 1] += moved
    return [
        Draft(tuple(piece for group in run for piece in group.pieces), run[-1].path, size)
        for run, size in zip(runs, sizes, strict=True)
    ]


def _merge(drafts: Sequence[Draft], limits: Limits, joins: Callable[[Draft, Draft, Limits], bool]) -> list[Draft]:
    """Neighbours that `joins` wants together, under the headings they have in common."""
    merged: list[Draft] = []
    for draft in drafts:
        if merged and joins(merged[-1], draft, limits):
            before = merged.pop()
            merged.append(before.joined(draft, _common(before.path, draft.path)))
        else:
            merged.append(draft)
    return merged


def _is_one_section(before: Draft, after: Draft, limits: Limits) -> bool:
    """A few words before or after a block of the same section, which may be over the limit of prose with it."""
    if before.path != after.path or min(before.size, after.size) >= limits.least:
        return False
    total = before.size + JOIN_TOKENS + after.size
    if total <= limits.soft:
        return True
    return total <= limits.hard and any(piece.kind in WHOLE for piece in (*before.pieces, *after.pieces))


def _belongs_together(before: Draft, after: Draft, limits: Limits) -> bool:
    """A short section and its short sibling, or the text that introduces it."""
    if before.size + JOIN_TOKENS + after.size > limits.soft:
        return False
    common = _common(before.path, after.path)
    if common == before.path:  # an introduction, or merged siblings, and a section under the same heading
        return before.size < limits.least or after.size < limits.least
    siblings = len(before.path) == len(after.path) == len(common) + 1
    return siblings and before.size < limits.least and after.size < limits.least


def halved(draft: Draft) -> tuple[Draft, Draft]:
    """The draft's pieces, at least two, in two drafts under the same headings."""
    middle = len(draft.pieces) // 2
    first, second = draft_of(draft.pieces[:middle]), draft_of(draft.pieces[middle:])
    return replace(first, path=draft.path), replace(second, path=draft.path)


def _common(first: Path, second: Path) -> Path:
    length = 0
    while length < min(len(first), len(second)) and first[length] == second[length]:
        length += 1
    return first[:length]
