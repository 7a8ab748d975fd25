"""What a crawl wants to know of a page: its links, and what it says to crawlers. Its text is left to parsing.

A scanner over the bytes whose time is linear in their number: the standard library's parser, in the versions that this
runs on, needs quadratic time for some pages, and the fast ones run in the parser's child process alone.
"""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_LINKS = 5000

_TAG = re.compile(rb"<(?:(!--)|([a-zA-Z][^\s/>]{0,30}))")
_ATTRIBUTE = re.compile(rb"[\s/]*([^\s/>=][^\s/>=]*)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]*)))?")
_TAG_END = re.compile(rb"[\s/]*>")
_RAW = frozenset({b"script", b"style", b"textarea", b"title", b"template", b"noframes", b"xmp"})
_WANTED = frozenset({b"a", b"area", b"base", b"link", b"meta", b"iframe", b"frame"})
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([a-zA-Z0-9._:-]+)", re.IGNORECASE)
_CODECS = re.compile(r"utf-8|ascii|(iso8859-|cp|koi8-|mac-|gb|big5|euc_|shift_jis)\w*")
_REFRESH = re.compile(r"[\d.\s]*[;,]\s*url\s*=\s*['\"]?([^'\"]+)", re.IGNORECASE)
_HEAD = 2048
_MAX_SCANNED = 20_000_000


@dataclass(slots=True)
class Page:
    """Addresses as the page writes them, to be joined with `base` and the page's own."""

    base: str | None = None
    links: list[str] = field(default_factory=list)
    canonical: str | None = None
    directives: set[str] = field(default_factory=set)


def read_page(data: bytes, charset: str | None) -> Page:
    """Links in the order of the page, without those marked `nofollow`; at most `MAX_LINKS`, of the first 20 MB."""
    page = Page()
    data = data[:_MAX_SCANNED]
    encoding = _known(charset) or _declared(data)
    for tag, raw in _tags(data):
        attributes = {name: html.unescape(value.decode(encoding, "replace")).strip() for name, value in raw.items()}
        _note(page, tag, attributes)
    return page


def directives_of(header: str, product: str) -> set[str]:
    """What a robots meta element or an `X-Robots-Tag` header says to everyone or to this crawler."""
    found: set[str] = set()
    addressee = ""
    for part in header.lower().split(","):
        name, colon, rest = part.partition(":")
        if colon and name.strip() not in ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"):
            addressee, part = name.strip(), rest
        if addressee in ("", product.lower()):
            found.add(part.strip())
    if "none" in found:
        found |= {"noindex", "nofollow"}
    return found


def _note(page: Page, tag: bytes, attributes: dict[str, str]) -> None:
    relations = attributes.get("rel", "").lower().split()
    href = attributes.get("href", "")
    if tag == b"base":
        page.base = page.base or href or None
    elif tag == b"meta":
        if attributes.get("name", "").lower() == "robots":
            page.directives |= directives_of(attributes.get("content", ""), "")
        elif attributes.get("http-equiv", "").lower() == "refresh":
            refresh = _REFRESH.match(attributes.get("content", ""))
            _add(page, refresh[1].strip() if refresh else "")
    elif tag == b"link":
        if "canonical" in relations:
            page.canonical = page.canonical or href or None
        elif "next" in relations or "prev" in relations:
            _add(page, href)
    elif tag in (b"iframe", b"frame"):
        _add(page, attributes.get("src", ""))
    elif "nofollow" not in relations:
        _add(page, href)


def _add(page: Page, address: str) -> None:
    if address and not address.startswith("#") and len(page.links) < MAX_LINKS:
        page.links.append(address)


def _tags(data: bytes) -> Iterator[tuple[bytes, dict[str, bytes]]]:
    """The wanted start tags with their attributes; comments, scripts and the like are passed over."""
    lowered = data.lower()
    position = 0
    while (found := _TAG.search(data, position)) is not None:
        position = found.end()
        if found[1]:
            end = data.find(b"-->", position)
            if end < 0:
                return
            position = end + 3
            continue
        tag = found[2].lower()
        attributes: dict[str, bytes] = {}
        while _TAG_END.match(data, position) is None and (one := _ATTRIBUTE.match(data, position)) is not None:
            name = one[1].decode("latin-1").lower()
            if tag in _WANTED:
                attributes.setdefault(name, one[2] or one[3] or one[4] or b"")
            position = one.end()
        if tag in _RAW:
            end = lowered.find(b"</" + tag, position)
            if end < 0:
                return
            position = end
        elif tag in _WANTED:
            yield tag, attributes


def _declared(data: bytes) -> str:
    found = _META_CHARSET.search(data[:_HEAD])
    return (_known(found[1].decode("ascii")) if found else None) or "utf-8"


def _known(charset: str | None) -> str | None:
    """The codec of a charset, if it is one in which pages are written: Python's others are not all made for that."""
    try:
        codec = codecs.lookup(charset).name if charset else ""
    except (LookupError, ValueError):
        return None
    return codec if _CODECS.fullmatch(codec) else None
