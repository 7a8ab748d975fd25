"""What is encoded beside a chunk's text: its breadcrumb, and the header of a table that the chunk continues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ingestion.chunking.cutting import CountTokens
from ingestion.corpus.records import Chunk, Span

_RULE_MARKS = " \t>|:+=-"
_SEPARATOR = " > "
_LONGEST_PART = 400
"""Characters of a title or heading that are worth encoding with every chunk."""
_TOKENS_PER_CHAR = 4


def table_header(text: str, table: Span, longest: int) -> Span | None:
    """The lines up to the rule under the first row, as Markdown writes it, newline included; None if there is none or
    it has more than `longest` characters."""
    first = text.find("\n", table.start, min(table.end, table.start + longest))
    if first < 0:
        return None
    second = text.find("\n", first + 1, min(table.end, table.start + longest))
    rule = text[first + 1 : max(first + 1, second)]
    if rule.strip(_RULE_MARKS) or not ("-" in rule or "=" in rule):
        return None
    return Span(table.start, second + 1)


def fit_breadcrumbs(chunks: Sequence[Chunk], title: str, room: int, count: CountTokens) -> list[Chunk]:
    """The chunks, with a shortened breadcrumb where title and headings don't fit into `room` tokens beside the text.

    The outermost headings go first, then the innermost, then the end of the title.
    """
    fitted = list(chunks)
    for number, chunk in enumerate(chunks):
        left = room - chunk.tokens - _most_tokens(chunk.context)
        parts = (title, *chunk.heading_path)
        if sum(_most_tokens(part) + len(_SEPARATOR) for part in parts) > left:
            if chunk.context:
                left = room - chunk.tokens - count([chunk.context])[0]
            breadcrumb = _longest_fitting(parts, left, count)
            fitted[number] = replace(chunk, breadcrumb=breadcrumb)
    return fitted


def _longest_fitting(parts: tuple[str, ...], left: int, count: CountTokens) -> str | None:
    """The most of the breadcrumb that has at most so many tokens; None if that is all of it."""
    title, *path = (part[:_LONGEST_PART] for part in parts)
    candidates = [_SEPARATOR.join([title, *path[skipped:]]) for skipped in range(len(path) + 1)]
    for candidate, tokens in zip(candidates, count(candidates), strict=True):
        if tokens <= left:
            return None if candidate == _SEPARATOR.join(parts) else candidate
    while title:
        title = title[: len(title) // 2].rstrip()
        if count([title])[0] <= left:
            return title
    return ""


def _most_tokens(text: str) -> int:
    """No fewer than the text's tokens: a token is at least one byte."""
    return len(text) if text.isascii() else _TOKENS_PER_CHAR * len(text)
