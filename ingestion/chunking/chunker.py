"""Cuts a parsed document into chunks along its structure. Pure: no input or output, no model but a token counter.

A chunk is a run of whole elements of one section. Code and tables stay whole, headings go with what follows them, the
sentence that introduces a command stays with the command, and short neighbouring sections share a chunk. Nothing
overlaps, nothing is rewritten, nothing visible is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ingestion.chunking.cutting import CHARS_PER_TOKEN, CountTokens, cut_lines, cut_prose
from ingestion.corpus.embedding import Embedder
from ingestion.corpus.headings import HeadingReader
from ingestion.corpus.records import Chunk, Element, ElementKind, OutlineEntry, ParsedDocument, Span
from ingestion.settings import ChunkingSettings

_REVISION = 1
_WHOLE = frozenset({ElementKind.CODE, ElementKind.TABLE})
_JOIN_TOKENS = 2
"""Tokens that the white space between two elements may cost."""
_LEAST_PART = 24
"""Fewest tokens worth cutting off a long block so that they stand under their heading."""

Path = tuple[str, ...]


def outline(document: ParsedDocument) -> tuple[OutlineEntry, ...]:
    """The document's headings in order."""
    reader = HeadingReader()
    return tuple(
        OutlineEntry(element.level, _words(reader, document, element), element.span)
        for element in document.elements
        if element.kind is ElementKind.HEADING
    )


@dataclass(frozen=True, slots=True)
class _Piece:
    """An element, or a part of one that is too long to stay whole. `glued`: must not be parted from the next."""

    kind: ElementKind
    span: Span
    tokens: int
    path: Path
    page: int | None
    glued: bool = False


@dataclass(frozen=True, slots=True)
class _Draft:
    """Neighbouring pieces that will be a chunk, or a part of one."""

    pieces: tuple[_Piece, ...]
    path: Path

    @property
    def tokens(self) -> int:
        return _total(self.pieces)

    @property
    def span(self) -> Span:
        return Span(self.pieces[0].span.start, self.pieces[-1].span.end)


