"""Tables as text: small ones as Markdown, records of a sheet as rows that each name their columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence

from ingestion.corpus.records import ElementKind
from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.parsing.building import Block, Parsed, assemble, squeeze

_SNIFFED_CHARS = 20_000
_LONGEST_HEADER = 80
_YEAR = re.compile(r"(?:19|20)\d\d")
_LEAST_DIFFERENT = 0.8
"""Share of a header's cells that differ: a wide sheet may well name two columns alike."""
_LONGEST_FIELD = 10_000_000


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose first row is the header; short rows are filled up."""
    width = max(len(row) for row in rows)
    lines = [_table_line([*row, *[""] * (width - len(row))]) for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])


def _table_line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def record_blocks(rows: Iterable[Sequence[str]]) -> Iterator[Block]:
    """A block for each row, `Header: value | Header: value`, so that each can be read alone.

    The header is the first row with more than one cell, if it looks like one; what stands above it are paragraphs.
    """
    header: Sequence[str] | None = None
    for row in rows:
        filled = [cell for cell in row if cell.strip()]
        if not filled:
            continue
        if header is None:
            if len(filled) == 1 and len(row) > 1:
                yield Block(ElementKind.PARAGRAPH, filled[0])
                continue
            header = [squeeze(cell) for cell in row] if _is_header(row) else []
            if header:
                continue
        yield Block(ElementKind.TABLE, _record(header, row), tight=True)


def _is_header(row: Sequence[str]) -> bool:
    """Short, mostly different words; a number only as a year among them."""
    cells = [cell.strip() for cell in row if cell.strip()]
    short = all(len(cell) <= _LONGEST_HEADER and (not _is_number(cell) or _YEAR.fullmatch(cell)) for cell in cells)
    worded = any(not _is_number(cell) for cell in cells)
    different = len(set(cells)) >= _LEAST_DIFFERENT * len(cells)
    return short and worded and different and len(cells) > 1


def _is_number(cell: str) -> bool:
    return cell.lstrip("+-").replace(".", "", 1).replace(",", "").replace("%", "").isdecimal()


def _record(header: Sequence[str], row: Sequence[str]) -> str:
    named = [*header, *[""] * (len(row) - len(header))]
    pairs = ((name, cell.strip()) for name, cell in zip(named, row, strict=False) if cell.strip())
    return " | ".join(f"{name}: {cell}" if name else cell for name, cell in pairs)


def parse_csv(source: str, delimiter: str | None = None) -> Parsed:
    """One row a record. `delimiter` is found from the first lines if not given."""
    rows = _csv_rows(source, delimiter or _delimiter(source))
    blocks = list(record_blocks(rows))
    if not blocks and source.strip():
        blocks = [Block(ElementKind.PARAGRAPH, " | ".join(row)) for row in _csv_rows(source, delimiter or ",")]
    text, elements = assemble(blocks)
    return Parsed(text, elements)


def _csv_rows(source: str, delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(_LONGEST_FIELD)
    try:
        yield from csv.reader(io.StringIO(source, newline=""), delimiter=delimiter)
    except csv.Error as error:
        raise DocumentRejected(
            RejectionCode.CORRUPT, f"The CSV file cannot be read: {error}. Check its quotes and save it anew."
        ) from error


def _delimiter(source: str) -> str:
    head = source[:_SNIFFED_CHARS]
    try:
        return csv.Sniffer().sniff(head, delimiters=",;\t|").delimiter
    except csv.Error:
        line = head.split("\n", 1)[0]
        return max(",;\t|", key=line.count)
