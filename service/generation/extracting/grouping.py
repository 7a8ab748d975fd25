"""The units of a passage joined to what can be read alone, and the blocks that these stand in.

A command stays with its step or with the sentence that leads to it, code that plain text sets in is one piece, and a
heading is told by its looks. What is asked of them is left to `candidates`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from service.generation.checking.sentences import ITEM, Unit, UnitKind, units_of

LONGEST_LIST = 700
"""Characters of a list, with the sentence that opens it, that can be shown as one piece."""
EMPHASIS = "*_ "
_TORN_WORDS = 3
_BARS = " | "
_PLAIN_HEADING = re.compile(r"(?:(?P<title>[^\n]+)\n[-=~]{3,}\s*|(?P<capitals>[A-Z][A-Z &/]{3,})\n\s*)")
"""A line that is underlined, or in capitals."""
_INDENTED = re.compile(r"(?: {4}|\t)[ \t]*\S")
_SET_IN = re.compile(r"(?: {2}|\t)[ \t]*\S")
"""A line that goes on with the list item above it."""


def groups_of(text: str) -> list[Unit]:
    """Units with the code block that follows a lead-in or a list item joined to it: no command is cut from its step."""
    groups: list[Unit] = []
    for unit in _with_indented_code(text):
        if unit.kind is UnitKind.CODE and groups:
            last = groups[-1]
            inside = text[text.rfind("\n", 0, unit.start) + 1 : unit.start] != ""
            if (last.kind is UnitKind.ITEM and inside) or (last.kind is UnitKind.PROSE and opens(of(text, last))):
                groups[-1] = Unit(UnitKind.CODE, last.start, unit.end)
                continue
        if groups and _is_torn(text, groups[-1], unit):
            groups[-1] = Unit(groups[-1].kind, groups[-1].start, unit.end)
            continue
        groups.append(unit)
    return _with_blocks(text, groups)


def _with_blocks(text: str, groups: Sequence[Unit]) -> list[Unit]:
    """The groups; an opening sentence has the paragraph below it, where that is no list of its own (code of HTML)."""
    joined: list[Unit] = []
    for unit in groups:
        last = joined[-1] if joined else None
        if last is not None and unit.start < last.end:
            continue
        opened = last is not None and last.kind in (UnitKind.PROSE, UnitKind.ITEM) and of(text, last).endswith(":")
        if last is not None and opened and unit.kind is UnitKind.PROSE and "\n\n" in text[last.end : unit.start]:
            end = text.find("\n\n", unit.start)
            end = len(text.rstrip()) if end < 0 else end
            if end - last.start <= LONGEST_LIST:
                joined[-1] = Unit(UnitKind.CODE, last.start, end)
                continue
        joined.append(unit)
    return joined


def _is_torn(text: str, last: Unit, unit: Unit) -> bool:
    """Whether a sentence of a word or two, as "No." is, belongs to the one after it."""
    return (
        last.kind is unit.kind is UnitKind.PROSE
        and len(of(text, last).split()) <= _TORN_WORDS
        and of(text, last).rstrip(EMPHASIS).endswith((".", "!"))
        and "\n\n" not in text[last.end : unit.start]
    )


def _with_indented_code(text: str) -> list[Unit]:
    """The units of a text; prose that is set in by four spaces below a blank line is one block of code."""
    units: list[Unit] = []
    for unit in _lines_apart(text):
        line = text.rfind("\n", 0, unit.start) + 1
        indented = unit.kind is UnitKind.PROSE and _INDENTED.match(text[line:]) is not None
        if not indented or (units and units[-1].kind is UnitKind.ITEM):
            units.append(unit)
        elif units and units[-1].kind is UnitKind.CODE and "\n\n" not in text[units[-1].end : unit.start]:
            units[-1] = Unit(UnitKind.CODE, units[-1].start, unit.end)
        else:
            units.append(Unit(UnitKind.CODE, unit.start, unit.end))
    return units


def _lines_apart(text: str) -> list[Unit]:
    """The units of a text, with two things of plain text told apart: rows with bars, and headings by their looks."""
    units: list[Unit] = []
    for unit in units_of(text):
        raw = of(text, unit)
        if unit.kind is UnitKind.PROSE and "\n" in raw and _BARS in raw:
            position = unit.start
            for line in raw.splitlines(keepends=True):
                kind = UnitKind.ROW if _BARS in line else UnitKind.PROSE
                units.append(Unit(kind, position, position + len(line.rstrip())))
                position += len(line)
            continue
        heading = _PLAIN_HEADING.match(raw) if unit.kind in (UnitKind.PROSE, UnitKind.ITEM) else None
        if heading is not None:
            units.append(Unit(UnitKind.HEADING, unit.start, unit.start + heading.end(heading.lastgroup or 0)))
            below = unit.start + heading.end()
            units += [Unit(u.kind, below + u.start, below + u.end) for u in units_of(raw[heading.end() :])]
            continue
        units.append(unit)
    return units


def blocks_of(text: str, groups: Sequence[Unit]) -> list[tuple[Unit, ...]]:
    """For each unit the run that it is read in: a paragraph with the code below it, or a list with what opens it."""
    runs: list[list[Unit]] = []
    for unit in groups:
        if runs and _goes_on(text, runs[-1], unit):
            runs[-1].append(unit)
        else:
            runs.append([unit])
    return [tuple(run) for run in runs for _ in run]


def is_step(text: str, unit: Unit) -> bool:
    """Whether the unit is a list item, with or without code below it."""
    return unit.kind is UnitKind.ITEM or (unit.kind is UnitKind.CODE and ITEM.match(of(text, unit)) is not None)


def opens(raw: str) -> bool:
    """Whether a sentence leads to what is below it."""
    return raw.rstrip(EMPHASIS).endswith((":", "?"))


def of(text: str, unit: Unit) -> str:
    return text[unit.start : unit.end]


def _goes_on(text: str, run: Sequence[Unit], unit: Unit) -> bool:
    last = run[-1]
    if {last.kind, unit.kind} & {UnitKind.ROW, UnitKind.HEADING}:
        return False
    if is_step(text, run[-1]) or any(is_step(text, other) for other in run):
        line = text.rfind("\n", 0, unit.start) + 1
        return is_step(text, unit) or _SET_IN.match(text, line) is not None
    if is_step(text, unit):
        return of(text, last).rstrip(EMPHASIS).endswith(":")
    if unit.kind is UnitKind.CODE:
        return last.kind is UnitKind.PROSE
    return last.kind is UnitKind.PROSE and "\n\n" not in text[last.end : unit.start]
