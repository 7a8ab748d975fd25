"""Markdown: the source text itself with the exact place of every block. Nothing in it is rewritten."""

from __future__ import annotations

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ingestion.corpus.headings import HeadingReader
from ingestion.corpus.records import Element, ElementKind, Metadata, Span
from ingestion.parsing.admonitions import enable_admonitions
from ingestion.parsing.building import Parsed, fill_gaps
from ingestion.parsing.frontmatter import split_front_matter

_CODE = frozenset({"fence", "code_block"})
_SPLITS_QUOTE = _CODE | {"table_open"}


class MarkdownParser:
    """Reads blocks only: inline marks stay as they are, and their parsing, not linear in hostile input, is left out."""

    def __init__(self) -> None:
        self._blocks = enable_admonitions(MarkdownIt("commonmark").enable("table").disable(["inline"]))
        self._headings = HeadingReader()

    def parse(self, source: str) -> Parsed:
        """Text without its front matter, its blocks, and its title: front matter's, else the first level-1 heading."""
        metadata, text = split_front_matter(source)
        elements = fill_gaps(text, _read_blocks(text, self._blocks.parse(text)))
        return Parsed(text, elements, self._title(text, elements, metadata), metadata)

    def _title(self, text: str, elements: tuple[Element, ...], metadata: Metadata) -> str | None:
        named = metadata.get("title")
        if isinstance(named, (str, int, float)) and str(named).strip():
            return str(named).strip()
        for element in elements:
            if element.kind is ElementKind.HEADING and element.level == 1:
                return self._headings.markdown(element.span.of(text)) or None
        return None


def _read_blocks(text: str, tokens: list[Token]) -> list[Element]:
    offsets = _line_offsets(text)
    elements: list[Element] = []
    lists = 0
    quotes: list[int] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        if token.type == "blockquote_open":
            end = _whole_quote(tokens, index)
            if end is not None and not lists:
                _add(elements, text, offsets, token, ElementKind.QUOTE)
                index = end + 1
                continue
            quotes.append(index)
        elif token.type == "blockquote_close":
            quotes.pop()
        elif token.type == "list_item_open":
            lists += 1
        elif token.type == "list_item_close":
            lists -= 1
        else:
            kind = _kind(token, in_list=lists > 0, in_quote=bool(quotes))
            if kind is not None:
                _add(elements, text, offsets, token, kind)
        index += 1
    return elements


def _kind(token: Token, *, in_list: bool, in_quote: bool) -> ElementKind | None:
    """Kind of the block that this token opens; None for tokens that open none. Headings inside lists and quotes are
    not sections of the document."""
    if token.type in _CODE:
        return ElementKind.CODE
    if token.type == "table_open":
        return ElementKind.TABLE
    if token.type not in ("paragraph_open", "heading_open", "html_block", "hr"):
        return None
    if in_list:
        return ElementKind.LIST_ITEM
    if in_quote:
        return ElementKind.QUOTE
    return ElementKind.HEADING if token.type == "heading_open" else ElementKind.PARAGRAPH


def _whole_quote(tokens: list[Token], start: int) -> int | None:
    """Index of the quote's closing token, or None if it holds code or a table, which must stay elements."""
    depth = 0
    for index in range(start, len(tokens)):
        token = tokens[index]
        if token.type in _SPLITS_QUOTE:
            return None
        depth += (token.type == "blockquote_open") - (token.type == "blockquote_close")
        if depth == 0:
            return index
    return None


def _add(elements: list[Element], text: str, offsets: list[int], token: Token, kind: ElementKind) -> None:
    if token.map is None:
        return
    first, last = token.map
    start, end = offsets[first], offsets[min(last, len(offsets) - 1)]
    body = text[start:end]
    if not body.strip():
        return
    end = start + len(body.rstrip())
    if kind is not ElementKind.CODE:
        start += len(body) - len(body.lstrip())
    elif token.type == "code_block":
        start += _blank_head(body)
    if elements:
        start = max(start, elements[-1].span.end)
    if start < end:
        level = int(token.tag[1]) if kind is ElementKind.HEADING else 0
        elements.append(Element(kind, Span(start, end), level))


def _blank_head(body: str) -> int:
    """Length of the empty lines before the first visible line, whose own indentation is part of the code."""
    return body[: len(body) - len(body.lstrip())].rfind("\n") + 1


def _line_offsets(text: str) -> list[int]:
    offsets = [0]
    position = text.find("\n")
    while position >= 0:
        offsets.append(position + 1)
        position = text.find("\n", position + 1)
    offsets.append(len(text))
    return offsets
