"""Where a unit of text ends: sentences of prose, list items, code blocks, table rows.

One scanner reads passages (whole) and model answers (growing). It decides at a place only when no later text could
change the decision, so a text cut into any pieces gives the same units. What the units say is left to others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class UnitKind(StrEnum):
    PROSE = "prose"
    ITEM = "item"
    CODE = "code"
    ROW = "row"
    HEADING = "heading"


@dataclass(frozen=True, slots=True)
class Unit:
    """`text[start:end]` without the white space around it."""

    kind: UnitKind
    start: int
    end: int


_SOURCE = r"(?:passage|source|document|doc|ref(?:erence)?|citation)s?"
_NUMBERS = r"\d{1,3}(?:\s*(?:,|;|-|\u2013|and|&|und)\s*#?\d{1,3}){0,9}"
_CITED = (
    rf"\\?[\[\u3010]\s*\^?(?:{_SOURCE}\s*[:#]?\s*)?{_NUMBERS}\s*(?:\u2020[^\]\u3011\n]{{0,20}})?\\?[\]\u3011]"
    rf"|\(\s*{_SOURCE}\s*[:#]?\s*{_NUMBERS}\s*\)"
)
CITATION = re.compile(rf"(?:{_CITED})(?!\()", re.IGNORECASE)
"""`[1]`, `[1, 2]`, `[1-3]`, `[passage 2]`, `[^1]`, `(source 1)`; not the text of a Markdown link, nor a bare `(1)`."""
_LONGEST_CITATION = 60

FENCE = re.compile(r"[ \t>]*(`{3,}|~{3,})")
ITEM = re.compile(r"[ \t]*(?:[-*+\u2022]|\d{1,3}[.)])[ \t]+")
_HEADING = re.compile(r"[ \t]*#{1,6}[ \t]")
_ROW = re.compile(r"[ \t]*\|")
_LINE_PEEK = 8
"""Characters of a line that tell its kind: `###### ` and `100. ` are the longest starts."""

_ABBREVIATIONS = frozenset((
    "e.g", "i.e", "eg", "ie", "etc", "vs", "cf", "approx", "nr", "fig", "ca", "al", "dr", "mr", "mrs", "ms", "prof",
    "inc", "ltd", "dept", "ext", "tel", "resp", "jan", "feb", "apr", "aug", "sep", "sept", "oct", "nov", "z.b", "d.h",
    "bzw", "usw",
))  # fmt: skip
_STOPS = ".!?\u2026"
_WIDE_STOPS = "\u3002\uff01\uff1f"
"""Stops of scripts that put no space after a sentence."""
_CLOSERS = "\"')]}*_\u201d\u2019\u00bb`"


def next_unit(text: str, position: int, *, final: bool) -> Unit | None:
    """The first unit at or after `position`, or None: nothing is left, or (not `final`) more text is needed to tell."""
    start = position
    while start < len(text) and text[start].isspace():
        start += 1
    if start == len(text):
        return None
    at_line_start = text.rfind("\n", position, start) >= 0 or text[:start].rpartition("\n")[2].strip() == ""
    if not at_line_start:
        return _sentence(text, start, final=final)
    line_start = text.rfind("\n", 0, start) + 1
    kind = _line_kind(text, line_start, final=final)
    if kind is None:
        return None
    if kind is UnitKind.CODE:
        return _code(text, line_start, start, final=final)
    if kind in (UnitKind.ROW, UnitKind.HEADING):
        end = text.find("\n", start)
        if end < 0 and not final:
            return None
        return Unit(kind, start, _trimmed(text, start, end if end >= 0 else len(text)))
    return _sentence(text, start, final=final, item=kind is UnitKind.ITEM)


def units_of(text: str, *, code_lines: bool = False) -> tuple[Unit, ...]:
    """All units of a text, in order and disjoint. With `code_lines` a code block falls into its lines."""
    units: list[Unit] = []
    position = 0
    while (unit := next_unit(text, position, final=True)) is not None:
        units.extend(_lines(text, unit) if code_lines and unit.kind is UnitKind.CODE else (unit,))
        position = unit.end
    return tuple(units)


def _lines(text: str, unit: Unit) -> list[Unit]:
    lines = []
    position = unit.start
    for line in text[unit.start : unit.end].splitlines(keepends=True):
        bare = line.strip()
        if bare and not FENCE.match(line):
            start = position + line.index(bare)
            lines.append(Unit(UnitKind.CODE, start, start + len(bare)))
        position += len(line)
    return lines or [unit]


def _trimmed(text: str, start: int, end: int) -> int:
    return start + len(text[start:end].rstrip())


def _line_kind(text: str, line_start: int, *, final: bool) -> UnitKind | None:
    """Kind of the block that a line opens; None if its start has not fully arrived."""
    end = text.find("\n", line_start)
    line = text[line_start : end if end >= 0 else len(text)]
    if end < 0 and not final and len(line.lstrip(" \t>")) < _LINE_PEEK:
        return None
    if FENCE.match(line):
        return UnitKind.CODE
    for pattern, kind in ((_ROW, UnitKind.ROW), (_HEADING, UnitKind.HEADING), (ITEM, UnitKind.ITEM)):
        if pattern.match(line):
            return kind
    return UnitKind.PROSE


def _code(text: str, line_start: int, start: int, *, final: bool) -> Unit | None:
    opening = FENCE.match(text, line_start)
    assert opening is not None
    fence = opening.group(1)
    closing = re.compile(rf"^[ \t>]*{re.escape(fence[0])}{{{len(fence)},}}[ \t]*(?=[\n\[\u3010])", re.MULTILINE)
    first_line = text.find("\n", opening.end())
    found = closing.search(text, first_line) if first_line >= 0 else None
    if found is not None:
        return _with_citations(text, Unit(UnitKind.CODE, start, found.end()), final=final)
    if not final:
        return None
    return Unit(UnitKind.CODE, start, _trimmed(text, start, len(text)))


def _sentence(text: str, start: int, *, final: bool, item: bool = False) -> Unit | None:
    """A sentence of prose, or a whole list item with the lines that continue it."""
    kind = UnitKind.ITEM if item else UnitKind.PROSE
    marker = ITEM.match(text, start) if item else None
    position = marker.end() if marker else start
    in_code = False
    while position < len(text):
        character = text[position]
        if character == "`":
            in_code = not in_code
        elif character == "\n":
            ends = _ends_at_newline(text, position, final=final)
            if ends is None:
                return None
            if ends:
                return _with_citations(text, Unit(kind, start, _trimmed(text, start, position)), final=final)
        elif not item and not in_code and character in _STOPS + _WIDE_STOPS:
            end = _stop_end(text, position)
            if not final and (end == len(text) or _citation_end(text, end, final=False) is None):
                return None
            if _is_stop(text, start, position, end):
                unit = Unit(kind, start, end)
                return _with_citations(text, unit, final=final)
        position += 1
    return Unit(kind, start, _trimmed(text, start, len(text))) if final else None


def _ends_at_newline(text: str, newline: int, *, final: bool) -> bool | None:
    """Whether the block ends here: before a blank line or one that opens another block."""
    following = text[newline + 1 :]
    bare = following.lstrip(" \t>")
    if bare == "":
        return True if final else None
    if bare[0] == "\n":
        return True
    kind = _line_kind(text, newline + 1, final=final)
    return None if kind is None else kind is not UnitKind.PROSE


def _stop_end(text: str, position: int) -> int:
    """Where the run of stops and closing marks that begins at `position` ends."""
    end = position + 1
    while end < len(text) and (text[end] in _CLOSERS or text[end] in _STOPS):
        end += 1
    return end


def _is_stop(text: str, start: int, stop: int, end: int) -> bool:
    """Whether a stop, with what closes it up to `end`, ends a sentence rather than an abbreviation or a version."""
    wide = text[stop] in _WIDE_STOPS
    if end < len(text) and not text[end].isspace() and not wide and not CITATION.match(text, end):
        return False
    if text[stop] != ".":
        return True
    words = text[start:stop].split()
    if not words:
        return False
    word = words[-1].lstrip("\"'([*_").casefold()
    if word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha()):
        return False
    if len(words) == 1 and word.isdigit():  # "1. Drain": a list number that lost its line
        return False
    return not (text[stop:end].startswith("...") and text[end:].lstrip()[:1].islower())


def _with_citations(text: str, unit: Unit, *, final: bool) -> Unit | None:
    """The unit with the citations that follow it, on its line or alone on the next; None while they may still come.

    Behind a block there may be a blank line before them.
    """
    end = unit.end
    while True:
        position = end
        while position < len(text) and text[position] in " \t":
            position += 1
        if position < len(text) and text[position] == "\n":
            position += 1
            while position < len(text) and text[position] in (" \t\n" if unit.kind is UnitKind.CODE else " \t"):
                position += 1
        if position == len(text):
            return Unit(unit.kind, unit.start, end) if final else None
        cited_end = _citation_end(text, position, final=final)
        if cited_end is None:
            return None
        if cited_end == position:
            return Unit(unit.kind, unit.start, end)
        end = cited_end
        if end < len(text) and text[end] in ".!?":  # "... [1]." after a block: the stop belongs to it
            end += 1


def _citation_end(text: str, position: int, *, final: bool) -> int | None:
    """End of the citation that begins at `position`, `position` if none does, None while one may still arrive."""
    if text[position : position + 1] not in ("[", "\u3010", "(", "\\"):
        return position
    if not final:
        closing = re.search(r"[\]\u3011)\n]", text[position : position + _LONGEST_CITATION])
        known = len(text) - position
        if known < _LONGEST_CITATION + 1 and (closing is None or closing.end() == known):
            return None
    cited = CITATION.match(text, position, position + _LONGEST_CITATION + 1)
    return position if cited is None else cited.end()
