"""Passages as numbered data in a prompt: a quotation that no text can end or pass for something else.

What is asked about them is left to `prompts`; which passages, and in which order of merit, to the caller.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

from ingestion.corpus.records import IndexedChunk
from service.generation.checking.facts import CODE_SPAN
from service.generation.checking.sentences import UnitKind, units_of
from service.generation.citations import leads_in


class Quoting(StrEnum):
    """How passages stand in a prompt. Each says all that the one before it does, and more."""

    PLAIN = "plain"
    """Between markers that they cannot contain, numbered in the opening one."""
    MARKED = "marked"
    """Dated; the number behind each paragraph and list item, where the answer shall bear it; the best passage last.

    Small models copy what stands there; asked for the number in a heading, they made it up.
    """
    SPOTLIT = "spotlit"
    """Without what a model or its server may take for a turn of the conversation or for a citation."""


_INVISIBLE = r"[\s\u00ad\u200b-\u200f\u2060-\u2064\ufeff]*"
_MARKER = re.compile(r"<(?=\s*/?\s*passage\b)", re.IGNORECASE)
_TURN = re.compile(
    rf"(?:<(?={_INVISIBLE}/?{_INVISIBLE}passage\b|[|\uff5c]|<?/?SYS>|/?s>|(?:start|end)_of_turn>|/?think>)"
    rf"|\uff1c(?={_INVISIBLE}/?{_INVISIBLE}passage\b))",
    re.IGNORECASE,
)
"""Openings of our own marker and of the marks between turns that servers turn into control tokens, also in content."""
_INSTRUCTION = re.compile(r"\[(?=/?INST\])", re.IGNORECASE)
_REFERENCE = re.compile(
    r"(?:(?<=[\s.,;:!?)\"'])|^)[\[\u3010]\s*\^?((?:(?:passage|source|doc)s?\s*)?\d{1,3}(?:\s*(?:,|;|-|\u2013|and|&)\s*\d{1,3}){0,9})\s*"
    r"[\]\u3011](?!\()",
    re.IGNORECASE,
)
"""A document's own `[1]`, which would be copied as if it were ours; not `hosts[1]`."""


def quote_passages(passages: Sequence[IndexedChunk], old: frozenset[int], quoting: Quoting) -> str:
    """The passages, best given first, numbered from 1 in that order.

    `old` holds the indexes of those whose document was replaced: marked, they stand farthest from the question.
    """
    marked = quoting is not Quoting.PLAIN
    order = sorted(range(len(passages)), key=lambda at: (at not in old, -at) if marked else (True, at))
    return "\n".join(_quoted(at + 1, passages[at], quoting, old=at in old) for at in order)


def quote_text(text: str, quoting: Quoting) -> str:
    """The text with nothing in it that ends a quotation."""
    if quoting is not Quoting.SPOTLIT:
        return _MARKER.sub("&lt;", text)
    return _INSTRUCTION.sub("&lsqb;", _TURN.sub("&lt;", text))


def _quoted(number: int, passage: IndexedChunk, quoting: Quoting, *, old: bool) -> str:
    marked = quoting is not Quoting.PLAIN
    title = " > ".join(dict.fromkeys((passage.document.title, *passage.chunk.heading_path)))
    title = quote_text(" ".join(title.replace('"', "'").split()), quoting)
    status = ' status="superseded"' if old else ""
    # what was replaced may well have been touched last: no date speaks for it
    date = f' updated="{passage.document.updated_at:%Y-%m-%d}"' if marked and not old else ""
    text = passage.chunk.text.strip()
    if quoting is Quoting.SPOTLIT:
        text = _without_references(text)
    text = quote_text(_marked(text, number) if marked else text, quoting)
    return f'<passage number="{number}" title="{title}"{date}{status}>\n{text}\n</passage>'


def _without_references(text: str) -> str:
    """The text with its own reference marks in round brackets; code stays as it is."""
    parts: list[str] = []
    position = 0
    for code in CODE_SPAN.finditer(text):
        parts += [_REFERENCE.sub(r"(\1)", text[position : code.start()]), code.group()]
        position = code.end()
    return "".join(parts) + _REFERENCE.sub(r"(\1)", text[position:])


def _marked(text: str, number: int) -> str:
    """The text with the passage's number after each paragraph, list item, block and table, but not after lead-ins."""
    pieces: list[str] = []
    position = 0
    units = units_of(text)
    for at, unit in enumerate(units):
        pieces.append(text[position : unit.end])
        position = unit.end
        following = units[at + 1] if at + 1 < len(units) else None
        same = following is not None and unit.kind is following.kind
        if unit.kind is UnitKind.CODE or (unit.kind is UnitKind.ROW and not same):
            pieces.append(f"\n[{number}]")
        elif unit.kind is UnitKind.ITEM or unit.kind is UnitKind.PROSE:
            goes_on = same and unit.kind is UnitKind.PROSE and "\n\n" not in text[unit.end : units[at + 1].start]
            if not goes_on and not leads_in(text[unit.start : unit.end]):
                pieces.append(f" [{number}]")
    return "".join(pieces) + text[position:]
