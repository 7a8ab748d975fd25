"""Cuts a stretch of text that is too long for one chunk: code and tables between lines, prose between sentences.

The work grows with the length of the text alone: each pass looks at every character once, there is a pass for each kind
of unit, and what no pass could cut small enough is halved.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence

from ingestion.corpus.records import Span

CountTokens = Callable[[Sequence[str]], list[int]]
Sized = tuple[Span, int]
"""A span and its tokens."""

CHARS_PER_TOKEN = 24
"""Text with more characters a token than this does not occur; what is longer is over the limit without counting,
which keeps the tokenizer away from megabytes on one line."""
_TOKENS_PER_CHAR = 4
"""A character is at most four bytes, and a token at least one."""
_BATCH_CHARS = 400_000
_BATCH_TEXTS = 4_000

_LINES = re.compile(r"[^\n]*\n|[^\n]+\Z")
_SENTENCES = re.compile(
    r".+?(?:[.!?\u2026][\"'\u201d\u2019)\]*_`]*(?=\s+[^\sa-z])|[\u3002\uff01\uff1f]|\n(?=\s*\n)|\Z)\s*", re.DOTALL
)
_WORDS = re.compile(r"[\s\S]{1,80}(?=\s)\s+|\S+\s*|\s+")
"""Some words at a time: a million single ones would each be a text for the tokenizer."""
_JOINER = "\u200d"
_LONGEST_CLUSTER = 12
"""Characters looked back for one that can stand first."""


def in_batches(count: CountTokens) -> CountTokens:
    """The same counter, which gets at most so much text in one call that its memory stays bounded."""

    def counted(texts: Sequence[str]) -> list[int]:
        if len(texts) <= _BATCH_TEXTS and sum(map(len, texts)) <= _BATCH_CHARS:
            return count(texts)
        return [tokens for batch in _batches(texts) for tokens in count(batch)]

    return counted


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    chars = 0
    for text in texts:
        if batch and (len(batch) == _BATCH_TEXTS or chars + len(text) > _BATCH_CHARS):
            yield batch
            batch, chars = [], 0
        batch.append(text)
        chars += len(text)
    if batch:
        yield batch


def cut_lines(text: str, span: Span, limit: int, count: CountTokens) -> list[Sized]:
    """Disjoint spans of whole lines, each at most `limit` tokens; only a line longer than that is itself cut."""
    return _sized(text, _cut(text, span, limit, count, (_LINES, _WORDS)), limit, count, _without_blank_lines)


def cut_prose(text: str, span: Span, limit: int, count: CountTokens) -> list[Sized]:
    """Disjoint spans of whole sentences, each at most `limit` tokens; a longer sentence is cut at a line, at a word,
    or at last between any two characters."""
    return _sized(text, _cut(text, span, limit, count, (_SENTENCES, _LINES, _WORDS)), limit, count, _stripped)


def _cut(text: str, span: Span, limit: int, count: CountTokens, patterns: tuple[re.Pattern[str], ...]) -> list[Span]:
    """The span in parts of at most `limit` tokens, of about the same length, cut where the first pattern says; a unit
    too long for one part is cut where the next says."""
    units = list(_units(text, span, limit, patterns))
    counts = _count_units(text, units, limit, count)
    target = _target(counts, limit)
    parts: list[Span] = []
    start, end, total = span.start, span.start, 0
    for unit, tokens in zip(units, counts, strict=True):
        if total and (total + tokens > limit or total >= target):
            parts.append(Span(start, end))
            start, total = unit.start, 0
        if tokens > limit:
            if end > start:  # white space without a token
                parts.append(Span(start, end))
            parts.extend(_cut(text, unit, limit, count, patterns[1:]) if patterns else [unit])
            start = end = unit.end
            continue
        end, total = unit.end, total + tokens
    if end > start:
        parts.append(Span(start, end))
    return parts


def _units(text: str, span: Span, limit: int, patterns: tuple[re.Pattern[str], ...]) -> Iterator[Span]:
    """What the pattern matches, end to end; short neighbours together, since each is a text for the tokenizer."""
    enough = max(1, limit // _TOKENS_PER_CHAR)
    if not patterns:
        yield from _slices(text, span, enough)
        return
    start = end = span.start
    for match in patterns[0].finditer(text, span.start, span.end):
        if end > start and match.end() - start > enough:
            yield Span(start, end)
            start = end
        end = match.end()
    if end > start:
        yield Span(start, end)


def _count_units(text: str, units: Sequence[Span], limit: int, count: CountTokens) -> list[int]:
    """Tokens of each unit; one too long to count is taken for over the limit."""
    countable = [unit for unit in units if unit.end - unit.start <= limit * CHARS_PER_TOKEN]
    counted = iter(count([unit.of(text) for unit in countable]) if countable else [])
    return [next(counted) if unit.end - unit.start <= limit * CHARS_PER_TOKEN else limit + 1 for unit in units]


def _target(counts: Sequence[int], limit: int) -> float:
    """Size at which a part is full enough: parts come out even instead of full ones and a small rest."""
    total = sum(counts)
    return total / max(1, math.ceil(total / limit))


def _sized(
    text: str, parts: Sequence[Span], limit: int, count: CountTokens, trim: Callable[[str, Span], Span]
) -> list[Sized]:
    """The visible parts, trimmed and counted; any that is over the limit as a whole, though not in the sum of its
    units, in halves."""
    visible = [trim(text, part) for part in parts if part.of(text).strip()]
    sized: list[Sized] = []
    for part, tokens in zip(visible, count([part.of(text) for part in visible]) if visible else [], strict=True):
        if tokens <= limit or part.end - part.start < 2:
            sized.append((part, tokens))
        else:
            sized.extend(_sized(text, _halves(text, part), limit, count, trim))
    return sized


def _halves(text: str, span: Span) -> list[Span]:
    middle = (span.start + span.end) // 2
    newline = text.rfind("\n", span.start, middle) + 1
    space = text.rfind(" ", span.start, middle) + 1
    middle = newline if newline > span.start else space if space > span.start else middle
    return [Span(span.start, middle), Span(middle, span.end)]


def _slices(text: str, span: Span, size: int) -> Iterator[Span]:
    start = span.start
    while start < span.end:
        end = _between_characters(text, start, min(start + size, span.end))
        yield Span(start, end)
        start = end


def _between_characters(text: str, start: int, end: int) -> int:
    """A place at or shortly before `end` that parts no letter from its accents and no emoji from its parts."""
    for place in range(end, max(start + 1, end - _LONGEST_CLUSTER) - 1, -1):
        if place == len(text) or not (_continues(text[place]) or text[place - 1] == _JOINER):
            return place
    return end


def _continues(char: str) -> bool:
    return char == _JOINER or unicodedata.category(char)[0] == "M" or "\U0001f3fb" <= char <= "\U0001f3ff"


def _stripped(text: str, span: Span) -> Span:
    body = span.of(text)
    return Span(span.start + len(body) - len(body.lstrip()), span.start + len(body.rstrip()))


def _without_blank_lines(text: str, span: Span) -> Span:
    """The span from the start of its first visible line, whose indentation is part of it, to its last visible mark."""
    body = span.of(text)
    head = body[: len(body) - len(body.lstrip())].rfind("\n") + 1
    return Span(span.start + head, span.start + len(body.rstrip()))
