"""HTML: the main content as blocks, without navigation; preformatted text to the byte."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

from ingestion.corpus.records import ElementKind, MetadataValue
from ingestion.parsing.building import Block, Parsed, assemble, clean, squeeze, squeeze_lines
from ingestion.parsing.tables import markdown_table

_DROPPED = frozenset(
    """
    script style noscript template svg canvas iframe object head nav footer aside button select input textarea
    dialog audio video map
    """.split()  # noqa: SIM905 - shorter to read
)
_DROPPED_ROLES = frozenset(
    """
    navigation banner contentinfo complementary search menu dialog
    """.split()  # noqa: SIM905 - shorter to read
)
_DROPPED_CLASSES = frozenset(
    """
    sidebar side-bar navbar breadcrumb breadcrumbs toc table-of-contents site-header site-footer page-footer
    skip-link pagination headerlink anchor-link cookie-banner linenos lineno gutter visually-hidden sr-only
    """.split()  # noqa: SIM905 - shorter to read
)
_BLOCKS = frozenset(
    """
    address article body center dd details div dl dt fieldset figcaption figure footer form header hgroup hr
    html li main ol p section summary table tbody td tfoot th thead tr ul caption blockquote legend
    """.split()  # noqa: SIM905 - shorter to read
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_NOT_IN_CELLS = frozenset(["table", "pre", "h1", "h2", "h3", "h4", "ul", "ol", "blockquote"])
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_METADATA = ("description", "author", "date", "keywords")


def parse_html(source: str) -> Parsed:
    """Blocks of the page's main content; the title is its first level-1 heading, else the `title` element."""
    tree = LexborHTMLParser(source)
    root = _main(tree)
    blocks = _Walker(skip=True).walk(root)
    if not blocks:
        blocks = _Walker(skip=False).walk(tree.body or root)
    text, elements = assemble(blocks)
    heading = next((block.text for block in blocks if block.kind is ElementKind.HEADING and block.level == 1), None)
    named = tree.css_first("head > title")
    title = squeeze(heading or "") or (squeeze(clean(named.text())) if named is not None else "")
    return Parsed(text, elements, title or None, _metadata(tree))


def _main(tree: LexborHTMLParser) -> LexborNode:
    """The element that holds the page's own content."""
    for selector in ("main", "[role=main]", "article"):
        found = tree.css(selector)
        if len(found) == 1 and squeeze(found[0].text()):
            return found[0]
    root = tree.body or tree.root
    assert root is not None, "the parser always makes a root"
    return root


def _metadata(tree: LexborHTMLParser) -> dict[str, MetadataValue]:
    values: dict[str, MetadataValue] = {}
    for node in tree.css("head > meta[name][content]"):
        name = (node.attributes.get("name") or "").lower()
        content = squeeze(clean(node.attributes.get("content") or ""))
        if name in _METADATA and content:
            values[name] = content
    return values


def _is_dropped(node: LexborNode, tag: str) -> bool:
    """Navigation, controls and what is not shown."""
    if tag in _DROPPED:
        return True
    attributes = node.attributes
    if not attributes:
        return False
    if "hidden" in attributes or attributes.get("aria-hidden") == "true":
        return True
    if (attributes.get("role") or "") in _DROPPED_ROLES or _HIDDEN.search(attributes.get("style") or ""):
        return True
    names = {*(attributes.get("class") or "").lower().split(), (attributes.get("id") or "").lower()}
    return not names.isdisjoint(_DROPPED_CLASSES)


@dataclass(slots=True)
class _List:
    ordered: bool
    number: int
    mark: str = ""


