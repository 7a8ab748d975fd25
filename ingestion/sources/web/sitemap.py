"""The addresses that a sitemap names, through its index files; whether they are fetched is left to the crawl.

`lastmod` is not read: on many sites it is the time of the build or of the request, and conditional requests are exact.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit
from xml.parsers import expat

from ingestion.errors import DocumentRejected
from ingestion.sources.web.client import Client, unpacked
from ingestion.sources.web.robots import Rules, follow
from ingestion.sources.web.urls import Site

_MAX_BYTES = 50_000_000
_MAX_ENTRIES = 50_000
_MAX_FILES = 1000
_MAX_LOC_LENGTH = 4000
_PIECE = 65_536
_GZIP = b"\x1f\x8b"


class UnreadableSitemap(Exception):
    """A sitemap that does not answer or is none."""

    def __init__(self, url: str, why: str, *, for_now: bool) -> None:
        super().__init__(f"The sitemap {url} can't be read: {why}")
        self.for_now = for_now
        """False if the site itself says that there is none, or what is there is something else."""


def is_sitemap(url: str) -> bool:
    """Whether the path of an address says that it is a sitemap."""
    return urlsplit(url).path.lower().endswith((".xml", ".xml.gz"))


def sitemap_urls(client: Client, rules: Rules, site: Site, url: str) -> Iterator[str | UnreadableSitemap]:
    """The addresses that a sitemap names, as they are written there, and the sitemaps below it that can't be read.

    Only sitemaps on the site's own host are read.
    Raises: UnreadableSitemap for the first one.
    """
    queue, seen = deque([url]), {url}
    while queue:
        current = queue.popleft()
        try:
            nested, named = _read(client, rules, current)
        except UnreadableSitemap as error:
            if current == url:
                raise
            yield error
            continue
        yield from named
        for written in nested:
            below = site.on_host(written, current)
            if below is None or below in seen:
                continue
            if len(seen) >= _MAX_FILES:
                yield UnreadableSitemap(below, f"its index names more than {_MAX_FILES}", for_now=True)
                return
            seen.add(below)
            queue.append(below)


def _read(client: Client, rules: Rules, url: str) -> tuple[list[str], list[str]]:
    """Addresses of nested sitemaps, and of pages."""
    if not rules.allows(url):
        raise UnreadableSitemap(url, "robots.txt forbids it", for_now=False)
    try:
        answer = follow(client, url, limit=_MAX_BYTES)
    except DocumentRejected as error:
        raise UnreadableSitemap(url, error.detail, for_now=True) from error
    if answer.status != 200:
        raise UnreadableSitemap(url, f"it answers {answer.status}", for_now=answer.status not in (404, 410))
    try:
        return parse_sitemap(answer.body)
    except (expat.ExpatError, zlib.error, ValueError) as error:
        raise UnreadableSitemap(url, str(error), for_now=False) from error


def parse_sitemap(data: bytes) -> tuple[list[str], list[str]]:
    """Addresses of nested sitemaps and of pages in a sitemap or an index of them, packed with gzip or not.

    Raises: ExpatError, zlib.error or ValueError if it is something else, or larger than the protocol allows.
    """
    reader = _Reader()
    size = 0
    for piece in _pieces(data):
        size += len(piece)
        if size > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES} bytes")
        reader.feed(piece)
    return reader.close()


def _pieces(data: bytes) -> Iterable[bytes]:
    pieces = (data[start : start + _PIECE] for start in range(0, len(data), _PIECE))
    return unpacked(pieces, _MAX_BYTES) if data.startswith(_GZIP) else pieces


class _Reader:
    """Reads `loc` elements as they pass. A document type is refused, and with it every entity that could grow."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._path: list[str] = []
        self._text: list[str] | None = None
        self._found: dict[str, list[str]] = {"sitemap": [], "url": []}

    def feed(self, piece: bytes) -> None:
        self._parser.Parse(piece, False)

    def close(self) -> tuple[list[str], list[str]]:
        self._parser.Parse(b"", True)
        return self._found["sitemap"], self._found["url"]

    def _refuse(self, *_: object) -> None:
        raise ValueError("it declares a document type, which no sitemap needs")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name.rpartition(" ")[2])
        if len(self._path) == 1 and self._path[0] not in ("urlset", "sitemapindex"):
            raise ValueError(f"it begins with <{self._path[0][:40]}>, not with <urlset> or <sitemapindex>")
        if self._is_loc():
            self._text = []

    def _end(self, name: str) -> None:
        if self._text is not None and self._is_loc():
            found = self._found[self._path[1]]
            if len(found) >= _MAX_ENTRIES:
                raise ValueError(f"it names more than {_MAX_ENTRIES} addresses")
            found.append("".join(self._text).strip()[:_MAX_LOC_LENGTH])
            self._text = None
        self._path.pop()

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def _is_loc(self) -> bool:
        return len(self._path) == 3 and self._path[1] in self._found and self._path[2] == "loc"
