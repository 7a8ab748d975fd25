"""What an extracted answer can be made of: the sentences, steps, rows and commands of passages, each readable alone.

A command stays with the step that it belongs to, a list may come whole with the sentence that opens it, and the words
of headings and of a question in the text stand by what is below them. Which of them answer is left to `fallback`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from service.generation.evidence import EvidenceUnit, Reader
from service.generation.facts import Fact, facts_of
from service.generation.sentences import ITEM, Unit, UnitKind, units_of
from service.retrieval.results import Passage

LONGEST_LIST = 700
"""Characters of a list, with the sentence that opens it, that can be shown as one piece."""
_HEADING_WORDS = 6
"""A line without a stop or a figure and of no more words is a heading or a greeting, not a statement."""
_TORN_WORDS = 3
_SEPARATOR_ROW = re.compile(r"[|:\s-]+")
_BARS = " | "
_PLAIN_HEADING = re.compile(r"(?:(?P<title>[^\n]+)\n[-=~]{3,}\s*|(?P<capitals>[A-Z][A-Z &/]{3,})\n\s*)")
"""A line that is underlined, or in capitals."""
_INDENTED = re.compile(r"(?: {4}|\t)[ \t]*\S")
_EMPHASIS = "*_ "


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stretch of passage `index`: `start` and `end` are offsets into its text, `raw` is what stands there.

    `context` are stems of title, headings and lead-in, `lead` the last of these as text. `head`: the table's column
    names. `whole`: a list with its opening sentence; its items are candidates as well.
    """

    index: int
    kind: UnitKind
    start: int
    end: int
    raw: str
    words: frozenset[str]
    context: frozenset[str]
    facts: frozenset[Fact]
    lead: str = ""
    head: tuple[str, ...] = ()
    whole: bool = False

    def overlaps(self, other: Candidate) -> bool:
        return self.index == other.index and self.start < other.end and other.start < self.end


def candidates_of(reader: Reader, index: int, passage: Passage) -> list[Candidate]:
    """The candidates of one passage, in source order, a whole list before its items."""
    chunk = passage.indexed.chunk
    titles = (passage.indexed.document.title, *chunk.heading_path)
    about = frozenset(reader.stems(" ".join(titles)))
    named = {_plain(title) for title in titles}
    text, lead = chunk.text, ""
    head: tuple[str, ...] = ()
    found: list[Candidate] = []
    groups = _groups(text)

    def add(unit: Unit) -> Candidate:
        raw = text[unit.start : unit.end]
        context = about | frozenset(reader.stems(" ".join((lead, *head))))
        words = EvidenceUnit(reader, raw, unit.start, unit.kind).words
        place = (index, unit.kind, unit.start, unit.end)
        found.append(Candidate(*place, raw, words, context, facts_of(raw), " ".join((lead, *head)).strip(), head))
        return found[-1]

    for at, unit in enumerate(groups):
        raw = text[unit.start : unit.end]
        if unit.kind is UnitKind.ROW:
            names = _head(text, groups, at)
            head = head if names is None else names
            if names is None and not _is_rule(text, unit):
                add(unit)
            continue
        head = ()
        titled = unit.kind is UnitKind.HEADING or _plain(raw) in named
        opened = None if titled else _list_below(text, groups, at)
        if titled or (opened is None and _is_label(unit, raw)):
            lead = raw.strip("#" + _EMPHASIS)
            continue
        if opened is not None:
            whole = add(Unit(UnitKind.ITEM, unit.start, opened.end))
            found[-1] = replace(whole, whole=True)
        if _opens(raw) or opened is not None:
            lead = raw.strip(_EMPHASIS)
        elif any(character.isalnum() for character in raw):
            add(unit)
            if unit.kind is UnitKind.PROSE:
                lead = lead if lead.endswith("?") else ""
    return found


def _head(text: str, groups: Sequence[Unit], at: int) -> tuple[str, ...] | None:
    """The column names if this row is the head of a table, else None."""
    raw = _of(text, groups[at])
    below = groups[at + 1] if at + 1 < len(groups) else None
    if below is not None and _is_rule(text, below):
        return _cells(raw)
    first = at == 0 or groups[at - 1].kind is not UnitKind.ROW
    return _cells(raw) if first and not raw.startswith("|") and _names_columns(raw) else None


def _groups(text: str) -> list[Unit]:
    """Units with the code block that follows a lead-in or a list item joined to it: no command is cut from its step."""
    groups: list[Unit] = []
    for unit in _with_indented_code(text):
        if unit.kind is UnitKind.CODE and groups:
            last = groups[-1]
            inside = text[text.rfind("\n", 0, unit.start) + 1 : unit.start] != ""
            if (last.kind is UnitKind.ITEM and inside) or (last.kind is UnitKind.PROSE and _opens(_of(text, last))):
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
        opened = last is not None and last.kind in (UnitKind.PROSE, UnitKind.ITEM) and _of(text, last).endswith(":")
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
        and len(_of(text, last).split()) <= _TORN_WORDS
        and _of(text, last).rstrip(_EMPHASIS).endswith((".", "!"))
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
        raw = _of(text, unit)
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


def _list_below(text: str, groups: Sequence[Unit], at: int) -> Unit | None:
    """The last item of the list that a sentence opens, if the two together are short enough to be shown whole."""
    opening = groups[at]
    raw = _of(text, opening)
    if opening.kind is not UnitKind.PROSE or not (_opens(raw) or raw[-1].isalpha()):
        return None
    last: Unit | None = None
    for unit in groups[at + 1 :]:
        item = unit.kind is UnitKind.ITEM or (unit.kind is UnitKind.CODE and ITEM.match(_of(text, unit)))
        if not item or unit.end - opening.start > LONGEST_LIST:
            # a list too long to be shown is not cut either
            return last if last is not None and not item else None
        last = unit
    return last


def _opens(raw: str) -> bool:
    return raw.rstrip(_EMPHASIS).endswith((":", "?"))


def _is_label(unit: Unit, raw: str) -> bool:
    bare = raw.rstrip(_EMPHASIS)
    return (
        unit.kind is UnitKind.PROSE
        and bare[-1:] not in (".", "!", "?", ":")
        and len(raw.split()) <= _HEADING_WORDS
        and not any(character.isdigit() or character in "`|" for character in raw)
    )


def _is_rule(text: str, unit: Unit) -> bool:
    return unit.kind is UnitKind.ROW and _SEPARATOR_ROW.fullmatch(_of(text, unit)) is not None


def _names_columns(row: str) -> bool:
    """Whether a first row without marks is the head: names only, no values."""
    return not any(character.isdigit() or character == ":" for character in row)


def _cells(row: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in row.strip().strip("|").split("|"))


def _of(text: str, unit: Unit) -> str:
    return text[unit.start : unit.end]


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
