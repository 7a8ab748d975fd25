"""Word and PowerPoint through unstructured, Excel through openpyxl."""

from __future__ import annotations

import datetime as dt
import io
import re
from collections.abc import Iterator
from typing import Any

from ingestion.corpus.records import ElementKind
from ingestion.parsing.building import Block, Parsed, assemble, clean, squeeze
from ingestion.parsing.formats import Format
from ingestion.parsing.html import parse_html
from ingestion.parsing.tables import record_blocks

_NUMBERED = re.compile(r"\d{1,3}[.)]\s")
_SKIPPED = frozenset({"PageBreak", "Header", "Footer", "PageNumber", "Image"})


class OfficeParser:
    """Imports unstructured when it is made: some seconds and 300 MB. `DO_NOT_TRACK` has to be set before."""

    def __init__(self) -> None:
        import spacy
        from unstructured.nlp import tokenize
        from unstructured.partition.docx import partition_docx
        from unstructured.partition.pptx import partition_pptx

        # unstructured would download a language model at first use; sentence ends by punctuation give the same text.
        language = spacy.blank("en")
        language.add_pipe("sentencizer")
        tokenize._get_nlp = lambda: language
        self._partition = {Format.DOCX: partition_docx, Format.PPTX: partition_pptx}

    def parse(self, data: bytes, found: Format) -> Parsed:
        """Blocks of a Word or PowerPoint document; a slide is a page. The title is the document's own, if set."""
        items = self._partition[found](file=io.BytesIO(data), languages=[""], process_attachments=False)
        blocks = [block for item in items for block in _block(item, found)]
        text, elements = assemble(_joined_code(blocks))
        heading = next((block.text for block in blocks if block.kind is ElementKind.HEADING), None)
        return Parsed(text, elements, _own_title(data, found) or heading)


def _block(item: Any, found: Format) -> Iterator[Block]:
    category, text = item.category, clean(item.text or "")
    if category in _SKIPPED or not text.strip():
        return
    page = item.metadata.page_number if found is Format.PPTX else None
    depth = item.metadata.category_depth or 0
    if category == "Table":
        table = parse_html(item.metadata.text_as_html or "")
        yield Block(ElementKind.TABLE, table.text or text, page=page)
    elif category == "Title":
        is_heading = found is Format.DOCX or depth == 0  # on slides, short points pass for titles too
        kind = ElementKind.HEADING if is_heading else ElementKind.LIST_ITEM
        yield Block(kind, squeeze(text), min(depth + 1, 6) if is_heading else 0, page)
    elif category == "ListItem":
        yield Block(
            ElementKind.LIST_ITEM,
            text if _NUMBERED.match(text) else f"- {text}",
            page=page,
            tight=True,
            indent=2 * min(depth, 8),
        )
    elif category == "CodeSnippet":
        yield Block(ElementKind.CODE, text, page=page)
    else:
        yield Block(ElementKind.PARAGRAPH, text, page=page)


def _joined_code(blocks: list[Block]) -> Iterator[Block]:
    """Neighbouring code paragraphs as one block of lines."""
    pending: list[Block] = []
    for block in blocks:
        if pending and block.kind is not ElementKind.CODE:
            yield Block(ElementKind.CODE, "\n".join(part.text for part in pending), page=pending[0].page)
            pending = []
        if block.kind is ElementKind.CODE:
            pending.append(block)
        else:
            yield block
    if pending:
        yield Block(ElementKind.CODE, "\n".join(part.text for part in pending), page=pending[0].page)


def _own_title(data: bytes, found: Format) -> str | None:
    """Title in the document's properties, unless it is what the program puts there by itself."""
    if found is Format.DOCX:
        import docx

        title = docx.Document(io.BytesIO(data)).core_properties.title
    else:
        import pptx

        title = pptx.Presentation(io.BytesIO(data)).core_properties.title
    title = squeeze(clean(title or ""))
    return None if title.casefold() in ("", "powerpoint presentation", "word document") else title


def parse_xlsx(data: bytes) -> Parsed:
    """Every row of every visible sheet as a record under the sheet's name; cells hold their last computed values."""
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    try:
        blocks: list[Block] = []
        for sheet in book.worksheets:
            if sheet.sheet_state != "visible":
                continue
            records = list(record_blocks(_rows(sheet)))
            if records:
                blocks.append(Block(ElementKind.HEADING, squeeze(clean(sheet.title)), 2))
                blocks.extend(records)
        title = squeeze(clean(book.properties.title or ""))
    finally:
        book.close()
    text, elements = assemble(blocks)
    return Parsed(text, elements, title or None)


def _rows(sheet: Any) -> Iterator[list[str]]:
    last = None
    for row in sheet.iter_rows(values_only=True):
        if row is not last:  # gaps between far rows are one and the same empty row
            yield [clean(_cell(value)) for value in row]
        last = row


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.12g}"
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(" ")
    return str(value)