@dataclass(slots=True)
class _Walker:
    """Walks the tree without recursion: hostile pages nest deeper than Python's stack."""

    skip: bool
    blocks: list[Block] = field(default_factory=list)
    inline: list[str] = field(default_factory=list)
    lists: list[_List] = field(default_factory=list)
    quotes: int = 0

    def walk(self, root: LexborNode) -> list[Block]:
        for node, entering in _events(root, self._enter):
            if not entering:
                self._leave(node)
        self._flush()
        return self.blocks

    def _enter(self, node: LexborNode) -> bool:
        """Takes a node in; True if its children are to be visited."""
        tag = node.tag or ""
        if node.is_text_node:
            self.inline.append(node.text_content or "")
            return False
        if node.is_comment_node or (self.skip and _is_dropped(node, tag)) or tag in ("script", "style", "head"):
            return False
        if tag == "header" and self.skip and node.parent is not None and node.parent.tag == "body":
            return node.css_first("h1") is not None
        if tag == "br":
            self.inline.append("\0")
        elif tag == "pre":
            self._flush()
            self._add(ElementKind.CODE, preformatted(node))
            return False
        elif tag == "table":
            return self._enter_table(node)
        elif tag in _BLOCKS or tag in _HEADINGS:
            self._flush()
            self._open(node, tag)
        return True

    def _open(self, node: LexborNode, tag: str) -> None:
        if tag in ("ul", "ol"):
            start = node.attributes.get("start") or "1"
            self.lists.append(_List(tag == "ol", int(start) if start.isdecimal() and len(start) < 9 else 1))
        elif tag == "li" and self.lists:
            current = self.lists[-1]
            current.mark = f"{current.number}. " if current.ordered else "- "
            current.number += 1
        elif tag == "blockquote":
            self.quotes += 1

    def _leave(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if tag in _HEADINGS:
            self._flush(heading=_HEADINGS[tag])
        elif tag in _BLOCKS:
            self._flush()
        if tag in ("ul", "ol") and self.lists:
            self.lists.pop()
        elif tag == "blockquote":
            self.quotes -= 1

    def _enter_table(self, node: LexborNode) -> bool:
        self._flush()
        inside = (child.tag for child in node.traverse() if child.mem_id != node.mem_id)
        rows = _rows(node) if _NOT_IN_CELLS.isdisjoint(inside) else []
        if not rows or max(len(row) for row in rows) < 2:
            return True  # a table for layout: its cells are blocks
        caption = node.css_first("caption")
        if caption is not None:
            self._add(ElementKind.PARAGRAPH, squeeze(clean(caption.text(separator=" "))))
        self._add(ElementKind.TABLE, markdown_table(rows))
        return False

    def _flush(self, heading: int = 0) -> None:
        """Ends the block that is being gathered."""
        if not self.inline:
            return
        raw = "".join(self.inline)
        self.inline.clear()
        text = squeeze_lines(clean(raw.replace("\n", " ").replace("\r", " ").replace("\0", "\n")))
        if not text:
            return
        if heading:
            self.blocks.append(Block(ElementKind.HEADING, squeeze(text).removesuffix("\u00b6").rstrip(" #"), heading))
        elif self.lists:
            self._add_item(text)
        else:
            self._add(ElementKind.QUOTE if self.quotes else ElementKind.PARAGRAPH, text)

    def _add_item(self, text: str) -> None:
        current = self.lists[-1]
        mark, current.mark = current.mark, ""
        indent = 2 * (len(self.lists) - 1)
        after_item = bool(self.blocks) and self.blocks[-1].kind is ElementKind.LIST_ITEM
        self.blocks.append(Block(ElementKind.LIST_ITEM, mark + text, tight=after_item and bool(mark), indent=indent))

    def _add(self, kind: ElementKind, text: str) -> None:
        if text.strip():
            self.blocks.append(Block(kind, text))


def _events(root: LexborNode, enter: Callable[[LexborNode], bool]) -> Iterator[tuple[LexborNode, bool]]:
    """`(node, entering)` for each node under `root` in order; `enter` decides whether to go into it."""
    stack: list[tuple[LexborNode, bool]] = [(root, True)]
    while stack:
        node, entering = stack.pop()
        yield node, entering
        if not entering or not enter(node):
            continue
        stack.append((node, False))
        children = list(node.iter(include_text=True))
        stack.extend((child, True) for child in reversed(children))


def preformatted(node: LexborNode) -> str:
    """The characters of a `pre` as they are; `br` is a newline, line number gutters are left out."""
    parts: list[str] = []

    def take(child: LexborNode) -> bool:
        if child.is_text_node:
            parts.append(child.text_content or "")
        elif child.tag == "br":
            parts.append("\n")
        return not child.is_text_node and not _is_dropped(child, child.tag or "")

    for _ in _events(node, take):
        pass
    return clean("".join(parts))


def _rows(table: LexborNode) -> list[list[str]]:
    """The cells of each row on one line each; a cell over several columns is followed by empty ones."""
    rows: list[list[str]] = []
    for row in table.css("tr"):
        cells: list[str] = []
        for cell in row.iter():
            if cell.tag in ("td", "th"):
                span = cell.attributes.get("colspan") or "1"
                extra = min(int(span), 100) - 1 if span.isdecimal() else 0
                cells.extend([squeeze(clean(cell.text(separator=" "))), *[""] * extra])
        if any(cells):
            rows.append(cells)
    return rows
