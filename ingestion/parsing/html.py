"""HTML: the main content as blocks, without navigation; links with their addresses, preformatted text to the byte."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

from ingestion.corpus.records import ElementKind, MetadataValue
from ingestion.parsing.building import Block, Parsed, assemble, clean, squeeze, squeeze_lines
from ingestion.parsing.inline import Inline
from ingestion.parsing.language import language_code
from ingestion.parsing.tables import markdown_table

_DROPPED = frozenset(
    """
    script style noscript template svg canvas iframe object head nav footer aside button select input textarea
    dialog audio video map
    """.split()  # noqa: SIM905 - shorter to read
)
_DROPPED_ROLES = frozenset(
    """
    navigation banner contentinfo complementary search menu menubar dialog alertdialog
    """.split()  # noqa: SIM905 - shorter to read
)
_DROPPED_CLASSES = frozenset(
    """
    sidebar side-bar sidenav md-sidebar wy-nav-side nav navbar topnav topbar site-nav site-navigation main-navigation
    navigation nav-menu menu masthead breadcrumb breadcrumbs toc table-of-contents on-this-page site-header footer
    site-footer page-footer footer-links md-footer skip-link skip-to-content pagination prev-next rst-footer-buttons
    edit-this-page share-buttons social-share newsletter headerlink anchor-link linenos lineno gutter visually-hidden
    sr-only
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
_CONSENT = re.compile(r"cookie|consent|gdpr|onetrust|usercentrics|didomi|\bcc-window\b", re.IGNORECASE)
_CONSENT_TAGS = frozenset(["div", "section", "form", "span", "p"])
_LONGEST_CONSENT = 3000
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_METADATA = ("description", "author", "date", "keywords")


def parse_html(source: str) -> Parsed:
    """Blocks of the page's main content; the title is its first level-1 heading, else the `title` element."""
    tree = LexborHTMLParser(source)
    root = _main(tree)
    base = _base(tree)
    blocks = _Walker(skip=True, inline=Inline(base)).walk(root)
    if not blocks:
        blocks = _Walker(skip=False, inline=Inline(base)).walk(tree.body or root)
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


def _base(tree: LexborHTMLParser) -> str:
    """Address that the page's links are relative to, where the page itself says so."""
    for selector, attribute in (("base[href]", "href"), ("link[rel=canonical][href]", "href")):
        node = tree.css_first(selector)
        address = (node.attributes.get(attribute) or "").strip() if node is not None else ""
        if address.startswith(("http://", "https://")):
            return address
    return ""


def _metadata(tree: LexborHTMLParser) -> dict[str, MetadataValue]:
    values: dict[str, MetadataValue] = {}
    for node in tree.css("head > meta[name][content]"):
        name = (node.attributes.get("name") or "").lower()
        content = squeeze(clean(node.attributes.get("content") or ""))
        if name in _METADATA and content:
            values[name] = content
    page = tree.css_first("html")
    stated = page.attributes.get("lang") or page.attributes.get("xml:lang") if page is not None else None
    if code := language_code(stated or ""):
        values["language"] = code
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
    classes = (attributes.get("class") or "").lower().split()
    own_id = (attributes.get("id") or "").lower()
    if not _DROPPED_CLASSES.isdisjoint(classes) or own_id in _DROPPED_CLASSES:
        return True
    if tag not in _CONSENT_TAGS or not _CONSENT.search(f"{' '.join(classes)} {own_id}"):
        return False
    return _asks_for_consent(node, tag, classes)


def _asks_for_consent(node: LexborNode, tag: str, classes: list[str]) -> bool:
    """A banner about cookies, rather than a section of a page that is about them, whose id comes from its heading."""
    if (tag == "section" and not _CONSENT.search(" ".join(classes))) or "section" in classes:
        return False
    return node.css_first("h1, pre") is None and len(node.text()) <= _LONGEST_CONSENT


@dataclass(slots=True)
class _List:
    ordered: bool
    number: int
    mark: str = ""


