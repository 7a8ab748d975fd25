"""Cuts a parsed document into chunks along its structure. Pure: no input or output, no model but a token counter.

A chunk is a run of whole elements of one section. Code and tables stay whole, headings go with what follows them, the
sentence that introduces a command stays with the command, and short neighbouring sections share a chunk. Nothing
overlaps, nothing is rewritten, nothing visible is left out, and nothing is longer than what the embedder reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ingestion.chunking.context import fit_breadcrumbs, table_header
from ingestion.chunking.cutting import CHARS_PER_TOKEN, CountTokens, cut_lines, cut_prose, in_batches
from ingestion.chunking.packing import JOIN_TOKENS, WHOLE, Draft, Limits, Path, Piece, draft_of, halved, pack
from ingestion.corpus.embedding import Embedder
from ingestion.corpus.headings import HeadingReader
from ingestion.corpus.records import Chunk, Element, ElementKind, OutlineEntry, ParsedDocument, Span
from ingestion.corpus.versions import chunker_version
from ingestion.settings import ChunkingSettings

_LEAST_PART = 24
"""Fewest tokens worth cutting off a long block so that they stand under their heading."""
_SPARE_TOKENS = 32
"""Of the embedder's longest input, what is kept for title and headings beside the longest text, half of it for the
tokens that the model adds, a prefix among them."""


def outline(document: ParsedDocument) -> tuple[OutlineEntry, ...]:
    """The document's headings in order."""
    reader = HeadingReader()
    return tuple(
        OutlineEntry(element.level, _words(reader, document, element), element.span)
        for element in document.elements
        if element.kind is ElementKind.HEADING
    )


