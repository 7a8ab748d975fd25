"""What an extracted answer can be made of: the sentences, steps, rows and commands of passages, each readable alone.

A command stays with the step that it belongs to, a list may come whole with the sentence that opens it, and the words
of headings and of a question in the text stand by what is below them. Which of them answer is left to `fallback`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from service.generation.checking.evidence import EvidenceUnit, Reader
from service.generation.checking.facts import Fact
from service.generation.checking.sentences import Unit, UnitKind
from service.generation.extracting.grouping import EMPHASIS, LONGEST_LIST, blocks_of, groups_of, is_step, of, opens
from service.retrieval.results import Passage

_HEADING_WORDS = 6
"""A line without a stop or a figure and of no more words is a heading or a greeting, not a statement."""
_SEPARATOR_ROW = re.compile(r"[|:\s-]+")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stretch of passage `index`: `start` and `end` are offsets into its text, `raw` is what stands there.

    `context` are stems of title, headings and lead-in, `lead` the last of these as text. `head`: the table's column
    names. `whole`: a list with its opening sentence; its items are candidates as well. `block`: the paragraph or list
    that it stands in, in units.
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
    block: tuple[Unit, ...] = ()

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
    groups = groups_of(text)
    blocks = blocks_of(text, groups)

    def add(unit: Unit, block: tuple[Unit, ...]) -> Candidate:
        raw = text[unit.start : unit.end]
        above = " ".join((lead, *head)).strip()
        read = EvidenceUnit(reader, raw, unit.start, unit.kind)
        context = about | frozenset(reader.stems(above)) if above else about
        place = (index, unit.kind, unit.start, unit.end)
        found.append(Candidate(*place, raw, read.words, context, read.reading.facts, above, head, block=block))
        return found[-1]

    for at, unit in enumerate(groups):
        raw = text[unit.start : unit.end]
        if unit.kind is UnitKind.ROW:
            names = _head(text, groups, at)
            head = head if names is None else names
            if names is None and not _is_rule(text, unit):
                add(unit, blocks[at])
            continue
        head = ()
        titled = unit.kind is UnitKind.HEADING or _plain(raw) in named
        opened = None if titled else _list_below(text, groups, at)
        if titled or (opened is None and _is_label(unit, raw)):
            lead = raw.strip("#" + EMPHASIS)
            continue
        if opened is not None:
            whole = add(Unit(UnitKind.ITEM, unit.start, opened.end), blocks[at])
            found[-1] = replace(whole, whole=True)
        if opens(raw) or opened is not None:
            lead = raw.strip(EMPHASIS)
        elif any(character.isalnum() for character in raw):
            add(unit, blocks[at])
            if unit.kind is UnitKind.PROSE:
                lead = lead if lead.endswith("?") else ""
    return found


def _head(text: str, groups: Sequence[Unit], at: int) -> tuple[str, ...] | None:
    """The column names if this row is the head of a table, else None."""
    raw = of(text, groups[at])
    below = groups[at + 1] if at + 1 < len(groups) else None
    if below is not None and _is_rule(text, below):
        return _cells(raw)
    first = at == 0 or groups[at - 1].kind is not UnitKind.ROW
    return _cells(raw) if first and not raw.startswith("|") and _names_columns(raw) else None


def _list_below(text: str, groups: Sequence[Unit], at: int) -> Unit | None:
    """The last item of the list that a sentence opens, if the two together are short enough to be shown whole."""
    opening = groups[at]
    raw = of(text, opening)
    if opening.kind is not UnitKind.PROSE or not (opens(raw) or raw[-1].isalpha()):
        return None
    last: Unit | None = None
    for unit in groups[at + 1 :]:
        item = is_step(text, unit)
        if not item or unit.end - opening.start > LONGEST_LIST:
            # a list too long to be shown is not cut either
            return last if last is not None and not item else None
        last = unit
    return last


def _is_label(unit: Unit, raw: str) -> bool:
    bare = raw.rstrip(EMPHASIS)
    return (
        unit.kind is UnitKind.PROSE
        and bare[-1:] not in (".", "!", "?", ":")
        and len(raw.split()) <= _HEADING_WORDS
        and not any(character.isdigit() or character in "`|" for character in raw)
    )


def _is_rule(text: str, unit: Unit) -> bool:
    return unit.kind is UnitKind.ROW and _SEPARATOR_ROW.fullmatch(of(text, unit)) is not None


def _names_columns(row: str) -> bool:
    """Whether a first row without marks is the head: names only, no values."""
    return not any(character.isdigit() or character == ":" for character in row)


def _cells(row: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in row.strip().strip("|").split("|"))


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