@dataclass(slots=True)
class _Walker:
    """Walks the tree without recursion: hostile pages nest deeper than Python's stack."""

    skip: bool
    inline: Inline = field(default_factory=Inline)
    blocks: list[Block] = field(default_factory=list)
    lists: list[_List] = field(default_factory=list)
    quotes: int = 0
    heading: bool = False
    after: list[str] = field(default_factory=list)

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
            self.inline.add(node.text_content or "")
            return False
        if node.is_comment_node or (self.skip and _is_dropped(node, tag)) or tag in ("script", "style", "head"):
            return False
        if tag == "header" and self.skip and node.parent is not None and node.parent.tag == "body":
            return node.css_first("h1") is not None
        if tag == "br":
            self.inline.add("\0")
        elif tag == "a":
            self.inline.open_link(node)
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
        elif tag in _HEADINGS:
            self.heading = True

    def _leave(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if tag == "a":
            self._leave_link()
        elif tag in _HEADINGS:
            self.heading = False
            self._flush(heading=_HEADINGS[tag])
            self.inline.add(" ".join(dict.fromkeys(self.after)))
            self.after.clear()
            self._flush()
        elif tag in _BLOCKS:
            self._flush()
        if tag in ("ul", "ol") and self.lists:
            self.lists.pop()
        elif tag == "blockquote":
            self.quotes -= 1

    def _leave_link(self) -> None:
        """Ends a link. In a heading its address would pass for a part of the name, so that it follows as text."""
        if self.heading:
            address = self.inline.drop_link()
            if "://" in address:
                self.after.append(address)
        elif address := self.inline.close_link():
            self.inline.add(f" {address} ")

    def _enter_table(self, node: LexborNode) -> bool:
        self._flush()
        inside = (child.tag for child in node.traverse() if child.mem_id != node.mem_id)
        rows = _rows(node, self.inline.base, skip=self.skip) if _NOT_IN_CELLS.isdisjoint(inside) else []
        if not rows or max(len(row) for row in rows) < 2:
            return True  # a table for layout: its cells are blocks
        caption = node.css_first("caption")
        if caption is not None:
            self._add(ElementKind.PARAGRAPH, squeeze(clean(caption.text(separator=" "))))
        self._add(ElementKind.TABLE, markdown_table(rows))
        return False

    def _flush(self, heading: int = 0) -> None:
        """Ends the block that is being gathered."""
        if not self.inline.parts:
            return
        text = squeeze_lines(clean(self.inline.take().replace("\0", "\n")))
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


def _cell(cell: LexborNode, base: str, *, skip: bool) -> str:
    """The cell's words and links on one line."""
    inline = Inline(base)

    def take(child: LexborNode) -> bool:
        tag = child.tag or ""
        if child.is_text_node:
            inline.add(child.text_content or "")
        elif child.is_comment_node or tag in ("script", "style") or (skip and _is_dropped(child, tag)):
            return False
        elif tag == "br" or tag in _BLOCKS:
            inline.add(" ")
        elif tag == "a":
            inline.open_link(child)
        return not child.is_text_node

    for node, entering in _events(cell, take):
        if not entering and node.tag == "a":
            inline.close_link()
        elif not entering and node.tag in _BLOCKS:
            inline.add(" ")
    return squeeze(clean(inline.take()))


def _rows(table: LexborNode, base: str, *, skip: bool) -> list[list[str]]:
    """The cells of each row on one line each; a cell over several columns is followed by empty ones."""
    rows: list[list[str]] = []
    for row in table.css("tr"):
        cells: list[str] = []
        for cell in row.iter():
            if cell.tag in ("td", "th"):
                span = cell.attributes.get("colspan") or "1"
                extra = min(int(span), 100) - 1 if span.isdecimal() else 0
                cells.extend([_cell(cell, base, skip=skip), *[""] * extra])
        if any(cells):
            rows.append(cells)
    return rows
