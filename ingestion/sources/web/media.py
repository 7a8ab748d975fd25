"""What kind of thing an address or an answer is: a page, another document, or neither. Formats are left to parsing."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

_SUFFIX_OF = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/plain": ".txt",
    "text/markdown": ".md",
    "text/x-markdown": ".md",
    "text/x-rst": ".rst",
    "text/prs.fallenstein.rst": ".rst",
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "text/rtf": ".rtf",
    "application/rtf": ".rtf",
    "application/json": ".json",
    "application/jsonl": ".jsonl",
    "application/x-ndjson": ".jsonl",
    "application/pdf": ".pdf",
    "application/epub+zip": ".epub",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.oasis.opendocument.text": ".odt",
    "application/vnd.ms-outlook": ".msg",
    "message/rfc822": ".eml",
}
_PAGES = frozenset({"text/html", "application/xhtml+xml"})
# Types that servers give to what they don't know: the suffix says more.
_VAGUE = frozenset({"", "application/octet-stream", "binary/octet-stream", "text/plain"})
_DOCUMENTS = frozenset({*_SUFFIX_OF.values(), ".htm", ".markdown", ".text", ".log", ".org", ".ndjson"})
_PAGE_SUFFIXES = frozenset({".html", ".htm"})
_NEVER_DOCUMENTS = frozenset(
    """
    .png .jpg .jpeg .gif .svg .webp .avif .ico .bmp .tif .tiff .css .js .mjs .map .woff .woff2 .ttf .otf .eot .mp3 .mp4
    .m4a .webm .ogg .wav .avi .mov .zip .gz .tgz .bz2 .xz .7z .rar .tar .exe .dmg .iso .deb .rpm .apk .jar .whl .wasm
    .rss .atom .xml .sig .asc .sha256 .bin
    """.split()  # noqa: SIM905 - shorter to read
)
_TYPE = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+")
_CHARSET = re.compile(r"charset\s*=\s*\"?([A-Za-z0-9._:-]+)", re.IGNORECASE)
_MAX_TYPE_LENGTH = 100


def worth_fetching(url: str) -> bool:
    """False for an address whose suffix shows a picture, a style sheet, an archive or the like."""
    return _suffix(url) not in _NEVER_DOCUMENTS


def may_hold_links(url: str) -> bool:
    """False for an address whose suffix shows a document that is not a page."""
    suffix = _suffix(url)
    return suffix in _PAGE_SUFFIXES or suffix not in _DOCUMENTS


def media_type(content_type: str | None) -> str:
    """Type and subtype of a header in lower case; empty if it gives none."""
    essence = (content_type or "").split(";")[0].strip().lower()
    return essence if len(essence) <= _MAX_TYPE_LENGTH and _TYPE.fullmatch(essence) else ""


def charset(content_type: str | None) -> str | None:
    found = _CHARSET.search(content_type or "")
    return found[1] if found else None


def is_page(url: str, essence: str) -> bool:
    return essence in _PAGES or (essence == "" and (_suffix(url) in _PAGE_SUFFIXES or not _suffix(url)))


def file_name(url: str, essence: str) -> str | None:
    """A file name for a document, with the suffix of its type; None if it is not a document."""
    name = unquote(PurePosixPath(urlsplit(url).path).name) if not urlsplit(url).path.endswith("/") else "index"
    name = "".join(char if char.isprintable() and char not in '/\\:?*"<>|' else "_" for char in name)[-200:]
    suffix = _suffix(url)
    if essence in _VAGUE and suffix in _DOCUMENTS:
        return name
    if essence == "":
        return f"{name}.html" if suffix == "" else None
    proposed = _SUFFIX_OF.get(essence)
    if proposed is None:
        return None
    same = suffix == proposed or (essence in _PAGES and suffix in _PAGE_SUFFIXES)
    return name if same else f"{name}{proposed}"


def _suffix(url: str) -> str:
    return PurePosixPath(urlsplit(url).path).suffix.lower()
