"""Cuts a stretch of text that is too long for one chunk: code and tables between lines, prose between sentences."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

from ingestion.corpus.records import Span

CountTokens = Callable[[Sequence[str]], list[int]]

CHARS_PER_TOKEN = 24
"""Text with more characters a token than this does not occur; what is longer is over the limit without counting,
which keeps the tokenizer away from megabytes on one line."""

_LINES = re.compile(r"[^\n]*\n|[^\n]+\Z")
_SENTENCES = re.compile(
    r".+?(?:[.!?\u2026][\"'\u201d\u2019)\]*_`]*(?=\s+[^\sa-z])|[\u3002\uff01\uff1f]|\n(?=\s*\n)|\Z)\s*", re.DOTALL
)
_WORDS = re.compile(r"[\s\S]{1,80}(?=\s)\s+|\S+\s*|\s+")
"""Some words at a time: a million single ones would each be a text for the tokenizer."""


def cut_lines(text: str, span: Span, limit: int, count: CountTokens) -> list[Span]:
    """Disjoint spans of whole lines, each at most `limit` tokens; only a line longer than that is itself cut."""
    spans = _cut(text, span, limit, count, (_LINES, _WORDS))
    return [_without_blank_lines(text, part) for part in spans if part.of(text).strip()]


def cut_prose(text: str, span: Span, limit: int, count: CountTokens) -> list[Span]:
    """Disjoint spans of whole sentences, each at most `limit` tokens; a longer sentence is cut at a line, at a word,
    or at last anywhere."""
    spans = _cut(text, span, limit, count, (_SENTENCES, _LINES, _WORDS))
    return [_stripped(text, part) for part in spans if part.of(text).strip()]


def _cut(text: str, span: Span, limit: int, count: CountTokens, patterns: tuple[re.Pattern[str], ...]) -> list[Span]:
    """The span in parts of at most `limit` tokens, of about the same length, cut where the first pattern says; a unit
    too long for one part is cut where the next says."""
    if not patterns:
        units = _slices(span, limit)
    else:
        units = [Span(match.start(), match.end()) for match in patterns[0].finditer(text, span.start, span.end)]
    counts = _count_units(text, units, limit, count)
    target = _target(counts, limit)
    parts: list[Span] = []
    start, end, total = span.start, span.start, 0
    for unit, tokens in zip(units, counts, strict=True):
        if total and (total + tokens > limit or total >= target):
            parts.append(Span(start, end))
            start, total = unit.start, 0
        if tokens > limit:
            if patterns:
                parts.extend(_cut(text, unit, limit, count, patterns[1:]))
            else:
                parts.extend(_halve(text, unit, limit, count))
            start = end = unit.end
            continue
        end, total = unit.end, total + tokens
    if total:
        parts.append(Span(start, end))
    return _checked(text, parts, limit, count)


def _count_units(text: str, units: Sequence[Span], limit: int, count: CountTokens) -> list[int]:
    """Tokens of each unit; one too long to count is taken for over the limit."""
    countable = [unit for unit in units if unit.end - unit.start <= limit * CHARS_PER_TOKEN]
    counted = iter(count([unit.of(text) for unit in countable]) if countable else [])
    return [next(counted) if unit.end - unit.start <= limit * CHARS_PER_TOKEN else limit + 1 for unit in units]


def _target(counts: Sequence[int], limit: int) -> float:
    """Size at which a part is full enough: parts come out even instead of full ones and a small rest."""
    total = sum(counts)
    return total / max(1, math.ceil(total / limit))


def _checked(text: str, parts: Sequence[Span], limit: int, count: CountTokens) -> list[Span]:
    """The parts, with any that is over the limit as a whole, though not in the sum of its units, cut in halves."""
    counts = count([part.of(text) for part in parts]) if parts else []
    checked: list[Span] = []
    for part, tokens in zip(parts, counts, strict=True):
        checked.extend([part] if tokens <= limit else _halve(text, part, limit, count))
    return checked


def _halve(text: str, span: Span, limit: int, count: CountTokens) -> list[Span]:
    if span.end - span.start < 2:
        return [span]
    middle = (span.start + span.end) // 2
    newline = text.rfind("\n", span.start, middle) + 1
    space = text.rfind(" ", span.start, middle) + 1
    middle = newline if newline > span.start else space if space > span.start else middle
    return _checked(text, [Span(span.start, middle), Span(middle, span.end)], limit, count)


def _slices(span: Span, size: int) -> list[Span]:
    return [Span(start, min(start + size, span.end)) for start in range(span.start, span.end, size)]


def _stripped(text: str, span: Span) -> Span:
    body = span.of(text)
    return Span(span.start + len(body) - len(body.lstrip()), span.start + len(body.rstrip()))


def _without_blank_lines(text: str, span: Span) -> Span:
    """The span from the start of its first visible line, whose indentation is part of it, to its last visible mark."""
    body = span.of(text)
    head = body[: len(body) - len(body.lstrip())].rfind("\n") + 1
    return Span(span.start + head, span.start + len(body.rstrip()))
