"""Reads one document whose limits are guarded elsewhere: decides its format and hands it to that format's parser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePath

from ingestion.corpus.records import ParsedDocument
from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.parsing.building import Parsed, clean
from ingestion.parsing.detect import detect
from ingestion.parsing.encoding import decode
from ingestion.parsing.formats import NAMES, Format
from ingestion.parsing.html import parse_html
from ingestion.parsing.jsondata import parse_json, parse_json_lines
from ingestion.parsing.language import LanguageDetector
from ingestion.parsing.mail import parse_eml
from ingestion.parsing.markdown import MarkdownParser
from ingestion.parsing.ocr import HOW_TO_INSTALL, Recogniser, is_installed, parse_picture
from ingestion.parsing.office import SlideParser, parse_xlsx
from ingestion.parsing.pandoc import parse_with_pandoc
from ingestion.parsing.plain import parse_plain
from ingestion.parsing.tables import parse_csv
from ingestion.settings import ParsingSettings

_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)
_HTML_HEAD = 4096


class DocumentReader:
    """Holds the parsers that are worth keeping between documents. Not thread-safe."""

    def __init__(self, settings: ParsingSettings, take_more_time: Callable[[int], None]) -> None:
        """`take_more_time` is told before text recognition on how many pages it will work."""
        self._settings = settings
        self._take_more_time = take_more_time
        self._markdown = MarkdownParser()
        self._language = LanguageDetector()
        self._slides: SlideParser | None = None
        self._ocr: Recogniser | None = None

    def read(self, name: str, data: bytes, media_type: str | None, title: str | None) -> ParsedDocument:
        """The document's normalised text and structure.

        Raises:
            DocumentRejected: the document cannot be read.
            Exception: whatever a library raises on a damaged file.
        """
        found = detect(name, data, media_type, self._settings)
        parsed = self._parse(data, found)
        if not parsed.text.strip():
            raise DocumentRejected(
                RejectionCode.NO_TEXT,
                f"The {NAMES[found]} file holds no text that could be searched. Add some, or leave it out.",
            )
        if len(parsed.text) > self._settings.max_text_chars:
            raise DocumentRejected(
                RejectionCode.TOO_LARGE,
                f"The document's text has {len(parsed.text):,} characters, more than the"
                f" {self._settings.max_text_chars:,} allowed. Split it.",
            )
        found_title = parsed.title if parsed.title and any(char.isalnum() for char in parsed.title) else ""
        named = (title or found_title).strip() or title_from_name(name)
        metadata = dict(parsed.metadata or {})
        if language := self._language.language(parsed.text, parsed.elements, metadata):
            metadata["language"] = language
        return ParsedDocument(parsed.text, parsed.elements, named, found.value, metadata, parsed.attachments)

    def _parse(self, data: bytes, found: Format) -> Parsed:
        match found:
            case Format.PDF:
                from ingestion.parsing.pdf import parse_pdf

                return parse_pdf(data, self._recogniser)
            case Format.PNG | Format.JPEG | Format.TIFF:
                recogniser = self._recogniser()
                if recogniser is None:
                    raise DocumentRejected(
                        RejectionCode.NEEDS_OCR,
                        f"The file is a picture, whose text has to be recognised. {HOW_TO_INSTALL}",
                    )
                return parse_picture(data, recogniser)
            case Format.DOCX:
                from ingestion.parsing.word import parse_docx

                return parse_docx(data)
            case Format.ODT:
                from ingestion.parsing.opendocument import parse_odt

                return parse_odt(data)
            case Format.PPTX:
                self._slides = self._slides or SlideParser()
                return self._slides.parse(data)
            case Format.XLSX:
                return parse_xlsx(data)
            case Format.EML:
                return parse_eml(data, self._settings.max_attachments, self._settings.max_bytes)
            case Format.MSG:
                from ingestion.parsing.outlook import parse_msg

                return parse_msg(data, self._settings.max_attachments, self._settings.max_bytes)
            case Format.RTF | Format.EPUB:
                return parse_with_pandoc(data, found, self._settings.timeout_s)
            case Format.RST | Format.ORG:
                return parse_with_pandoc(clean(decode(data)).encode(), found, self._settings.timeout_s)
            case _:
                return self._parse_text(data, found)

    def _recogniser(self) -> Recogniser | None:
        """The recogniser of text, made when it is first needed; None where the extra is not installed."""
        if self._ocr is None and is_installed():
            self._ocr = Recogniser(self._take_more_time, self._settings.ocr_max_pages)
        return self._ocr

    def _parse_text(self, data: bytes, found: Format) -> Parsed:
        declared = _CHARSET.search(data[:_HTML_HEAD]) if found is Format.HTML else None
        text = clean(decode(data, declared.group(1).decode("ascii") if declared else None))
        match found:
            case Format.MARKDOWN:
                return self._markdown.parse(text)
            case Format.HTML:
                return parse_html(text)
            case Format.CSV:
                return parse_csv(text)
            case Format.TSV:
                return parse_csv(text, "\t")
            case Format.JSON:
                return parse_json(text)
            case Format.JSON_LINES:
                return parse_json_lines(text)
            case _:
                return parse_plain(text)


def title_from_name(name: str) -> str:
    """File name without folder and suffix."""
    return PurePath(name.replace("\\", "/")).stem or name
