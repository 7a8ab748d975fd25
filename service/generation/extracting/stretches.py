"""What is shown of a passage around a candidate that was chosen, and how it reads: paragraphs, procedures, rows.

A reader needs more than the sentence that answers: the one that it refers to, the steps before it, the command that it
announces. Which candidates are chosen is left to `fallback`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.generation.checking.facts import CODE_SPAN
from service.generation.checking.sentences import FENCE, Unit, UnitKind
from service.generation.extracting.candidates import Candidate
from service.generation.extracting.grouping import is_step, of, opens

PARAGRAPH = 500
"""Characters up to which a paragraph or list is shown whole around its sentence."""
PROCEDURE = 1500
"""Characters up to which the steps of a procedure are shown together, if the question asks for steps."""

_REFERS_BACK = re.compile(
    r"\W*(?:it|its|this|that|these|those|they|them|then|there|otherwise|instead|afterwards|also|but|so|he|she)\b",
    re.IGNORECASE,
)
_ALERT = re.compile(r"^\[!\w+\]\s*")
_LINK = re.compile(r"\[([^\]\n]+)\]\([^)\s]+\)")


@dataclass(frozen=True, slots=True)
class Extract:
    """A stretch of passage `index`: `start` and `end` are offsets into the passage's text, `text` is how it reads."""

    index: int
    start: int
    end: int
    text: str
    block: bool


def stretch_around(candidate: Candidate, text: str, *, steps: bool) -> Unit:
    """What to show for a candidate of a passage's text: itself, or more of its block. `steps`: they are asked for."""
    alone = Unit(candidate.kind, candidate.start, candidate.end)
    units = candidate.block
    if candidate.whole or candidate.kind is UnitKind.ROW or len(units) < 2:
        return alone
    at = next((i for i, unit in enumerate(units) if unit.start <= candidate.start < unit.end), 0)
    if any(is_step(text, unit) for unit in units):
        return _procedure(text, units, at) if steps else _short(units) or _with_lead(text, units, at, alone)
    return _short(units) or _sentence(text, units, at, alone, steps=steps)


def rendered(candidate: Candidate, shown: Unit, text: str) -> Extract:
    """How a stretch reads: rows with their column names, prose without line breaks and emphasis, code as it stands."""
    raw = of(text, shown)
    alone = (shown.start, shown.end) == (candidate.start, candidate.end)
    if candidate.kind is UnitKind.ROW:
        reads = _outside_code(_bare, _row(raw, candidate.head))
    elif shown.kind is UnitKind.CODE or any(FENCE.match(line) for line in raw.splitlines()):
        reads = raw
    else:
        joint = "\n" if shown.kind is UnitKind.ITEM and (candidate.whole or not alone) else " "
        reads = _outside_code(_bare, joint.join(line.lstrip("> \t").rstrip() for line in raw.splitlines()))
    return Extract(candidate.index, shown.start, shown.end, reads, block=not (alone and shown.kind is UnitKind.PROSE))


def _short(units: Sequence[Unit]) -> Unit | None:
    """The whole block, if it is short."""
    return _run(units) if units[-1].end - units[0].start <= PARAGRAPH else None


def _procedure(text: str, units: Sequence[Unit], at: int) -> Unit:
    """All steps with what leads to them; of too long a procedure the first whole steps, or those from `at` on."""
    for first in (0, at):
        last = at
        if units[at].end - units[first].start > PROCEDURE:
            continue
        while last + 1 < len(units) and units[last + 1].end - units[first].start <= PROCEDURE:
            last += 1
        return _run(units[first : last + 1])
    return units[at]


def _with_lead(text: str, units: Sequence[Unit], at: int, alone: Unit) -> Unit:
    """A list item, the first one with the sentence that opens the list."""
    return _run(units[:2]) if at == 1 and not is_step(text, units[0]) else alone


def _sentence(text: str, units: Sequence[Unit], at: int, alone: Unit, *, steps: bool) -> Unit:
    """A sentence of a long paragraph: with the one it refers to, and with the code that belongs to it."""
    first = last = at
    code = units[at].kind is UnitKind.CODE
    if at and (code or _REFERS_BACK.match(of(text, units[at]))):
        first -= 1
    follows = at + 1 < len(units) and units[at + 1].kind is UnitKind.CODE
    if follows and (steps or opens(of(text, units[at]))):
        last += 1
    run = _run(units[first : last + 1])
    return run if run.end - run.start <= PROCEDURE else alone


def _run(units: Sequence[Unit]) -> Unit:
    kinds = {unit.kind for unit in units}
    kind = next(kind for kind in (UnitKind.CODE, UnitKind.ITEM, UnitKind.PROSE) if kind in kinds)
    return Unit(kind, units[0].start, units[-1].end)


def _row(raw: str, head: Sequence[str]) -> str:
    cells = [cell.strip() for cell in raw.strip().strip("|").split("|")]
    heads = head if len(head) == len(cells) else ("",) * len(cells)
    pairs = zip(heads, cells, strict=True)
    return " \u2014 ".join(f"{name}: {cell}" if name else cell for name, cell in pairs if cell)


def _bare(text: str) -> str:
    return _LINK.sub(r"\1", _ALERT.sub("", text)).replace("**", "")


def _outside_code(change: Callable[[str], str], text: str) -> str:
    """The text changed everywhere but in its code spans: a command is copied to the byte."""
    pieces, position = [], 0
    for match in CODE_SPAN.finditer(text):
        pieces += [change(text[position : match.start()]), match.group()]
        position = match.end()
    return "".join((*pieces, change(text[position:])))