class Chunker:
    """`count_tokens` gives the length of each text in the embedder's own tokens; most documents take two calls.

    `longest_input` tells the embedder's longest input; it is asked at the first document, since that may load a model.
    """

    def __init__(
        self, settings: ChunkingSettings, count_tokens: CountTokens, longest_input: Callable[[], int] | None = None
    ) -> None:
        self._settings = settings
        self._count = count_tokens
        self._longest_input = longest_input
        self._reader = HeadingReader()

    @property
    def version(self) -> str:
        """Changes whenever the same document could be cut differently."""
        facts = f"{_REVISION}:{self._settings.model_dump_json()}"
        return f"structure-{_REVISION}-{hashlib.sha256(facts.encode()).hexdigest()[:8]}"

    def chunk(self, document: ParsedDocument) -> tuple[Chunk, ...]:
        """Chunks in text order, disjoint, covering every visible character; empty for a document without text."""
        groups = self._groups(document.text, self._pieces(document))
        packed = self._merge(self._pack(groups), self._is_one_section)
        return self._finish(document.text, self._merge(packed, self._belongs_together))

    # Elements to pieces

    def _pieces(self, document: ParsedDocument) -> list[_Piece]:
        """Every element with its section and token count; those longer than their limit in parts."""
        text = document.text
        counts = self._count_elements(document)
        paths = self._paths(document)
        pieces: list[_Piece] = []
        for element, count, path in zip(document.elements, counts, paths, strict=True):
            piece = _Piece(element.kind, element.span, count, path, element.page)
            limit = self._limit(element.kind)
            pieces.extend([piece] if count <= limit else self._cut(text, piece, limit))
        following: list[_Piece | None] = [*pieces[1:], None]
        return [self._glue(piece, after, text) for piece, after in zip(pieces, following, strict=bool(pieces))]

    def _count_elements(self, document: ParsedDocument) -> list[int]:
        """Tokens of each element; one too long to count is given as over every limit."""
        longest = self._settings.hard_max_tokens * CHARS_PER_TOKEN
        spans = [element.span for element in document.elements]
        countable = [span.of(document.text) for span in spans if span.end - span.start <= longest]
        counted = iter(self._count(countable) if countable else [])
        return [next(counted) if span.end - span.start <= longest else longest for span in spans]

    def _limit(self, kind: ElementKind) -> int:
        return self._settings.hard_max_tokens if kind in _WHOLE else self._settings.max_tokens

    def _cut(self, text: str, piece: _Piece, limit: int) -> list[_Piece]:
        """Parts of a piece, each at most `limit` tokens: code and tables between lines, prose between sentences."""
        cut = cut_lines if piece.kind in _WHOLE else cut_prose
        spans = cut(text, piece.span, limit, self._count)
        counts = self._count([span.of(text) for span in spans])
        return [replace(piece, span=span, tokens=tokens) for span, tokens in zip(spans, counts, strict=True)]

    def _glue(self, piece: _Piece, following: _Piece | None, text: str) -> _Piece:
        """The piece, glued to the next if it is a heading, or introduces code or a table, or ends in a colon."""
        if piece.kind is ElementKind.HEADING:
            return replace(piece, glued=True)
        if following is None or piece.kind in _WHOLE or following.kind is ElementKind.HEADING:
            return piece
        introduces = following.kind in _WHOLE or piece.span.of(text).endswith(":")
        fits = piece.tokens + _JOIN_TOKENS + following.tokens <= self._limit(following.kind)
        return replace(piece, glued=True) if introduces and fits else piece

    def _paths(self, document: ParsedDocument) -> list[Path]:
        """For each element the headings that enclose it, outermost first; a heading encloses itself. The heading that
        repeats the document's title is left out."""
        paths: list[Path] = []
        open_headings: list[tuple[int, str]] = []
        title = document.title.casefold()
        for element in document.elements:
            if element.kind is ElementKind.HEADING:
                while open_headings and open_headings[-1][0] >= element.level:
                    open_headings.pop()
                words = _words(self._reader, document, element)
                if words and (element.level > 1 or words.casefold() != title):
                    open_headings.append((element.level, words))
            paths.append(tuple(words for _, words in open_headings))
        return paths

    # Pieces to drafts

    def _groups(self, text: str, pieces: Sequence[_Piece]) -> list[_Draft]:
        """Pieces that are glued, together, as far as the hard limit allows."""
        groups: list[_Draft] = []
        run: list[_Piece] = []
        for piece in pieces:
            if run and not self._fits([*run, piece]):
                *full, run = self._fit_behind(text, run, piece)
                groups.extend(_draft(part) for part in full)
            else:
                run = [*run, piece]
            if not piece.glued:
                groups.append(_draft(run))
                run = []
        if run and groups and self._fits([*groups[-1].pieces, *run]):  # headings that nothing follows
            before = groups.pop()
            groups.append(replace(before, pieces=(*before.pieces, *run)))
        elif run:
            groups.append(_draft(run))
        return groups

    def _fits(self, pieces: Sequence[_Piece]) -> bool:
        return _total(pieces) <= self._settings.hard_max_tokens

    def _fit_behind(self, text: str, run: list[_Piece], piece: _Piece) -> list[list[_Piece]]:
        """Runs for a glued run and a piece too long to follow it: headings take the piece's first part along."""
        room = self._settings.hard_max_tokens - _total(run) - _JOIN_TOKENS
        headings_only = all(before.kind is ElementKind.HEADING for before in run)
        if not headings_only or piece.kind is ElementKind.HEADING or room < _LEAST_PART:
            return [run, [piece]]
        first, *rest = self._cut(text, piece, room)
        return [[*run, first], *([part] for part in rest)]

    def _pack(self, groups: Sequence[_Draft]) -> list[_Draft]:
        """Neighbouring groups of one section together, up to the limit; a short rest borrows from its neighbour."""
        limit, least = self._settings.max_tokens, self._settings.min_tokens
        runs: list[list[_Draft]] = []
        for group in groups:
            if runs and runs[-1][-1].path == group.path and _sum([*runs[-1], group]) <= limit:
                runs[-1].append(group)
            else:
                runs.append([group])
        for before, after in pairwise(runs):
            borrows = before[-1].path == after[0].path and _sum(after) < least and len(before) > 1
            if borrows and _sum(before[:-1]) >= least and _sum([before[-1], *after]) <= limit:
                after.insert(0, before.pop())
        return [_Draft(tuple(piece for group in run for piece in group.pieces), run[-1].path) for run in runs]

    def _merge(self, drafts: Sequence[_Draft], joins: Callable[[_Draft, _Draft], bool]) -> list[_Draft]:
        """Neighbours that `joins` wants together, under the headings they have in common."""
        merged: list[_Draft] = []
        for draft in drafts:
            if merged and joins(merged[-1], draft):
                before = merged.pop()
                merged.append(_Draft(before.pieces + draft.pieces, _common(before.path, draft.path)))
            else:
                merged.append(draft)
        return merged

    def _is_one_section(self, before: _Draft, after: _Draft) -> bool:
        """A few words before or after a block of the same section, which may be over the limit of prose with it."""
        least = self._settings.min_tokens
        if before.path != after.path or min(before.tokens, after.tokens) >= least:
            return False
        whole = any(piece.kind in _WHOLE for piece in (*before.pieces, *after.pieces))
        limit = self._settings.hard_max_tokens if whole else self._settings.max_tokens
        return _total([*before.pieces, *after.pieces]) <= limit

    def _belongs_together(self, before: _Draft, after: _Draft) -> bool:
        """A short section and its short sibling, or the text that introduces it."""
        if _total([*before.pieces, *after.pieces]) > self._settings.max_tokens:
            return False
        least = self._settings.min_tokens
        common = _common(before.path, after.path)
        if common == before.path:  # an introduction, or merged siblings, and a section under the same heading
            return before.tokens < least or after.tokens < least
        siblings = len(before.path) == len(after.path) == len(common) + 1
        return siblings and before.tokens < least and after.tokens < least

    # Drafts to chunks

    def _finish(self, text: str, drafts: Sequence[_Draft]) -> tuple[Chunk, ...]:
        counts = self._count([draft.span.of(text) for draft in drafts]) if drafts else []
        counted: list[tuple[_Draft, int]] = []
        for draft, tokens in zip(drafts, counts, strict=True):
            counted.extend(self._within_limit(text, draft, tokens))
        return tuple(_chunk(text, position, draft, tokens) for position, (draft, tokens) in enumerate(counted))

    def _within_limit(self, text: str, draft: _Draft, tokens: int) -> list[tuple[_Draft, int]]:
        """The draft, in halves if the white space between its pieces took it over the hard limit."""
        if tokens <= self._settings.hard_max_tokens or len(draft.pieces) == 1:
            return [(draft, tokens)]
        middle = len(draft.pieces) // 2
        halves = [replace(draft, pieces=draft.pieces[:middle]), replace(draft, pieces=draft.pieces[middle:])]
        counts = self._count([half.span.of(text) for half in halves])
        counted = zip(halves, counts, strict=True)
        return [part for half, count in counted for part in self._within_limit(text, half, count)]


