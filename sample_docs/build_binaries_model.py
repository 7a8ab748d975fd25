"""The structures in which the contents of the binary sample documents are written down."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

Row = tuple[str, ...]
Cells = tuple[str | int | date, ...]


@dataclass(frozen=True)
class Head:
    """A heading; level 1 is the largest below the title."""

    text: str
    level: int = 1


@dataclass(frozen=True)
class Para:
    """One paragraph of running text."""

    text: str


@dataclass(frozen=True)
class Items:
    """A bulleted or numbered list."""

    items: tuple[str, ...]
    numbered: bool = False


@dataclass(frozen=True)
class Grid:
    """A table whose first row is the header; widths are shares of the page width."""

    rows: tuple[Row, ...]
    widths: tuple[float, ...] = ()


@dataclass(frozen=True)
class Code:
    """A block of commands."""

    text: str


Block = Head | Para | Items | Grid | Code


@dataclass(frozen=True)
class Document:
    """A paged document: where it goes, its title page line, and its blocks."""

    path: str
    title: str
    subtitle: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Sheet:
    """One worksheet; the first row is the header row."""

    name: str
    rows: tuple[Cells, ...]
    widths: tuple[int, ...]


@dataclass(frozen=True)
class Workbook:
    """A spreadsheet file."""

    path: str
    title: str
    sheets: tuple[Sheet, ...]


@dataclass(frozen=True)
class Slide:
    """One slide with bullet points, an optional table and speaker notes."""

    title: str
    bullets: tuple[str, ...] = ()
    grid: tuple[Row, ...] = ()
    notes: str = ""


@dataclass(frozen=True)
class Deck:
    """A slide deck."""

    path: str
    title: str
    subtitle: str
    slides: tuple[Slide, ...] = field(default=())


def table(*lines: str) -> tuple[Row, ...]:
    """Split lines of the form "a | b | c" into rows of text."""
    return tuple(tuple(cell.strip() for cell in line.split("|")) for line in lines)


def sheet_rows(*lines: str) -> tuple[Cells, ...]:
    """Split lines like table(), and turn whole numbers and ISO dates into such values."""
    return tuple(tuple(_value(cell) for cell in row) for row in table(*lines))


def _value(cell: str) -> str | int | date:
    if cell.isdigit():
        return int(cell)
    try:
        return date.fromisoformat(cell)
    except ValueError:
        return cell
