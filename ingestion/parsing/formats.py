"""The document formats there are: their suffixes, media types and what a reader calls them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePath


class Format(StrEnum):
    """The value is the media type that a parsed document carries."""

    MARKDOWN = "text/markdown"
    HTML = "text/html"
    TEXT = "text/plain"
    PDF = "application/pdf"
    CSV = "text/csv"
    TSV = "text/tab-separated-values"
    JSON = "application/json"
    JSON_LINES = "application/x-ndjson"
    DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
    XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    ODT = "application/vnd.oasis.opendocument.text"
    EPUB = "application/epub+zip"
    EML = "message/rfc822"
    MSG = "application/vnd.ms-outlook"
    RTF = "application/rtf"
    RST = "text/x-rst"
    ORG = "text/org"
    PNG = "image/png"
    JPEG = "image/jpeg"
    TIFF = "image/tiff"


SUFFIXES: dict[str, Format] = {
    ".md": Format.MARKDOWN,
    ".markdown": Format.MARKDOWN,
    ".mdx": Format.MARKDOWN,
    ".mkd": Format.MARKDOWN,
    ".html": Format.HTML,
    ".htm": Format.HTML,
    ".xhtml": Format.HTML,
    ".txt": Format.TEXT,
    ".text": Format.TEXT,
    ".log": Format.TEXT,
    ".adoc": Format.TEXT,
    ".yaml": Format.TEXT,
    ".yml": Format.TEXT,
    ".pdf": Format.PDF,
    ".csv": Format.CSV,
    ".tsv": Format.TSV,
    ".json": Format.JSON,
    ".jsonl": Format.JSON_LINES,
    ".ndjson": Format.JSON_LINES,
    ".docx": Format.DOCX,
    ".docm": Format.DOCX,
    ".pptx": Format.PPTX,
    ".pptm": Format.PPTX,
    ".xlsx": Format.XLSX,
    ".xlsm": Format.XLSX,
    ".odt": Format.ODT,
    ".epub": Format.EPUB,
    ".eml": Format.EML,
    ".msg": Format.MSG,
    ".rtf": Format.RTF,
    ".rst": Format.RST,
    ".org": Format.ORG,
}

PICTURE_SUFFIXES: dict[str, Format] = {
    ".png": Format.PNG,
    ".jpg": Format.JPEG,
    ".jpeg": Format.JPEG,
    ".tif": Format.TIFF,
    ".tiff": Format.TIFF,
}
"""Read only where text recognition is installed: a folder of pages full of screenshots should not be a folder of
failures."""

MEDIA_TYPES: dict[str, Format] = {
    **{known.value: known for known in Format},
    "text/x-markdown": Format.MARKDOWN,
    "application/xhtml+xml": Format.HTML,
    "application/csv": Format.CSV,
    "application/jsonl": Format.JSON_LINES,
    "application/x-jsonlines": Format.JSON_LINES,
    "text/rtf": Format.RTF,
    "text/prs.fallenstein.rst": Format.RST,
}

ZIP_BASED = frozenset({Format.DOCX, Format.PPTX, Format.XLSX, Format.ODT, Format.EPUB})
PICTURES = frozenset({Format.PNG, Format.JPEG, Format.TIFF})
BINARY_FORMATS = ZIP_BASED | PICTURES | {Format.PDF, Format.MSG}

NAMES: dict[Format, str] = {
    Format.MARKDOWN: "Markdown",
    Format.HTML: "HTML",
    Format.TEXT: "plain text",
    Format.PDF: "PDF",
    Format.CSV: "CSV",
    Format.TSV: "TSV",
    Format.JSON: "JSON",
    Format.JSON_LINES: "JSON Lines",
    Format.DOCX: "Word (DOCX)",
    Format.PPTX: "PowerPoint (PPTX)",
    Format.XLSX: "Excel (XLSX)",
    Format.ODT: "OpenDocument text (ODT)",
    Format.EPUB: "EPUB",
    Format.EML: "e-mail (EML)",
    Format.MSG: "Outlook e-mail (MSG)",
    Format.RTF: "RTF",
    Format.RST: "reStructuredText",
    Format.ORG: "Org",
    Format.PNG: "PNG picture",
    Format.JPEG: "JPEG picture",
    Format.TIFF: "TIFF picture",
}


def proposed_format(name: str, media_type: str | None) -> Format | None:
    """Format that the caller's media type or else the file name's suffix proposes; None if neither is known.

    A generic media type, or `text/plain` beside a suffix that says more, leaves the word to the suffix.
    """
    by_suffix = SUFFIXES.get(suffix(name)) or PICTURE_SUFFIXES.get(suffix(name))
    essence = (media_type or "").split(";")[0].strip().lower()
    by_media_type = MEDIA_TYPES.get(essence)
    if by_media_type is None or (by_media_type is Format.TEXT and by_suffix is not None):
        return by_suffix
    return by_media_type


def suffix(name: str) -> str:
    """Suffix of a file name or address, lower case with its dot; empty if there is none."""
    return PurePath(name.split("?")[0].split("#")[0]).suffix.lower()
