"""Plain text: paragraphs between empty lines, lists by their marks, indented blocks kept to the byte."""

from __future__ import annotations

import re

from ingestion.corpus.records import Element, ElementKind, Span
from ingestion.parsing.building import Parsed

_BLOCK = re.compile(r"(?:^[^\n]*\S[^\n]*(?:\n|\Z))+", re.MULTILINE)
_ITEM = re.compile(r"[ \t]*(?:[-*+\u2022\u2013]|\d{1,3}[.)]|\(?[a-z][.)])[ \t]+\S")
_COLUMNS = re.compile(r"\S(?: {2,}|\t+)\S")
_INDENT = re.compile(r"(?: {4,}|\t)")
_UNDERLINE = re.compile(r"([=\-~^*#])\1{2,}[ \t]*\Z")
_LETTER = re.compile(r"[^\W\d_]")
_LONGEST_HEADING = 100


def parse_plain(source: str) -> Parsed:
    """The text itself; a title where the first block is one underlined or upper-case line."""
    elements: list[Element] = []
    for match in _BLOCK.finditer(source):
        elements.extend(_read_block(source, match.start(), match.end()))
    first = elements[0] if elements else None
    title = None
    if first is not None and first.kind is ElementKind.HEADING:
        title = source[first.span.start : first.span.end].split("\n")[0].strip()
    return Parsed(source, tuple(elements), title)


def _read_block(source: str, start: int, end: int) -> list[Element]:
    lines = source[start:end].splitlines(keepends=True)
    if heading := _heading_lines(lines):
        length = sum(len(line) for line in lines[:heading])
        level = 2 if heading == 2 and lines[1].lstrip()[0] != "=" else 1
        head = _element(source, ElementKind.HEADING, start, start + length, level)
        return [head, *(_read_block(source, start + length, end) if len(lines) > heading else ())]
    if all(_INDENT.match(line) for line in lines) and not _ITEM.match(lines[0]):
        return [Element(ElementKind.CODE, Span(start, start + len(source[start:end].rstrip())))]
    if len(lines) > 1 and sum(bool(_COLUMNS.search(line)) for line in lines) > len(lines) * 0.8:
        return [_element(source, ElementKind.TABLE, start, end)]
    if any(_ITEM.match(line) for line in lines):
        return _read_items(source, start, lines)
    return [_element(source, ElementKind.PARAGRAPH, start, end)]


def _heading_lines(lines: list[str]) -> int:
    """How many of the block's first lines are a heading: 2 if underlined, 1 if a lone line in capitals, else 0."""
    first = lines[0].strip()
    if len(first) > _LONGEST_HEADING or not _LETTER.search(first):
        return 0
    if len(lines) > 1 and _UNDERLINE.match(lines[1].strip()):
        return 2
    return 1 if len(lines) == 1 and first.isupper() and len(first) > 3 and first[-1] not in ".,;:!?" else 0


def _read_items(source: str, start: int, lines: list[str]) -> list[Element]:
    """A list with what introduces it: a line without a mark continues the item before it."""
    bounds: list[tuple[ElementKind, int, int]] = []
    position = start
    for line in lines:
        end = position + len(line)
        if _ITEM.match(line) or not bounds:
            kind = ElementKind.LIST_ITEM if _ITEM.match(line) else ElementKind.PARAGRAPH
            bounds.append((kind, position, end))
        else:
            kind, first, _ = bounds[-1]
            bounds[-1] = (kind, first, end)
        position = end
    return [_element(source, kind, first, last) for kind, first, last in bounds]


def _element(source: str, kind: ElementKind, start: int, end: int, level: int = 0) -> Element:
    body = source[start:end]
    span = Span(start + len(body) - len(body.lstrip()), start + len(body.rstrip()))
    return Element(kind, span, level)