class Chunker:
    """`count_tokens` gives the length of each text in the embedder's own tokens; most documents take two calls.

    `longest_input` tells the embedder's longest input; it is asked at the first document, since that may load a model.
    """

    def __init__(
        self, settings: ChunkingSettings, count_tokens: CountTokens, longest_input: Callable[[], int] | None = None
    ) -> None:
        self._settings = settings
        self._count = in_batches(count_tokens)
        self._longest_input = longest_input
        self._reader = HeadingReader()

    @property
    def version(self) -> str:
        """Changes whenever the same document could be cut differently."""
        return chunker_version(self._settings)

    def chunk(self, document: ParsedDocument) -> tuple[Chunk, ...]:
        """Chunks in text order, disjoint, covering every visible character; empty for a document without text."""
        longest = self._longest_input() if self._longest_input else None
        limits = self._limits(longest)
        drafts = pack(self._groups(document.text, self._pieces(document, limits), limits), limits)
        chunks = self._finish(document.text, drafts, limits)
        if longest is not None:
            room = longest - min(_SPARE_TOKENS, longest // 2) // 2
            chunks = fit_breadcrumbs(chunks, document.title, room, self._count)
        return tuple(chunks)

    def _limits(self, longest: int | None) -> Limits:
        """The settings, as far as the embedder's longest input allows."""
        settings = self._settings
        hard = settings.hard_max_tokens
        if longest is not None:
            hard = max(1, min(hard, longest - min(_SPARE_TOKENS, longest // 2)))
        return Limits(soft=min(settings.max_tokens, hard), least=settings.min_tokens, hard=hard)

    # Elements to pieces

    def _pieces(self, document: ParsedDocument, limits: Limits) -> list[Piece]:
        """Every element with its section and token count; those longer than their limit in parts."""
        text = document.text
        counts = self._count_elements(document, limits)
        paths = self._paths(document)
        pieces: list[Piece] = []
        for element, count, path in zip(document.elements, counts, paths, strict=True):
            piece = Piece(element.kind, element.span, count, path, element.page)
            limit = limits.of(element.kind)
            pieces.extend([piece] if count <= limit else self._cut(text, piece, limit))
        following: list[Piece | None] = [*pieces[1:], None]
        return [_glue(piece, after, text, limits) for piece, after in zip(pieces, following, strict=bool(pieces))]

    def _count_elements(self, document: ParsedDocument, limits: Limits) -> list[int]:
        """Tokens of each element; one too long to count is given as over every limit."""
        longest = limits.hard * CHARS_PER_TOKEN
        spans = [element.span for element in document.elements]
        countable = [span.of(document.text) for span in spans if span.end - span.start <= longest]
        counted = iter(self._count(countable) if countable else [])
        return [next(counted) if span.end - span.start <= longest else longest for span in spans]

    def _cut(self, text: str, piece: Piece, limit: int, table: Span | None = None) -> list[Piece]:
        """Parts of a piece, each at most `limit` tokens: code between lines, tables too, under their header, prose
        between sentences. `table` is where the header stands if not in the piece."""
        if piece.kind is not ElementKind.TABLE:
            cut = cut_lines if piece.kind is ElementKind.CODE else cut_prose
            parts = cut(text, piece.span, limit, self._count)
            return [replace(piece, span=span, tokens=tokens, part=True) for span, tokens in parts]
        header = table_header(text, table or piece.span, limit * CHARS_PER_TOKEN)
        size = self._count([header.of(text)])[0] if header else 0
        if 3 * size > limit:
            header, size = None, 0
        parts = cut_lines(text, piece.span, limit - size, self._count)
        bare = replace(piece, part=True)
        under = replace(bare, header=header, header_tokens=size)
        return [
            replace(under if header and span.start >= header.end else bare, span=span, tokens=tokens)
            for span, tokens in parts
        ]

    def _paths(self, document: ParsedDocument) -> list[Path]:
        """For each element the headings that enclose it, outermost first; a heading encloses itself. The heading that
        repeats the document's title is left out."""
        paths: list[Path] = []
        open_headings: list[tuple[int, str]] = []
        path: Path = ()
        title = document.title.casefold()
        for element in document.elements:
            if element.kind is ElementKind.HEADING:
                while open_headings and open_headings[-1][0] >= element.level:
                    open_headings.pop()
                words = _words(self._reader, document, element)
                if words and (element.level > 1 or words.casefold() != title):
                    open_headings.append((element.level, words))
                path = tuple(words for _, words in open_headings)
            paths.append(path)
        return paths

    # Pieces to groups

    def _groups(self, text: str, pieces: Sequence[Piece], limits: Limits) -> list[Draft]:
        """Pieces that are glued, together, as far as the hard limit allows."""
        groups: list[Draft] = []
        run: list[Piece] = []
        size = 0
        for piece in pieces:
            joined = size + JOIN_TOKENS + piece.size if run else piece.size
            if run and joined > limits.hard:
                *full, run = self._fit_behind(text, run, piece, limits)
                groups.extend(draft_of(part) for part in full)
                joined = draft_of(run).size
            else:
                run.append(piece)
            size = joined
            if not piece.glued:
                groups.append(draft_of(run))
                run, size = [], 0
        if run:  # headings that nothing follows
            rest = draft_of(run)
            if groups and groups[-1].size + JOIN_TOKENS + rest.size <= limits.hard:
                before = groups.pop()
                rest = before.joined(rest, before.path)
            groups.append(rest)
        return groups

    def _fit_behind(self, text: str, run: list[Piece], piece: Piece, limits: Limits) -> list[list[Piece]]:
        """Runs for a glued run and a piece too long to follow it: headings take the piece's first part along, unless
        that would cut code or a table that fits into a chunk."""
        room = limits.hard - draft_of(run).size - JOIN_TOKENS
        headings_only = all(before.kind is ElementKind.HEADING for before in run)
        stays_whole = piece.kind is ElementKind.HEADING or (piece.kind in WHOLE and not piece.part)
        if not headings_only or stays_whole or room < _LEAST_PART:
            return [run, [piece]]
        first, *others = self._cut(text, piece, room)
        if not others:
            return [[*run, first]]
        rest = replace(piece, span=Span(others[0].span.start, piece.span.end))
        return [[*run, first], *([part] for part in self._cut(text, rest, limits.of(piece.kind), piece.span))]

    # Drafts to chunks

    def _finish(self, text: str, drafts: Sequence[Draft], limits: Limits) -> list[Chunk]:
        """A chunk for each draft; a single piece is counted already."""
        several = [draft for draft in drafts if len(draft.pieces) > 1]
        counts = iter(self._count([draft.span.of(text) for draft in several]) if several else [])
        counted: list[tuple[Draft, int]] = []
        for draft in drafts:
            tokens = next(counts) if len(draft.pieces) > 1 else draft.pieces[0].tokens
            counted.extend(self._within_limit(text, draft, tokens, limits.hard))
        return [_chunk(text, position, draft, tokens) for position, (draft, tokens) in enumerate(counted)]

    def _within_limit(self, text: str, draft: Draft, tokens: int, hard: int) -> list[tuple[Draft, int]]:
        """The draft, in halves if the white space between its pieces took it over the hard limit."""
        if len(draft.pieces) == 1 or tokens + _header_tokens(draft) <= hard:
            return [(draft, tokens)]
        halves = halved(draft)
        counts = self._count([half.span.of(text) for half in halves])
        counted = zip(halves, counts, strict=True)
        return [part for half, count in counted for part in self._within_limit(text, half, count, hard)]


def chunker_for(settings: ChunkingSettings, embedder: Embedder) -> Chunker:
    """A chunker that counts in the embedder's tokens and stays within its longest input. The model is not loaded."""
    return Chunker(settings, embedder.count_tokens, lambda: embedder.max_tokens)


def _chunk(text: str, position: int, draft: Draft, tokens: int) -> Chunk:
    header = _header_piece(draft)
    return Chunk(
        position=position,
        span=draft.span,
        text=draft.span.of(text),
        heading_path=draft.path,
        kinds=tuple(dict.fromkeys(piece.kind for piece in draft.pieces)),
        tokens=tokens,
        page=draft.pieces[0].page,
        context=header.header.of(text) if header and header.header else "",
    )


def _header_piece(draft: Draft) -> Piece | None:
    """The draft's first part of a table: it decides whether a header is missing."""
    return next((piece for piece in draft.pieces if piece.kind is ElementKind.TABLE), None)


def _header_tokens(draft: Draft) -> int:
    piece = _header_piece(draft)
    return piece.header_tokens if piece else 0


def _glue(piece: Piece, following: Piece | None, text: str, limits: Limits) -> Piece:
    """The piece, glued to the next if it is a heading, or introduces code or a table, or ends in a colon."""
    if piece.kind is ElementKind.HEADING:
        return replace(piece, glued=True)
    if following is None or piece.kind in WHOLE or following.kind is ElementKind.HEADING:
        return piece
    introduces = following.kind in WHOLE or text[piece.span.end - 1] == ":"
    fits = piece.size + JOIN_TOKENS + following.size <= limits.of(following.kind)
    return replace(piece, glued=True) if introduces and fits else piece


def _words(reader: HeadingReader, document: ParsedDocument, heading: Element) -> str:
    source = heading.span.of(document.text)
    return reader.markdown(source) if document.media_type == "text/markdown" else reader.plain(source)
