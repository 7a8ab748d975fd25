"""Builds the PDF, DOCX, XLSX and PPTX sample documents, or checks that they are up to date."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import docx
import openpyxl
import pptx
from build_binaries_content import DOCUMENTS_DOCX, DOCUMENTS_PDF
from build_binaries_model import (
    Block,
    Code,
    Deck,
    Document,
    Grid,
    Head,
    Items,
    Para,
    Row,
    Slide,
    Workbook,
)
from build_binaries_tables import DECKS, WORKBOOKS
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from pptx.util import Inches, Pt
from pypdf import PdfReader
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.platypus import (
    ListFlowable,
    Paragraph,
    Preformatted,
    SimpleDocTemplate,
    Spacer,
    Table,
    TableStyle,
)

HERE = Path(__file__).resolve().parent
STAMP = datetime(2026, 5, 1, 8, 0, 0)
AUTHOR = "Tarnwell"
PAGE_WIDTH = A4[0] - 40 * mm

_DATE_FIELD = re.compile(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*(</dcterms:)")


def write_archive(raw: bytes, target: Path) -> None:
    """Write an office file again with fixed timestamps, inside and outside its XML."""
    stamp = STAMP.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    with zipfile.ZipFile(BytesIO(raw)) as source, zipfile.ZipFile(target, "w") as out:
        for name in source.namelist():
            data = source.read(name)
            if name == "docProps/core.xml":
                data = _DATE_FIELD.sub(rb"\g<1>" + stamp + rb"\g<2>", data)
            info = zipfile.ZipInfo(name, STAMP.timetuple()[:6])
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            out.writestr(info, data)


def set_properties(properties: Any, title: str) -> None:
    """Fill the document properties which all three office libraries call by the same names."""
    properties.title = title
    properties.created = STAMP
    properties.modified = STAMP
    if hasattr(properties, "author"):
        properties.author = AUTHOR
        properties.last_modified_by = AUTHOR
    else:
        properties.creator = AUTHOR
        properties.lastModifiedBy = AUTHOR


# --- PDF ------------------------------------------------------------------------------------


def pdf_table(grid: Grid, body: ParagraphStyle, head: ParagraphStyle) -> Table:
    """Make a table whose cells wrap and whose header row repeats on each page."""
    rows = [[Paragraph(escape(cell), head) for cell in grid.rows[0]]]
    rows += [[Paragraph(escape(cell), body) for cell in row] for row in grid.rows[1:]]
    shares = grid.widths or tuple(1 / len(grid.rows[0]) for _ in grid.rows[0])
    table = Table(rows, colWidths=[PAGE_WIDTH * share for share in shares], repeatRows=1)
    table.setStyle(
        TableStyle(
            [
                ("GRID", (0, 0), (-1, -1), 0.4, colors.grey),
                ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ]
        )
    )
    return table


def pdf_flowables(document: Document) -> Iterator[Any]:
    """Turn the blocks of a document into reportlab flowables."""
    styles = getSampleStyleSheet()
    body = ParagraphStyle("Body", parent=styles["BodyText"], fontSize=10, leading=13.5)
    cell = ParagraphStyle("Cell", parent=body, fontSize=8.5, leading=10.5)
    head = ParagraphStyle("CellHead", parent=cell, fontName="Helvetica-Bold")
    code = ParagraphStyle("Commands", parent=styles["Code"], fontSize=8, leading=10.5)
    for level in (2, 3):
        styles[f"Heading{level}"].keepWithNext = 1
    yield Paragraph(escape(document.title), styles["Title"])
    yield Paragraph(escape(document.subtitle), styles["Italic"])
    yield Spacer(1, 5 * mm)
    for block in document.blocks:
        match block:
            case Head(text, level):
                yield Paragraph(escape(text), styles[f"Heading{level + 1}"])
            case Para(text):
                yield Paragraph(escape(text), body)
            case Items(items, numbered):
                entries = [Paragraph(escape(item), body) for item in items]
                yield ListFlowable(entries, bulletType="1" if numbered else "bullet")
            case Grid():
                yield pdf_table(block, cell, head)
                yield Spacer(1, 3 * mm)
            case Code(text):
                yield Preformatted(text, code)
                yield Spacer(1, 2 * mm)


def build_pdf(document: Document, target: Path) -> None:
    """Write one PDF with a running header and page numbers."""

    def decorate(canvas: Any, template: Any) -> None:
        canvas.saveState()
        canvas.setFont("Helvetica", 8)
        canvas.drawString(20 * mm, A4[1] - 12 * mm, f"Tarnwell - {document.title}")
        canvas.drawRightString(A4[0] - 20 * mm, 12 * mm, f"Page {template.page}")
        canvas.restoreState()

    template = SimpleDocTemplate(
        str(target),
        pagesize=A4,
        leftMargin=20 * mm,
        rightMargin=20 * mm,
        topMargin=20 * mm,
        bottomMargin=20 * mm,
        title=document.title,
        author=AUTHOR,
        invariant=1,
    )
    template.build(list(pdf_flowables(document)), onFirstPage=decorate, onLaterPages=decorate)


# --- DOCX -----------------------------------------------------------------------------------


def add_docx_block(file: Any, block: Block) -> None:
    """Append one block to a Word document."""
    match block:
        case Head(text, level):
            file.add_heading(text, level=level)
        case Para(text):
            file.add_paragraph(text)
        case Items(items, numbered):
            for item in items:
                file.add_paragraph(item, style="List Number" if numbered else "List Bullet")
        case Code(text):
            file.add_paragraph().add_run(text).font.name = "Courier New"
        case Grid(rows):
            table = file.add_table(rows=0, cols=len(rows[0]), style="Table Grid")
            for number, row in enumerate(rows):
                for cell, text in zip(table.add_row().cells, row, strict=True):
                    cell.paragraphs[0].add_run(text).bold = number == 0
            file.add_paragraph()


def build_docx(document: Document, target: Path) -> None:
    """Write one Word document."""
    file = docx.Document()
    set_properties(file.core_properties, document.title)
    file.add_heading(document.title, level=0)
    file.add_paragraph(document.subtitle)
    for block in document.blocks:
        add_docx_block(file, block)
    buffer = BytesIO()
    file.save(buffer)
    write_archive(buffer.getvalue(), target)


# --- XLSX -----------------------------------------------------------------------------------


def build_xlsx(workbook: Workbook, target: Path) -> None:
    """Write one spreadsheet with bold, frozen header rows."""
    file = openpyxl.Workbook()
    file.remove(file.worksheets[0])
    set_properties(file.properties, workbook.title)
    for sheet in workbook.sheets:
        page = file.create_sheet(sheet.name)
        for row in sheet.rows:
            page.append(list(row))
        for number, width in enumerate(sheet.widths, start=1):
            page.column_dimensions[get_column_letter(number)].width = width
            page.cell(row=1, column=number).font = Font(bold=True)
        for cells in page.iter_rows(min_row=2):
            for cell in cells:
                if isinstance(cell.value, date):
                    cell.number_format = "yyyy-mm-dd"
        page.freeze_panes = "A2"
    buffer = BytesIO()
    file.save(buffer)
    write_archive(buffer.getvalue(), target)


# --- PPTX -----------------------------------------------------------------------------------


def add_slide_grid(page: Any, rows: tuple[Row, ...]) -> None:
    """Put a table below the title of a slide."""
    shape = page.shapes.add_table(
        len(rows), len(rows[0]), Inches(0.6), Inches(1.7), Inches(8.8), Inches(0.4 * len(rows))
    )
    for row_number, row in enumerate(rows):
        for column, text in enumerate(row):
            cell = shape.table.cell(row_number, column)
            cell.text = text
            cell.text_frame.paragraphs[0].font.size = Pt(14)


def add_slide(file: Any, slide: Slide) -> None:
    """Append one slide: a title with bullets, or a title with a table."""
    page = file.slides.add_slide(file.slide_layouts[5 if slide.grid else 1])
    page.shapes.title.text = slide.title
    if slide.bullets:
        frame = page.placeholders[1].text_frame
        frame.text = slide.bullets[0]
        for bullet in slide.bullets[1:]:
            frame.add_paragraph().text = bullet
    if slide.grid:
        add_slide_grid(page, slide.grid)
    if slide.notes:
        page.notes_slide.notes_text_frame.text = slide.notes


def build_pptx(deck: Deck, target: Path) -> None:
    """Write one slide deck, beginning with a title slide."""
    file = pptx.Presentation()
    set_properties(file.core_properties, deck.title)
    cover: Any = file.slides.add_slide(file.slide_layouts[0])
    cover.shapes.title.text = deck.title
    cover.placeholders[1].text = deck.subtitle
    for slide in deck.slides:
        add_slide(file, slide)
    buffer = BytesIO()
    file.save(buffer)
    write_archive(buffer.getvalue(), target)


# --- build and check ------------------------------------------------------------------------


def pdf_text(path: Path) -> str:
    """Return the text of all pages."""
    return "\n".join(page.extract_text() for page in PdfReader(path).pages)


def docx_text(path: Path) -> str:
    """Return the text of paragraphs and table cells, in this order."""
    file = docx.Document(str(path))
    lines = [f"{item.style and item.style.name}: {item.text}" for item in file.paragraphs]
    rows = [row for table in file.tables for row in table.rows]
    return "\n".join(lines + [" | ".join(cell.text for cell in row.cells) for row in rows])


def xlsx_text(path: Path) -> str:
    """Return the values of all sheets."""
    file = openpyxl.load_workbook(path)
    return "\n".join(
        f"{sheet.title}: " + " | ".join(str(value) for value in row)
        for sheet in file.worksheets
        for row in sheet.iter_rows(values_only=True)
    )


def pptx_text(path: Path) -> str:
    """Return titles, bullets, table cells and speaker notes."""
    lines: list[str] = []
    for page in pptx.Presentation(str(path)).slides:
        for item in page.shapes:
            shape: Any = item
            if shape.has_text_frame:
                lines.append(shape.text_frame.text)
            if shape.has_table:
                lines += [" | ".join(c.text for c in row.cells) for row in shape.table.rows]
        notes: Any = page.notes_slide.notes_text_frame if page.has_notes_slide else None
        if notes is not None:
            lines.append(notes.text)
    return "\n".join(lines)


READERS: dict[str, Callable[[Path], str]] = {
    ".pdf": pdf_text,
    ".docx": docx_text,
    ".xlsx": xlsx_text,
    ".pptx": pptx_text,
}


def build_all(root: Path) -> list[str]:
    """Build every file below the root and return their paths relative to it."""
    jobs: list[tuple[str, Callable[[Path], None]]] = []
    jobs += [(item.path, partial(build_pdf, item)) for item in DOCUMENTS_PDF]
    jobs += [(item.path, partial(build_docx, item)) for item in DOCUMENTS_DOCX]
    jobs += [(book.path, partial(build_xlsx, book)) for book in WORKBOOKS]
    jobs += [(deck.path, partial(build_pptx, deck)) for deck in DECKS]
    for path, build in jobs:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        build(target)
    return [path for path, _ in jobs]


def check(root: Path) -> int:
    """Compare the text of the stored files with a fresh build; return the number that differ."""
    different = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in build_all(Path(folder)):
            read = READERS[Path(path).suffix]
            stored, fresh = root / path, Path(folder) / path
            if not stored.is_file():
                verdict = "MISSING"
            elif read(stored) != read(fresh):
                verdict = "DIFFERENT TEXT"
            else:
                same = stored.read_bytes() == fresh.read_bytes()
                verdict = "same bytes" if same else "same text"
            different += verdict.isupper()
            print(f"{path}: {verdict}")
    return different


def main() -> int:
    """Build the files next to this script, or compare them when asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, do not write")
    if parser.parse_args().check:
        return 1 if check(HERE) else 0
    for path in build_all(HERE):
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
