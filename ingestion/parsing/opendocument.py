"""OpenDocument text (ODT): headings, lists, tables, code by its style or font, and links with their addresses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from lxml import etree  # type: ignore[import-untyped]

from ingestion.corpus.records import ElementKind, MetadataValue
from ingestion.parsing.building import Block, Parsed, assemble, clean, squeeze
from ingestion.parsing.inline import shown_address, with_address
from ingestion.parsing.language import language_code
from ingestion.parsing.packages import (
    CODE_STYLE,
    MONOSPACE,
    attribute,
    child,
    joined_code,
    local,
    open_package,
    read_part,
    required,
    stated_title,
    whole,
)
from ingestion.parsing.tables import markdown_table

_SKIPPED = frozenset(
    """
    tracked-changes annotation annotation-end table-of-content alphabetical-index sequence-decls forms
    variable-decls user-field-decls object object-ole image
    """.split()  # noqa: SIM905 - shorter to read
)
_LONGEST_LINEAGE = 20
_MOST_REPEATS = 100
_MOST_SPACES = 1000


def parse_odt(data: bytes) -> Parsed:
    """Blocks of the document's body; the title is the document's own, else its first heading."""
    with open_package(data) as archive:
        content = required(read_part(archive, "content.xml"), "OpenDocument text (ODT)")
        body = required(child(content, "body", "text"), "OpenDocument text (ODT)")
        styles = _Styles([content, read_part(archive, "styles.xml")])
        facts = child(read_part(archive, "meta.xml"), "meta")
    text, elements = assemble(joined_code(_Reader(styles).blocks(body)))
    heading = next((element.span.of(text) for element in elements if element.kind is ElementKind.HEADING), None)
    metadata: dict[str, MetadataValue] = {}
    stated = child(facts, "language")
    if stated is not None and (code := language_code(stated.text or "")):
        metadata["language"] = code
    return Parsed(text, elements, stated_title(facts) or heading, metadata)


class _Styles:
    """Looks styles up by name, with those that they inherit from."""

    def __init__(self, roots: list[etree._Element | None]) -> None:
        self._nodes: dict[str, etree._Element] = {}
        self.ordered: dict[str, frozenset[int]] = {}
        for root in roots:
            for node in root.iter() if root is not None else ():
                if local(node) == "style":
                    self._nodes.setdefault(attribute(node, "name"), node)
                elif local(node) == "list-style":
                    levels = (part for part in node if local(part) == "list-level-style-number")
                    numbered = (whole(attribute(part, "level"), 0) for part in levels if attribute(part, "num-format"))
                    self.ordered[attribute(node, "name")] = frozenset(numbered)
        self._known: dict[str, tuple[bool, str]] = {}

    def of(self, name: str) -> tuple[bool, str]:
        """`(is code, names of the style and its ancestors)`."""
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def _read(self, name: str) -> tuple[bool, str]:
        names: list[str] = []
        monospaced = False
        for _ in range(_LONGEST_LINEAGE):
            names.append(name.replace("_20_", " "))
            node = self._nodes.get(name)
            if node is None:
                break
            properties = child(node, "text-properties")
            font = attribute(properties, "font-name") or attribute(properties, "font-family")
            monospaced = monospaced or bool(font and MONOSPACE.search(font))
            name = attribute(node, "parent-style-name")
        lineage = " < ".join(names)
        return monospaced or bool(CODE_STYLE.search(lineage)), lineage


@dataclass(slots=True)
class _Flow:
    parts: list[str] = field(default_factory=list)
    boxes: list[etree._Element] = field(default_factory=list)
    code: bool = True


@dataclass(slots=True)
class _List:
    style: str
    depth: int
    number: int = 0


class _Reader:
    """Turns the nodes of one document into blocks. lxml refuses deep trees, so recursion is bounded."""

    def __init__(self, styles: _Styles) -> None:
        self._styles = styles

    def blocks(self, parent: etree._Element, mark: str = "", depth: int = 0) -> Iterator[Block]:
        """Blocks of what stands in `parent`; `mark` goes before the first paragraph of a list item."""
        for node in parent:
            match local(node):
                case "p" | "h":
                    for block in self._paragraph(node, mark, depth):
                        yield block
                        mark = "" if block.text.strip() else mark
                case "list":
                    yield from self._list(node, _List(attribute(node, "style-name"), depth))
                case "table":
                    yield from self._table(node)
                case name if name not in _SKIPPED:
                    yield from self.blocks(node, mark, depth)

    def _list(self, node: etree._Element, current: _List) -> Iterator[Block]:
        for item in node:
            if local(item) not in ("list-item", "list-header"):
                continue
            current.number = whole(attribute(item, "start-value"), current.number + 1, 1_000_000)
            ordered = current.depth + 1 in self._styles.ordered.get(current.style, frozenset())
            mark = f"{current.number}. " if ordered else "- "
            for part in item:
                if local(part) == "list":
                    style = attribute(part, "style-name") or current.style
                    yield from self._list(part, _List(style, min(current.depth + 1, 8)))
                else:
                    frame = etree.Element("item")
                    frame.append(part)
                    yield from self.blocks(frame, mark, current.depth + 1)
                    mark = ""

    def _paragraph(self, node: etree._Element, mark: str, depth: int) -> Iterator[Block]:
        is_code, lineage = self._styles.of(attribute(node, "style-name"))
        flow = _Flow()
        self._gather(node, flow, is_code)
        text = clean("".join(flow.parts))
        title = lineage.split(" < ")[-1] == "Title"
        if text.strip() and (local(node) == "h" or title):
            level = 1 if title else max(1, whole(attribute(node, "outline-level"), 1, 6))
            yield Block(ElementKind.HEADING, squeeze(text), level)
        elif text.strip() and (is_code or flow.code):
            yield Block(ElementKind.CODE, text)
        elif text.strip() and depth:
            indent = 2 * (depth - 1)
            yield Block(ElementKind.LIST_ITEM, mark + text.strip(), tight=bool(mark), indent=indent)
        else:
            quote = "Quot" in lineage
            yield Block(ElementKind.QUOTE if quote else ElementKind.PARAGRAPH, text.strip())
        for box in flow.boxes:
            yield from self.blocks(box)

    def _gather(self, node: etree._Element, flow: _Flow, is_code: bool) -> None:
        _add(flow, node.text, is_code)
        for part in node:
            name = local(part)
            if name == "s":
                flow.parts.append(" " * max(1, whole(attribute(part, "c"), 1, _MOST_SPACES)))
            elif name == "tab":
                flow.parts.append("\t")
            elif name == "line-break":
                flow.parts.append("\n")
            elif name == "a":
                start = len(flow.parts)
                self._gather(part, flow, is_code)
                words = "".join(flow.parts[start:])
                flow.parts[start:] = [with_address(words, shown_address(attribute(part, "href")))]
            elif name == "note":
                note = child(part, "note-body")
                words = squeeze(" ".join(note.itertext())) if note is not None else ""
                flow.parts.append(f" [{words}]" if words else "")
            elif name in ("text-box", "table", "list"):
                flow.boxes.append(part)
            elif name == "span":
                self._gather(part, flow, is_code or self._styles.of(attribute(part, "style-name"))[0])
            elif name and name not in _SKIPPED and name != "desc" and name != "title":
                self._gather(part, flow, is_code)
            _add(flow, part.tail, is_code)

    def _table(self, table: etree._Element) -> Iterator[Block]:
        rows = _rows(table)
        cells = [[cell for cell in row if local(cell) in ("table-cell", "covered-table-cell")] for row in rows]
        if max((len(row) for row in cells), default=0) < 2:  # a frame around text
            for row in cells:
                for cell in row:
                    yield from self.blocks(cell)
            return
        filled = [[text for cell in row for text in self._cell(cell)] for row in cells]
        while filled and not any(row[-1:] and row[-1] for row in filled):  # columns that only fill the page
            filled = [row[:-1] for row in filled]
            if not any(filled):
                return
        yield Block(ElementKind.TABLE, markdown_table([row for row in filled if any(row)]))

    def _cell(self, cell: etree._Element) -> list[str]:
        words = squeeze(" ".join(block.text.replace("\n", " ") for block in self.blocks(cell)))
        return [words] * max(1, whole(attribute(cell, "number-columns-repeated"), 1, _MOST_REPEATS))


def _rows(node: etree._Element) -> Iterator[etree._Element]:
    for part in node:
        if local(part) == "table-row":
            yield part
        elif local(part) in ("table-header-rows", "table-rows", "table-row-group"):
            yield from _rows(part)


def _add(flow: _Flow, text: str | None, is_code: bool) -> None:
    """White space in the file counts as one space, as the format has it; further spaces are elements."""
    if not text:
        return
    lead, trail = text[:1].isspace(), text[-1:].isspace()
    words = squeeze(text)
    flow.parts.append(f"{' ' if lead else ''}{words}{' ' if trail and words else ''}")
    if words:
        flow.code &= is_code
