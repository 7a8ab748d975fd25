"""Which sentence of a passage speaks most to a query. A list item, a table row and a command stay whole."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ingestion.corpus.embedding import Embedder

MAX_EMBEDDED = 64
"""Sentences that are embedded for one search."""

Range = tuple[int, int]

_FENCE_MARKS = frozenset("`~")
_ITEM_MARKS = frozenset("-*+\u2022|")
_OPENING = re.compile(r"[ \t>]*(?:(?:[-*+\u2022]|\d{1,3}[.)])[ \t]+|\|)")
_HEADING = re.compile(r"[ \t>]*#{1,6}[ \t]")
_INDENTED = re.compile(r"(?: {4}|\t)[ \t]*\S")
_STOP = re.compile(r"[.!?\u2026]+[\"')\]}*_\u201d\u2019\u00bb]*(?=\s)|[\u3002\uff01\uff1f]")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'])(?:\w|e\.g|i\.e|etc|vs|cf|approx|nr|no|fig|ca|al|dr|mr|mrs|ms|inc|z\.b|d\.h|bzw|usw)\.$", re.I
)
_LONGEST_ABBREVIATION = 8


def sentences_of(text: str) -> list[Range]:
    """Ranges of sentences, list items, table rows and lines of code, in order and disjoint; headings are left out.

    A line of code that goes on (`\\`) has its continuation; a stop inside backticks ends nothing.
    """
    found: list[Range] = []
    for start, end, prose in _blocks(text):
        found += _split(text, start, end) if prose else [(start, end)]
    return found


def best_by_words(
    sentences: Sequence[Range], marks: Iterable[tuple[Range, frozenset[str]]], weights: Mapping[str, float]
) -> int | None:
    """Index of the sentence with the largest weighted share of the query's terms; of equals the shortest, then the
    first. None: no sentence has any. `marks`: where terms stand in the text.
    """
    coverage = coverage_of_sentences(sentences, marks, weights)
    return min(coverage, key=lambda at: _rank(sentences, coverage, at), default=None)


def in_order_of_words(
    sentences: Sequence[Range], marks: Iterable[tuple[Range, frozenset[str]]], weights: Mapping[str, float]
) -> list[tuple[float, int]]:
    """All sentences in that order: each one's share and its index."""
    coverage = coverage_of_sentences(sentences, marks, weights)
    order = sorted(range(len(sentences)), key=lambda at: _rank(sentences, coverage, at))
    return [(coverage.get(at, 0.0), at) for at in order]


def coverage_of_sentences(
    sentences: Sequence[Range], marks: Iterable[tuple[Range, frozenset[str]]], weights: Mapping[str, float]
) -> dict[int, float]:
    """The weighted share of the query's terms, for each sentence that has one."""
    starts = [start for start, _ in sentences]
    terms: dict[int, set[str]] = {}
    for (start, _), found in marks:
        at = bisect_right(starts, start) - 1
        if at >= 0 and start < sentences[at][1]:
            terms.setdefault(at, set()).update(found)
    return {at: sum(weights.get(term, 0.0) for term in sorted(found)) for at, found in terms.items()}


def _rank(sentences: Sequence[Range], coverage: Mapping[int, float], at: int) -> tuple[float, int, int]:
    return -coverage.get(at, 0.0), sentences[at][1] - sentences[at][0], at


def best_by_meaning(
    embedder: Embedder, question: NDArray[np.float32], texts: Sequence[Sequence[tuple[str, float]]]
) -> list[int]:
    """For each hit the index of its best sentence; a hit's sentences come as (text, coverage by words), best first.

    All hits share one batch of at most MAX_EMBEDDED sentences, the first of each hit before the second of any. Half of
    what counts is the words, half how near the sentence is to the question among those of its hit. Every hit has one.
    """
    chosen = _shared([len(sentences) for sentences in texts])
    batch = [texts[hit][at][0] for hit, count in enumerate(chosen) for at in range(count)]
    if not batch:
        return [0] * len(texts)
    near = embedder.embed_documents(batch) @ question
    best, position = [], 0
    for sentences, count in zip(texts, chosen, strict=True):
        own = near[position : position + count]
        position += count
        spread = float(own.max() - own.min()) if count else 0.0
        scores = [
            sentences[at][1] + (float(own[at] - own.min()) / spread if spread > 0 else 0.0) for at in range(count)
        ]
        best.append(max(range(count), key=lambda at: (scores[at], -at)) if count else 0)
    return best


def _shared(wanted: Sequence[int]) -> list[int]:
    """How many of each may go into one batch, shared evenly."""
    given = [0] * len(wanted)
    left = MAX_EMBEDDED
    while left and any(have < want for have, want in zip(given, wanted, strict=True)):
        for at, want in enumerate(wanted):
            if left and given[at] < want:
                given[at] += 1
                left -= 1
    return given


def _blocks(text: str) -> Iterator[tuple[int, int, bool]]:
    """Paragraphs (True), and items, rows and lines of code (False), without the white space around them."""
    open_at, prose, fenced, may_indent = -1, True, False, True
    position = 0
    for line in text.splitlines(keepends=True):
        start, position = position, position + len(line)
        bare = line.lstrip(" \t>")
        first = bare[:1]
        # One look at a character, since most lines are prose and patterns cost more than all else here.
        fence = first in _FENCE_MARKS and bare.startswith(("```", "~~~"))
        heading = first == "#" and _HEADING.match(line) is not None
        opening = (first in _ITEM_MARKS or first.isdigit()) and _OPENING.match(line) is not None
        empty = not line.strip()
        code = fenced or (may_indent and line[:1] in " \t" and _INDENTED.match(line) is not None)
        goes_on = open_at >= 0 and not fence and not empty
        if goes_on and (fenced or not prose) and text.endswith("\\\n", 0, start):
            continue
        if goes_on and not code and not opening and not heading:
            continue
        if open_at >= 0:
            yield from _trimmed(text, open_at, start, prose)
            open_at = -1
        fenced ^= fence
        may_indent = empty or (code and not fenced)
        if not (fence or empty or (heading and not code)):
            open_at, prose = start, not (code or opening)
    if open_at >= 0:
        yield from _trimmed(text, open_at, len(text), prose)


def _trimmed(text: str, start: int, end: int, prose: bool) -> Iterator[tuple[int, int, bool]]:
    block = text[start:end]
    bare = block.strip()
    if bare:
        start += len(block) - len(block.lstrip())
        yield start, start + len(bare), prose


def _split(text: str, start: int, end: int) -> list[Range]:
    """The sentences of a paragraph."""
    parts: list[Range] = []
    position = start
    for stop in _STOP.finditer(text, start, end):
        if text.count("`", position, stop.start()) % 2:
            continue
        after = stop.end()
        while after < end and text[after].isspace():
            after += 1
        if text[stop.start()] == "." and (
            text[after : after + 1].islower()
            or _ABBREVIATION.search(text, max(position, stop.start() - _LONGEST_ABBREVIATION), stop.start() + 1)
        ):
            continue
        parts.append((position, stop.end()))
        position = after
    if position < end:
        parts.append((position, end))
    return parts
