"""Reads one document whose limits are guarded elsewhere: decides its format and hands it to that format's parser."""

from __future__ import annotations

from pathlib import PurePath

from ingestion.corpus.records import ParsedDocument
from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.parsing.building import Parsed, clean
from ingestion.parsing.encoding import decode
from ingestion.parsing.formats import NAMES, Format
from ingestion.parsing.markdown import MarkdownParser
from ingestion.parsing.plain import parse_plain
from ingestion.settings import ParsingSettings


class DocumentReader:
    """Holds the parsers that are worth keeping between documents. Not thread-safe."""

    def __init__(self, settings: ParsingSettings) -> None:
        self._settings = settings
        self._markdown = MarkdownParser()

    def read(self, name: str, data: bytes, media_type: str | None, title: str | None) -> ParsedDocument:
        """The document's normalised text and structure.

        Raises:
            DocumentRejected: the document cannot be read; nothing else is raised for what a parser foresees.
        """
        found = Format.MARKDOWN
        parsed = self._parse(found, name, data)
        if not parsed.text.strip():
            raise DocumentRejected(RejectionCode.NO_TEXT, f"The {NAMES[found]} file holds no text.")
        named = (title or parsed.title or "").strip() or title_from_name(name)
        return ParsedDocument(parsed.text, parsed.elements, named, found.value, dict(parsed.metadata or {}))

    def _parse(self, found: Format, name: str, data: bytes) -> Parsed:
        text = clean(decode(data))
        return parse_plain(text) if name.endswith(".txt") else self._markdown.parse(text)


def title_from_name(name: str) -> str:
    """File name without folder and suffix."""
    return PurePath(name.replace("\\", "/")).stem or name