def chunker_for(settings: ChunkingSettings, embedder: Embedder) -> Chunker:
    """A chunker that counts in the embedder's tokens and stays within its longest input. The model is not loaded."""
    return Chunker(settings, embedder.count_tokens, lambda: embedder.max_tokens)


def _chunk(text: str, position: int, draft: _Draft, tokens: int) -> Chunk:
    return Chunk(
        position=position,
        span=draft.span,
        text=draft.span.of(text),
        heading_path=draft.path,
        kinds=tuple(dict.fromkeys(piece.kind for piece in draft.pieces)),
        tokens=tokens,
        page=draft.pieces[0].page,
    )


def _words(reader: HeadingReader, document: ParsedDocument, heading: Element) -> str:
    source = heading.span.of(document.text)
    return reader.markdown(source) if document.media_type == "text/markdown" else reader.plain(source)


def _draft(run: Sequence[_Piece]) -> _Draft:
    return _Draft(tuple(run), run[-1].path)


def _total(pieces: Sequence[_Piece]) -> int:
    return sum(piece.tokens for piece in pieces) + _JOIN_TOKENS * max(0, len(pieces) - 1)


def _sum(groups: Sequence[_Draft]) -> int:
    return _total([piece for group in groups for piece in group.pieces])


def _common(first: Path, second: Path) -> Path:
    length = 0
    while length < min(len(first), len(second)) and first[length] == second[length]:
        length += 1
    return first[:length]
