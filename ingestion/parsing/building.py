"""Assembles normalised text and elements from the blocks that a parser found, and checks what it assembled."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ingestion.corpus.records import Attachment, Element, ElementKind, Metadata, Span

_SPACES = re.compile(r"[ \t\u00a0\u2000-\u200a\u202f\u3000]+")
_NEWLINES = re.compile(r"\r\n?|\u2028|\u2029")
_UNWANTED = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f\ufeff\ufffe\uffff\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a document in a format whose text has to be written anew."""

    kind: ElementKind
    text: str
    level: int = 0
    page: int | None = None
    tight: bool = False
    """True: follows the block before it without an empty line, as rows and list items do."""
    indent: int = 0
    """Spaces before the first line, outside the element's span."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What the parser of one format returns; `title` is None if the document does not name itself."""

    text: str
    elements: tuple[Element, ...]
    title: str | None = None
    metadata: Metadata | None = None
    attachments: tuple[Attachment, ...] = ()


def assemble(blocks: Iterable[Block]) -> tuple[str, tuple[Element, ...]]:
    """Text of the blocks, separated by empty lines (tight ones by a newline), and an element for each."""
    parts: list[str] = []
    elements: list[Element] = []
    position = 0
    for block in blocks:
        body = block.text.strip("\n") if block.kind is ElementKind.CODE else block.text.strip()
        if not body.strip():
            continue
        if parts:
            separator = ("\n" if block.tight else "\n\n") + " " * block.indent
            parts.append(separator)
            position += len(separator)
        parts.append(body)
        elements.append(Element(block.kind, Span(position, position + len(body)), block.level, block.page))
        position += len(body)
    return "".join(parts), tuple(elements)


def squeeze(text: str) -> str:
    """The text on one line with single spaces."""
    return " ".join(text.split())


def squeeze_lines(text: str) -> str:
    """The text with single spaces and without empty lines; line breaks stay."""
    lines = (_SPACES.sub(" ", line).strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def clean(text: str) -> str:
    """The text with `\\n` newlines and without control characters, byte order marks and lone surrogates.

    Tabs, form feeds and vertical tabs stay or become newlines; nothing visible is changed.
    """
    text = _NEWLINES.sub("\n", text)
    return _UNWANTED.sub("", text).replace("\x0c", "\n") if _UNWANTED.search(text) or "\x0c" in text else text


def fill_gaps(text: str, elements: Sequence[Element]) -> tuple[Element, ...]:
    """The elements with every visible character between them added: to the element before if it is only a quote mark,
    else as paragraphs of their own, so that the elements cover the text."""
    filled: list[Element] = []
    position = 0
    for element in elements:
        _fill(text, position, element.span.start, filled)
        filled.append(element)
        position = element.span.end
    _fill(text, position, len(text), filled)
    return tuple(filled)


def _fill(text: str, start: int, end: int, filled: list[Element]) -> None:
    gap = text[start:end]
    if not gap.strip():
        return
    if filled and not gap.replace(">", "").strip():
        last = filled[-1]
        span = Span(last.span.start, start + len(gap.rstrip()))
        filled[-1] = Element(last.kind, span, last.level, last.page)
        return
    for match in re.finditer(r"\S(?:.*?\S)?(?=\s*?\n\s*\n|\s*\Z)", gap, re.DOTALL):
        filled.append(Element(ElementKind.PARAGRAPH, Span(start + match.start(), start + match.end())))
