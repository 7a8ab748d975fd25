"""Ways to cut a document that benchmarks.chunking compares with the product's own. Only what people use elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ingestion.chunking import chunker_for, outline
from ingestion.corpus.embedding import Embedder
from ingestion.corpus.records import Chunk, ElementKind, ParsedDocument, Span
from ingestion.settings import ChunkingSettings

Cut = Callable[[ParsedDocument], Sequence[Chunk]]
Length = Callable[[Sequence[str]], list[int]]

_WORDS = re.compile(r"\s*\S+|\s+")
"""White space before the word: most tokenizers make one token of both."""
_SEPARATORS = ("\n\n", "\n", " ", "")


def ways(embedder: Embedder) -> Mapping[str, Cut]:
    """Every way by its name; the product's defaults first."""
    count = embedder.count_tokens

    def ours(**settings: int) -> Cut:
        return chunker_for(ChunkingSettings(**settings), embedder).chunk

    return {
        "product's defaults": ours(),
        "windows of 200 tokens": windows(200, 0, count),
        "windows of 200 tokens, 40 overlap": windows(200, 40, count),
        "windows of 480 tokens": windows(480, 0, count),
        "recursive, 200 tokens": recursive(200, 0, count, count),
        "recursive, 1,000 characters, 200 overlap": recursive(1_000, 200, _characters, count),
        "a chunk per heading": sections(count),
        "whole document": whole(count),
        "product, 120 tokens": ours(max_tokens=120, min_tokens=24),
        "product, 300 tokens": ours(max_tokens=300, min_tokens=60),
        "product, 400 tokens": ours(max_tokens=400, min_tokens=80),
        "product, nothing merged": ours(min_tokens=0),
        "product, merged up to 80 tokens": ours(min_tokens=80),
        "product, title but no headings": without_headings(ours()),
    }


def windows(size: int, overlap: int, count: Length) -> Cut:
    """So many tokens, ending between words, each beginning with the last `overlap` tokens of the one before."""

    def cut(document: ParsedDocument) -> Sequence[Chunk]:
        units = [Span(match.start(), match.end()) for match in _WORDS.finditer(document.text)]
        return _merged(document.text, units, (size, overlap), count, count)

    return cut


def recursive(size: int, overlap: int, length: Length, count: Length) -> Cut:
    """The recursive character splitter of common libraries: at empty lines, then lines, then words, then anywhere."""

    def cut(document: ParsedDocument) -> Sequence[Chunk]:
        spans = _split(document.text, Span(0, len(document.text)), (size, overlap), length, _SEPARATORS)
        return _chunks(document.text, spans, count)

    return cut


def sections(count: Length) -> Cut:
    """From each heading to the next, under its headings; the embedder drops what is too long for it."""

    def cut(document: ParsedDocument) -> Sequence[Chunk]:
        entries = outline(document)
        starts = [0, *(entry.span.start for entry in entries)]
        ends = [*starts[1:], len(document.text)]
        paths: list[tuple[str, ...]] = [()]
        open_headings: list[tuple[int, str]] = []
        for entry in entries:
            open_headings = [heading for heading in open_headings if heading[0] < entry.level]
            open_headings.append((entry.level, entry.title))
            paths.append(tuple(title for _, title in open_headings if title != document.title))
        spans = [Span(start, end) for start, end in zip(starts, ends, strict=True)]
        return _chunks(document.text, spans, count, paths)

    return cut


def whole(count: Length) -> Cut:
    """One chunk; the embedder sees its beginning, the lexical half all of it."""
    return lambda document: _chunks(document.text, [Span(0, len(document.text))], count)


def without_headings(cut: Cut) -> Cut:
    return lambda document: [replace(chunk, heading_path=(), breadcrumb=None) for chunk in cut(document)]


def _characters(texts: Sequence[str]) -> list[int]:
    return [len(text) for text in texts]


def _split(text: str, span: Span, limits: tuple[int, int], length: Length, separators: tuple[str, ...]) -> list[Span]:
    """Spans within the limit: cut at the first separator that is there, what is too long at the next, then merged."""
    present = next(i for i, separator in enumerate(separators) if separator in span.of(text))
    units = _units(text, span, separators[present])
    spans: list[Span] = []
    short: list[Span] = []
    for unit, size in zip(units, length([unit.of(text) for unit in units]), strict=True):
        if size <= limits[0]:
            short.append(unit)
            continue
        spans += _merge(text, short, limits, length)
        short = []
        spans += _split(text, unit, limits, length, separators[present + 1 :])
    return spans + _merge(text, short, limits, length)


def _units(text: str, span: Span, separator: str) -> list[Span]:
    """The span in parts, each but the first beginning with a separator."""
    if not separator:
        return [Span(at, at + 1) for at in range(span.start, span.end)]
    units, start = [], span.start
    while start < span.end:
        found = text.find(separator, start + 1, span.end)
        end = span.end if found < 0 else found
        units.append(Span(start, end))
        start = end
    return units


def _merge(text: str, units: Sequence[Span], limits: tuple[int, int], length: Length) -> list[Span]:
    """Neighbouring units together up to the limit; each beginning with units of the one before, up to the overlap."""
    size, overlap = limits
    spans: list[Span] = []
    held: list[tuple[Span, int]] = []
    total = 0
    for unit, tokens in zip(units, length([unit.of(text) for unit in units]) if units else [], strict=True):
        if held and total + tokens > size:
            spans.append(Span(held[0][0].start, held[-1][0].end))
            while held and (total > overlap or total + tokens > size):
                total -= held.pop(0)[1]
        held.append((unit, tokens))
        total += tokens
    if held:
        spans.append(Span(held[0][0].start, held[-1][0].end))
    return spans


def _merged(text: str, units: Sequence[Span], limits: tuple[int, int], length: Length, count: Length) -> list[Chunk]:
    return _chunks(text, _merge(text, units, limits, length), count)


def _chunks(
    text: str, spans: Sequence[Span], count: Length, paths: Sequence[tuple[str, ...]] | None = None
) -> list[Chunk]:
    visible = [
        (span, path) for span, path in zip(spans, paths or [()] * len(spans), strict=True) if span.of(text).strip()
    ]
    counts = count([span.of(text) for span, _ in visible])
    return [
        Chunk(position, span, span.of(text), path, (ElementKind.PARAGRAPH,), tokens)
        for position, ((span, path), tokens) in enumerate(zip(visible, counts, strict=True))
    ]
