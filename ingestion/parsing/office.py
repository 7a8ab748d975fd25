"""PowerPoint through unstructured, Excel through openpyxl."""

from __future__ import annotations

import datetime as dt
import io
import re
from collections.abc import Iterator
from typing import Any

from ingestion.corpus.records import ElementKind
from ingestion.parsing.building import Block, Parsed, assemble, clean, squeeze
from ingestion.parsing.html import parse_html
from ingestion.parsing.packages import joined_code, open_package, read_part, stated_title
from ingestion.parsing.tables import record_blocks

_NUMBERED = re.compile(r"\d{1,3}[.)]\s")
_SKIPPED = frozenset({"PageBreak", "Header", "Footer", "PageNumber", "Image"})


class SlideParser:
    """Imports unstructured when it is made: some seconds and 300 MB. `DO_NOT_TRACK` has to be set before."""

    def __init__(self) -> None:
        import spacy
        from unstructured.nlp import tokenize
        from unstructured.partition.pptx import partition_pptx

        # unstructured would download a language model at first use; sentence ends by punctuation give the same text.
        language = spacy.blank("en")
        language.add_pipe("sentencizer")
        tokenize._get_nlp = lambda: language
        self._partition = partition_pptx

    def parse(self, data: bytes) -> Parsed:
        """Blocks of a PowerPoint document; a slide is a page. The title is the document's own, if set."""
        items = self._partition(file=io.BytesIO(data), languages=[""], process_attachments=False)
        blocks = [block for item in items for block in _block(item)]
        text, elements = assemble(joined_code(blocks))
        heading = next((block.text for block in blocks if block.kind is ElementKind.HEADING), None)
        with open_package(data) as package:
            title = stated_title(read_part(package, "docProps/core.xml"))
        return Parsed(text, elements, title or heading)


def _block(item: Any) -> Iterator[Block]:
    category, text = item.category, clean(item.text or "")
    if category in _SKIPPED or not text.strip():
        return
    page = item.metadata.page_number
    depth = item.metadata.category_depth or 0
    if category == "Table":
        table = parse_html(item.metadata.text_as_html or "")
        yield Block(ElementKind.TABLE, table.text or text, page=page)
    elif category == "Title" and depth == 0:
        yield Block(ElementKind.HEADING, squeeze(text), 1, page)
    elif category in ("Title", "ListItem"):  # on slides, short points pass for titles too
        mark = "" if _NUMBERED.match(text) else "- "
        yield Block(ElementKind.LIST_ITEM, mark + text, page=page, tight=True, indent=2 * min(depth, 8))
    elif category == "CodeSnippet":
        yield Block(ElementKind.CODE, text, page=page)
    else:
        yield Block(ElementKind.PARAGRAPH, text, page=page)


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
