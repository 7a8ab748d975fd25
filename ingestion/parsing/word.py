"""Word (DOCX): headings and lists by their styles, code by its font, tables, and links with their addresses."""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from lxml import etree  # type: ignore[import-untyped]

from ingestion.corpus.records import ElementKind
from ingestion.parsing.building import Block, Parsed, assemble, clean, squeeze
from ingestion.parsing.inline import shown_address, with_address
from ingestion.parsing.packages import (
    CODE_STYLE,
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
from ingestion.parsing.wordstyles import Numbering, Styles

_TRANSPARENT = frozenset("ins smartTag sdt sdtContent moveTo dir bdo customXml fldSimple oMath oMathPara".split())  # noqa: SIM905
_DRAWN = frozenset({"drawing", "pict", "object", "AlternateContent"})
_FIELD = re.compile(r'\s*HYPERLINK\s+(?:\\\w\s+)*"?([^"\s]+)', re.IGNORECASE)
_LONGEST_HEADING = 120
_FALSE = frozenset({"0", "false", "off", "none"})
_FAKE_LEVEL = 2


def parse_docx(data: bytes) -> Parsed:
    """Blocks of the document's body and its footnotes; the title is the document's own, else its first heading."""
    with open_package(data) as archive:
        main = _main_part(archive)
        folder, name = posixpath.split(main)
        body = child(required(read_part(archive, main), "Word (DOCX)"), "body")
        reader = _Reader(
            Styles(read_part(archive, f"{folder}/styles.xml")),
            Numbering(read_part(archive, f"{folder}/numbering.xml")),
            _links(read_part(archive, f"{folder}/_rels/{name}.rels")),
        )
        blocks = list(joined_code(reader.blocks(required(body, "Word (DOCX)"))))
        notes = read_part(archive, f"{folder}/footnotes.xml")
        blocks += list(joined_code(reader.notes(notes))) if notes is not None else []
        title = stated_title(read_part(archive, "docProps/core.xml"))
    if not any(block.kind is ElementKind.HEADING for block in blocks):
        blocks = [_unbolded(block, promote=True) for block in blocks]
    text, elements = assemble(_unbolded(block, promote=False) for block in blocks)
    heading = next((squeeze(block.text) for block in blocks if block.kind is ElementKind.HEADING), None)
    return Parsed(text, elements, title or heading)


def _main_part(archive: zipfile.ZipFile) -> str:
    """Name of the part that holds the text."""
    relations = read_part(archive, "_rels/.rels")
    for relation in relations if relations is not None else ():
        if attribute(relation, "Type").endswith("/officeDocument"):
            return attribute(relation, "Target").lstrip("/")
    return "word/document.xml"


def _links(relations: etree._Element | None) -> dict[str, str]:
    return {
        attribute(relation, "Id"): shown_address(attribute(relation, "Target"))
        for relation in (relations if relations is not None else ())
        if attribute(relation, "Type").endswith("/hyperlink")
    }


@dataclass(frozen=True, slots=True)
class _BoldLine(Block):
    """A short paragraph in bold: the heading of those who don't use styles."""


def _unbolded(block: Block, *, promote: bool) -> Block:
    if not isinstance(block, _BoldLine):
        return block
    kind, level = (ElementKind.HEADING, _FAKE_LEVEL) if promote else (block.kind, block.level)
    return Block(kind, block.text, level)


@dataclass(slots=True)
class _Flow:
    """The text of one paragraph that is being gathered."""

    parts: list[str] = field(default_factory=list)
    fields: list[tuple[str, int]] = field(default_factory=list)
    """Instruction of each open field, and where its result begins; -1 while the instruction is being read."""
    boxes: list[etree._Element] = field(default_factory=list)
    monospaced: bool = True
    bold: bool = True


class _Reader:
    """Turns the nodes of one document into blocks. lxml refuses deep trees, so recursion is bounded."""

    def __init__(self, styles: Styles, numbering: Numbering, links: dict[str, str]) -> None:
        self._styles = styles
        self._numbering = numbering
        self._links = links

    def blocks(self, parent: etree._Element) -> Iterator[Block]:
        for node in parent:
            match local(node):
                case "p":
                    yield from self._paragraph(node)
                case "tbl":
                    yield from self._table(node)
                case "sdt" | "sdtContent" | "ins" | "moveTo" | "customXml" | "smartTag":
                    yield from self.blocks(node)

    def notes(self, root: etree._Element) -> Iterator[Block]:
        """Each footnote with the mark that it has in the text."""
        for note in root:
            if attribute(note, "type") in ("", "normal"):
                for block in self.blocks(note):
                    yield (
                        replace(block, text=f"[{attribute(note, 'id')}] {block.text.strip()}") if block.text else block
                    )

    def _paragraph(self, node: etree._Element) -> Iterator[Block]:
        properties = child(node, "pPr")
        style = self._styles.of(attribute(child(properties, "pStyle"), "val"))
        if style.is_contents:
            return
        flow = _Flow(monospaced=True, bold=True)
        self._gather(node, flow, style.monospaced, style.bold)
        text = clean("".join(flow.parts))
        level = style.level or _level(properties)
        has_words = bool(text.strip())
        if has_words and level:
            yield Block(ElementKind.HEADING, squeeze(text), level)
        elif has_words and (flow.monospaced or CODE_STYLE.search(style.name)):
            yield Block(ElementKind.CODE, text)
        elif has_words and (item := self._item(properties, style.numbering)):
            mark, depth = item
            yield Block(ElementKind.LIST_ITEM, mark + text.strip(), tight=True, indent=2 * depth)
        elif has_words and flow.bold and len(text) <= _LONGEST_HEADING and text.strip()[-1] not in ".,;:!":
            yield _BoldLine(ElementKind.PARAGRAPH, text.strip())
        else:
            yield Block(ElementKind.QUOTE if style.is_quote else ElementKind.PARAGRAPH, text.strip())
        for box in flow.boxes:
            yield from self.blocks(box)

    def _item(self, properties: etree._Element | None, styled: tuple[str, int] | None) -> tuple[str, int] | None:
        """Mark and depth of a list item; None for what is none."""
        own = child(properties, "numPr")
        number, depth = styled or ("", 0)
        if own is not None:
            number = attribute(child(own, "numId"), "val") or number
            depth = whole(attribute(child(own, "ilvl"), "val"), depth, 8)
        return self._numbering.next_mark(number, depth) if number else None

    def _gather(self, node: etree._Element, flow: _Flow, monospaced: bool, bold: bool) -> None:
        for part in node:
            name = local(part)
            if name == "r":
                self._run(part, flow, monospaced, bold)
            elif name == "hyperlink":
                start = len(flow.parts)
                self._gather(part, flow, monospaced, bold)
                _link(flow, start, self._links.get(attribute(part, "id"), ""))
            elif name == "t":  # of a formula
                flow.parts.append(part.text or "")
            elif name in _TRANSPARENT:
                start = len(flow.parts)
                self._gather(part, flow, monospaced, bold)
                if name == "fldSimple" and (found := _FIELD.match(attribute(part, "instr"))):
                    _link(flow, start, shown_address(found.group(1)))

    def _run(self, run: etree._Element, flow: _Flow, monospaced: bool, bold: bool) -> None:
        properties = child(run, "rPr")
        if _is_on(properties, "vanish"):
            return
        before = len(flow.parts)
        for part in run:
            match local(part):
                case "t":
                    if not flow.fields or flow.fields[-1][1] >= 0:
                        flow.parts.append(part.text or "")
                case "tab":
                    flow.parts.append("\t")
                case "br" | "cr":
                    flow.parts.append("\n" if attribute(part, "type") in ("", "textWrapping") else "")
                case "noBreakHyphen":
                    flow.parts.append("-")
                case "footnoteReference":
                    flow.parts.append(f"[{attribute(part, 'id')}]")
                case "instrText" if flow.fields:
                    instruction, start = flow.fields[-1]
                    flow.fields[-1] = (instruction + (part.text or ""), start)
                case "fldChar":
                    _field(flow, attribute(part, "fldCharType"))
                case name if name in _DRAWN:
                    flow.boxes.extend(_boxes(part))
        if any(text.strip() for text in flow.parts[before:]):
            character = self._styles.of(attribute(child(properties, "rStyle"), "val"))
            flow.monospaced &= monospaced or character.monospaced or Styles.is_monospaced(properties)
            flow.bold &= bold or character.bold or _is_on(properties, "b")

    def _table(self, table: etree._Element) -> Iterator[Block]:
        cells = [list(_inside(row, "tc")) for row in _inside(table, "tr")]
        if max((len(row) for row in cells), default=0) < 2:  # a frame around text
            for row in cells:
                for cell in row:
                    yield from self.blocks(cell)
            return
        filled = [[text for cell in row for text in self._cell(cell)] for row in cells]
        filled = [row for row in filled if any(row)]
        if filled:
            yield Block(ElementKind.TABLE, markdown_table(filled))

    def _cell(self, cell: etree._Element) -> list[str]:
        """The cell's words, followed by an empty cell for each further column that it spans."""
        words = squeeze(" ".join(block.text.replace("\n", " ") for block in self.blocks(cell)))
        span = whole(attribute(child(cell, "tcPr", "gridSpan"), "val"), 1, 100)
        return [words, *[""] * (span - 1)]


def _level(properties: etree._Element | None) -> int:
    level = whole(attribute(child(properties, "outlineLvl"), "val"), 9)
    return level + 1 if level < 6 else 0


def _is_on(properties: etree._Element | None, name: str) -> bool:
    node = child(properties, name)
    return node is not None and attribute(node, "val") not in _FALSE


def _field(flow: _Flow, kind: str) -> None:
    """Begins a field, its result, or ends it; the result of a link is followed by its address."""
    if kind == "begin":
        flow.fields.append(("", -1))
    elif kind == "separate" and flow.fields:
        flow.fields[-1] = (flow.fields[-1][0], len(flow.parts))
    elif kind == "end" and flow.fields:
        instruction, start = flow.fields.pop()
        if start >= 0 and (found := _FIELD.match(instruction)):
            _link(flow, start, shown_address(found.group(1)))


def _link(flow: _Flow, start: int, address: str) -> None:
    words = "".join(flow.parts[start:])
    flow.parts[start:] = [with_address(words, address)]


def _inside(node: etree._Element, name: str) -> Iterator[etree._Element]:
    """Rows of a table or cells of a row, also those inside content controls."""
    for part in node:
        if local(part) == name:
            yield part
        elif local(part) in ("sdt", "sdtContent", "ins", "customXml"):
            yield from _inside(part, name)


def _boxes(drawn: etree._Element) -> Iterator[etree._Element]:
    """The text boxes of a drawing, which is often written twice, for new programs and for old ones."""
    choice = child(drawn, "Choice") if local(drawn) == "AlternateContent" else None
    for part in choice if choice is not None else drawn:
        if local(part) == "txbxContent":
            yield part
        else:
            yield from _boxes(part)
