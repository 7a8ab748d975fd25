"""What a Word document says about its styles and its lists."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache

from lxml import etree  # type: ignore[import-untyped]

from ingestion.parsing.packages import CODE_STYLE, MONOSPACE, attribute, child, local, whole

_HEADING = re.compile(r"heading ([1-9])\Z", re.IGNORECASE)
_LONGEST_LINEAGE = 20
_ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l")),
    *((40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)
_UNMARKED = frozenset({"none"})


@dataclass(frozen=True, slots=True)
class Style:
    """A style with what it inherits. `level`: of a heading, else 0; `numbering`: list and depth."""

    name: str = ""
    level: int = 0
    monospaced: bool = False
    bold: bool = False
    numbering: tuple[str, int] | None = None

    @property
    def is_contents(self) -> bool:
        """Of a table of contents, which repeats the headings."""
        return self.name.lower().startswith("toc ")

    @property
    def is_quote(self) -> bool:
        return "quote" in self.name.lower()


class Styles:
    def __init__(self, root: etree._Element | None) -> None:
        nodes = root if root is not None else ()
        self._nodes = {attribute(node, "styleId"): node for node in nodes if local(node) == "style"}
        self._known: dict[str, Style] = {}

    def of(self, identifier: str) -> Style:
        """The style of this id; one that says nothing if there is none."""
        if identifier not in self._known:
            self._known[identifier] = self._read(identifier)
        return self._known[identifier]

    def _read(self, identifier: str) -> Style:
        name, level, numbering = "", 0, None
        monospaced = bold = False
        for _ in range(_LONGEST_LINEAGE):
            node = self._nodes.get(identifier)
            if node is None:
                break
            own = attribute(child(node, "name"), "val")
            name = name or own
            level = level or _level(own, node)
            numbering = numbering or _numbering(node)
            properties = child(node, "rPr")
            monospaced = monospaced or self.is_monospaced(properties) or bool(CODE_STYLE.search(own))
            bold = bold or child(properties, "b") is not None
            identifier = attribute(child(node, "basedOn"), "val")
        return Style(name, level, monospaced, bold, numbering)

    @staticmethod
    def is_monospaced(properties: etree._Element | None) -> bool:
        """Whether properties of a run name a font in which all characters are equally wide."""
        return _is_monospace(attribute(child(properties, "rFonts"), "ascii"))


@lru_cache(maxsize=256)
def _is_monospace(font: str) -> bool:
    return bool(font) and bool(MONOSPACE.search(font))


def _level(name: str, node: etree._Element) -> int:
    if found := _HEADING.match(name):
        return min(int(found.group(1)), 6)
    if name.lower() == "title":
        return 1
    outline = whole(attribute(child(node, "pPr", "outlineLvl"), "val"), 9)
    return outline + 1 if outline < 6 else 0


def _numbering(node: etree._Element) -> tuple[str, int] | None:
    properties = child(node, "pPr", "numPr")
    number = attribute(child(properties, "numId"), "val")
    return (number, whole(attribute(child(properties, "ilvl"), "val"), 0, 8)) if number else None


class Numbering:
    """Counts the items of the document's lists."""

    def __init__(self, root: etree._Element | None) -> None:
        nodes = list(root) if root is not None else []
        abstract = {attribute(node, "abstractNumId"): node for node in nodes if local(node) == "abstractNum"}
        self._levels: dict[str, dict[int, tuple[str, int]]] = {}
        for node in nodes:
            if local(node) == "num":
                source = abstract.get(attribute(child(node, "abstractNumId"), "val"))
                self._levels[attribute(node, "numId")] = _levels(source)
        self._counts: dict[str, dict[int, int]] = defaultdict(dict)

    def next_mark(self, number: str, depth: int) -> tuple[str, int] | None:
        """`(mark, depth)` of the next item of a list; None if the list is no list."""
        levels = self._levels.get(number)
        if levels is None:
            return None
        kind, start = levels.get(depth, ("bullet", 1))
        counts = self._counts[number]
        for deeper in [level for level in counts if level > depth]:
            del counts[deeper]
        counts[depth] = counts.get(depth, start - 1) + 1
        if kind in _UNMARKED:
            return "", depth
        return ("- " if kind == "bullet" else f"{_counted(kind, counts[depth])}. "), depth


def _counted(kind: str, number: int) -> str:
    """The number as the list writes it."""
    if kind in ("lowerLetter", "upperLetter"):
        repeats, letter = divmod(number - 1, 26)
        written = chr(ord("a") + letter) * min(repeats + 1, 4) if number > 0 else str(number)
    elif kind in ("lowerRoman", "upperRoman") and 0 < number < 4000:
        written = ""
        for value, digits in _ROMAN:
            written += digits * (number // value)
            number %= value
    else:
        return str(number)
    return written.upper() if kind.startswith("upper") else written


def _levels(node: etree._Element | None) -> dict[int, tuple[str, int]]:
    levels: dict[int, tuple[str, int]] = {}
    for level in node if node is not None else ():
        if local(level) == "lvl":
            kind = attribute(child(level, "numFmt"), "val") or "bullet"
            levels[whole(attribute(level, "ilvl"), 0, 8)] = (kind, whole(attribute(child(level, "start"), "val"), 1))
    return levels
