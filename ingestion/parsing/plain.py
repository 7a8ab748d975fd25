"""Plain text: paragraphs between empty lines, lists by their marks, indented blocks and columns kept to the byte."""

from __future__ import annotations

import re

from ingestion.corpus.records import Element, ElementKind, Span
from ingestion.parsing.building import Parsed, squeeze

_BLOCK = re.compile(r"(?:^[^\n]*\S[^\n]*(?:\n|\Z))+", re.MULTILINE)
_ITEM = re.compile(r"[ \t]*(?:[-*+\u2022\u2013]|\d{1,3}[.)]|\(?[a-z][.)])[ \t]+\S")
_COLUMNS = re.compile(r"\S(?: {2,}|\t+)\S")
_INDENT = re.compile(r"(?: {4,}|\t)")
_UNDERLINE = re.compile(r"([=\-~^*#])\1{2,}[ \t]*\Z")
_CAPITALS = re.compile(r"[^\W\d_]{3}")
_LONGEST_HEADING = 100


def parse_plain(source: str) -> Parsed:
    """The text itself; its title is a heading at its very beginning: an underlined line or one in capitals."""
    elements: list[Element] = []
    for match in _BLOCK.finditer(source):
        lines = source[match.start() : match.end()].splitlines(keepends=True)
        _read_block(source, match.start(), lines, elements)
    first = elements[0] if elements else None
    if first is None or first.kind is not ElementKind.HEADING:
        return Parsed(source, tuple(elements))
    elements[0] = Element(ElementKind.HEADING, first.span, 1)
    return Parsed(source, tuple(elements), squeeze(first.span.of(source).split("\n")[0]))


def _read_block(source: str, start: int, lines: list[str], elements: list[Element]) -> None:
    heading = _heading_lines(lines)
    if heading:
        end = start + sum(len(line) for line in lines[:heading])
        level = 1 if heading == 2 and lines[1].lstrip()[0] == "=" else 2
        elements.append(_element(source, ElementKind.HEADING, start, end, level))
        start, lines = end, lines[heading:]
    if not lines:
        return
    end = start + sum(len(line) for line in lines)
    if all(line.startswith(">") for line in lines):
        elements.append(_element(source, ElementKind.QUOTE, start, end))
    elif len(lines) > 1 and sum(bool(_COLUMNS.search(line.strip())) for line in lines) > len(lines) * 0.8:
        elements.append(_element(source, ElementKind.TABLE, start, end))
    elif all(_INDENT.match(line) for line in lines) and not _ITEM.match(lines[0]):
        elements.append(Element(ElementKind.CODE, Span(start, start + len(source[start:end].rstrip()))))
    else:
        elements.extend(_read_items(source, start, lines))


def _heading_lines(lines: list[str]) -> int:
    """How many of the block's first lines are a heading: 2 if underlined, 1 if in capitals, else 0."""
    first = lines[0].strip()
    if len(first) > _LONGEST_HEADING or not any(char.isalpha() for char in first):
        return 0
    if len(lines) > 1 and _UNDERLINE.match(lines[1].strip()):
        return 2
    in_capitals = first.isupper() and _CAPITALS.search(first) and first[-1] not in ".,;!?"
    alone = len(lines) == 1 or not lines[1].strip().isupper()
    return 1 if in_capitals and alone and not _COLUMNS.search(first) and not lines[0][0].isspace() else 0


def _read_items(source: str, start: int, lines: list[str]) -> list[Element]:
    """A paragraph, or a list with what introduces it: a line without a mark continues the item before it."""
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
