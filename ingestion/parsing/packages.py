"""What the XML-based office formats have in common: parts in a ZIP archive, and blocks of code made of lines."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator

from lxml import etree  # type: ignore[import-untyped]

from ingestion.corpus.records import ElementKind
from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.parsing.building import Block, clean, squeeze

MONOSPACE = re.compile(
    r"mono|courier|consol|menlo|inconsolata|typewriter|fixed|lucida console|source code|fira code|cascadia",
    re.IGNORECASE,
)
CODE_STYLE = re.compile(r"\bcode|verbatim|preformat|listing|console|terminal|source ?text|macro text", re.IGNORECASE)
_BY_PROGRAMS = frozenset({"", "powerpoint presentation", "word document"})


def read_part(archive: zipfile.ZipFile, name: str) -> etree._Element | None:
    """Root of a part; None if there is none of this name.

    Nothing that the part refers to is fetched, and entities stay what they are.

    Raises:
        etree.XMLSyntaxError: it is not well-formed, nested too deeply, or larger than the parser allows.
    """
    try:
        data = archive.read(name)
    except KeyError:
        return None
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    return etree.fromstring(data, parser)


def open_package(data: bytes) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(data))


def required(root: etree._Element | None, what: str) -> etree._Element:
    """The root itself. Raises: DocumentRejected, CORRUPT, if there is none."""
    if root is None:
        raise DocumentRejected(
            RejectionCode.CORRUPT, f"The {what} file lacks its main part: it is damaged. Save it anew and upload that."
        )
    return root


def local(node: etree._Element) -> str:
    """Name of an element or attribute without its namespace; empty for comments and the like."""
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def attribute(node: etree._Element | None, name: str) -> str:
    """Value of the attribute of this local name, whatever its namespace; empty if there is none."""
    if node is None:
        return ""
    return next((str(value) for key, value in node.attrib.items() if key.rpartition("}")[2] == name), "")


def child(node: etree._Element | None, *path: str) -> etree._Element | None:
    """The first descendant along a path of local names."""
    for name in path:
        if node is None:
            return None
        node = next((below for below in node if local(below) == name), None)
    return node


def whole(value: str, default: int, most: int = 1000) -> int:
    """A number of the document, within bounds."""
    return min(int(value), most) if value.isascii() and value.isdigit() and len(value) < 10 else default


def stated_title(node: etree._Element | None) -> str | None:
    """Title in the document's properties, unless a program put it there by itself."""
    found = next((part for part in node.iter() if local(part) == "title"), None) if node is not None else None
    title = squeeze(clean("".join(found.itertext()))) if found is not None else ""
    return None if title.casefold() in _BY_PROGRAMS else title


def joined_code(blocks: Iterable[Block]) -> Iterator[Block]:
    """The blocks, with neighbouring paragraphs of code as one block of lines; an empty one between two of them is an
    empty line, and else nothing."""
    pending: list[Block] = []
    for block in blocks:
        if block.kind is ElementKind.CODE or (pending and not block.text.strip()):
            pending.append(block)
            continue
        yield from _code(pending)
        pending = []
        if block.text.strip():
            yield block
    yield from _code(pending)


def _code(lines: list[Block]) -> Iterator[Block]:
    text = "\n".join(line.text for line in lines)
    if text.strip():
        yield Block(ElementKind.CODE, text, page=lines[0].page)
