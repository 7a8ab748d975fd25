"""PDF: lines of each page gathered into headings, paragraphs, list items and code by font and position."""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pypdfium2
from pypdfium2 import raw

from ingestion.corpus.records import ElementKind, MetadataValue
from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.parsing.building import Block, Parsed, assemble, clean, squeeze
from ingestion.parsing.ocr import HOW_TO_INSTALL, LONGEST_SIDE, Recogniser

_MONOSPACE = re.compile(r"mono|courier|consol|menlo|inconsolata|typewriter|cmtt", re.IGNORECASE)
_BOLD = re.compile(r"bold|black|heavy|semibold", re.IGNORECASE)
_ITEM = re.compile(r"(?:[-*\u2022\u2023\u25cf\u25aa\u2013\u00b7]|\d{1,3}[.)])\s+\S")
_WORD = re.compile(r"[^\W\d_]{2}")
_DIGITS = re.compile(r"\d+")
_MARK = re.compile(r"\d{1,3}[.)]?|[-*\u2022\u2023\u25cf\u25aa\u2013\u00b7]")
_FIXED_PITCH = 1
_COLUMN_GAP = 1.2
"""Width of a gap between columns, in font sizes; justified words stand closer."""
_BEARING = 0.1
"""Part of a character's width that its box leaves free on both sides."""
_HEADING_RATIO = 1.12
_LONGEST_HEADING = 150
_LEAST_PAGES_FOR_MARGINS = 3
_SCAN_SCALE = 150 / 72
"""Pixels a point for text recognition: 150 dots an inch."""


@dataclass(frozen=True, slots=True)
class _Line:
    """`left` and `bottom` in points from the page's lower left corner; `width` of an average character.
    `row`: it has columns; `item`: it begins with a number that stands apart."""

    text: str
    page: int
    size: float
    left: float
    bottom: float
    width: float
    monospace: bool
    bold: bool
    row: bool
    item: bool


def parse_pdf(data: bytes, recogniser: Callable[[], Recogniser | None]) -> Parsed:
    """Text of all pages; the title is the document's own, else the largest heading of page 1. `recogniser` is asked
    for only if there are pages that hold pictures and no text; how many stay unread is metadata.

    Raises:
        DocumentRejected: ENCRYPTED, CORRUPT, NO_TEXT, or NEEDS_OCR if all its pages hold pictures and no text.
    """
    document = _open(data)
    try:
        pages = len(document)
        lines: list[_Line] = []
        scanned: list[int] = []
        for index in range(pages):
            page_lines = _read_page(document, index)
            lines.extend(page_lines)
            if not page_lines and _has_pictures(document, index):
                scanned.append(index)
        reader = recogniser() if scanned else None
        if not lines and (reader is None or not scanned):
            raise _no_text(bool(scanned), pages)
        recognised = _recognise(document, scanned, reader) if reader is not None else []
        named = squeeze(clean(document.get_metadata_dict().get("Title", "")))
    finally:
        document.close()
    blocks = list(_blocks(_without_margins(lines), _heading_sizes(lines))) if lines else []
    if recognised:
        blocks = sorted([*blocks, *recognised], key=lambda block: block.page or 0)
    if not blocks:
        raise _no_text(pictures=False, pages=pages)
    unread = len(scanned) - (min(len(scanned), reader.max_pages) if reader is not None else 0)
    text, elements = assemble(blocks)
    first = [block for block in blocks if block.kind is ElementKind.HEADING and block.page == 1]
    heading = squeeze(min(first, key=lambda block: block.level).text) if first else None
    metadata: dict[str, MetadataValue] = {"pages_needing_ocr": unread} if unread else {}
    return Parsed(text, elements, named if _is_title(named) else heading, metadata)


def _recognise(document: pypdfium2.PdfDocument, scanned: Sequence[int], reader: Recogniser) -> list[Block]:
    """Text in the pictures of these pages, as far as the limit allows."""
    chosen = scanned[: reader.max_pages]
    reader.begin(len(chosen))
    blocks: list[Block] = []
    for index in chosen:
        page = document[index]
        try:
            scale = min(_SCAN_SCALE, LONGEST_SIDE / max(1.0, *page.get_size()))
            bitmap = page.render(scale=scale, rev_byteorder=False, prefer_bgrx=False)
            blocks += reader.read(bitmap.to_numpy()[:, :, :3].copy(), index + 1)
            bitmap.close()
        finally:
            page.close()
    return blocks


def _open(data: bytes) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if error.err_code in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY):
            raise DocumentRejected(
                RejectionCode.ENCRYPTED, "The PDF is protected by a password. Save it without one and upload it again."
            ) from error
        raise DocumentRejected(
            RejectionCode.CORRUPT, "The PDF is damaged or cut short. Export or download it again."
        ) from error


def _no_text(pictures: bool, pages: int) -> DocumentRejected:
    if pictures:
        return DocumentRejected(
            RejectionCode.NEEDS_OCR,
            f"The PDF ({pages} pages) holds pictures without text. {HOW_TO_INSTALL}",
        )
    return DocumentRejected(RejectionCode.NO_TEXT, f"The PDF ({pages} pages) holds no text. Export it again as text.")


def _is_title(text: str) -> bool:
    """Not what programs put there by themselves, such as a file name or `untitled`."""
    return bool(_WORD.search(text)) and not re.search(
        r"untitled|anonymous|\.\w{2,4}\Z|\AMicrosoft ", text, re.IGNORECASE
    )


def _read_page(document: pypdfium2.PdfDocument, index: int) -> list[_Line]:
    """The page's lines in reading order; none for a page that cannot be loaded."""
    try:
        page = document[index]
    except pypdfium2.PdfiumError:
        return []
    try:
        textpage = page.get_textpage()
        try:
            return list(_lines(textpage.raw, index + 1))
        finally:
            textpage.close()
    finally:
        page.close()


def _has_pictures(document: pypdfium2.PdfDocument, index: int) -> bool:
    try:
        page = document[index]
    except pypdfium2.PdfiumError:
        return False
    try:
        return any(True for _ in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3))
    finally:
        page.close()


def _lines(textpage: object, page: int) -> Iterator[_Line]:
    count = raw.FPDFText_CountChars(textpage)
    codes = [raw.FPDFText_GetUnicode(textpage, index) for index in range(count)]
    start = 0
    for index in range(count + 1):
        if index < count and codes[index] not in (10, 13):
            continue
        line = _line(textpage, codes, start, index, page)
        if line is not None:
            yield line
        start = index + 1


def _line(textpage: object, codes: Sequence[int], start: int, end: int, page: int) -> _Line | None:
    visible = [index for index in range(start, end) if codes[index] > 32]
    if not visible:
        return None
    first, last = visible[0], visible[-1]
    middle = visible[len(visible) // 2]
    font = _font(textpage, middle)
    left, bottom, _ = _box(textpage, first)
    _, _, right = _box(textpage, last)
    size = round(raw.FPDFText_GetFontSize(textpage, middle) * _scale(textpage, middle), 1)
    advance = (right - left) / (last - first + 1)
    cells = list(_cells(textpage, codes, visible, advance if font[1] else 0, _COLUMN_GAP * size))
    numbered = len(cells) == 2 and _MARK.fullmatch(cells[0])
    return _Line(
        text=(" " if numbered else " | ").join(cells),
        page=page,
        size=size,
        left=left,
        bottom=bottom,
        width=max(0.1, advance),
        monospace=font[1],
        bold=font[2],
        row=len(cells) > 1 and not numbered,
        item=bool(numbered),
    )


def _cells(
    textpage: object, codes: Sequence[int], visible: Sequence[int], advance: float, column_gap: float
) -> Iterator[str]:
    """The line's words, parted where the gap between two of them is that of columns. With `advance`, the width of a
    character in a monospaced font, there are no columns, but as many spaces as the gap is wide."""
    parts: list[str] = []
    start = 0
    for end in range(1, len(visible) + 1):
        if end < len(visible) and visible[end] == visible[end - 1] + 1:
            continue
        if parts:
            gap = _box(textpage, visible[start])[0] - _box(textpage, visible[start - 1])[2]
            if not advance and gap > column_gap:
                yield "".join(parts)
                parts = []
            else:
                parts.append(" " * max(1, round(gap / advance - _BEARING) if advance else 1))
        parts.append(_characters(codes[visible[start] : visible[end - 1] + 1]))
        start = end
    yield "".join(parts)


def _characters(codes: Sequence[int]) -> str:
    """UTF-16 units or code points as text; PDFium marks a hyphen at a line's end as U+0002 or U+FFFE."""
    units = "".join(chr(code) if code < 0x110000 else "" for code in codes)
    text = units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\u0002", "-").replace("\ufffe", "-").replace("\u00ad", "-")


def _scale(textpage: object, index: int) -> float:
    """Vertical scale of the text's matrix, since many programs set size 1 and scale it."""
    matrix = raw.FS_MATRIX()
    if raw.FPDFText_GetMatrix(textpage, index, matrix):
        return float(max(abs(matrix.d), abs(matrix.b))) or 1.0
    return 1.0


def _box(textpage: object, index: int) -> tuple[float, float, float]:
    """`(left, bottom, right)` of a character, in points."""
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    raw.FPDFText_GetCharBox(textpage, index, left, right, bottom, top)
    return left.value, bottom.value, right.value


def _font(textpage: object, index: int) -> tuple[str, bool, bool]:
    """`(name, monospace, bold)` of a character's font."""
    flags = ctypes.c_int()
    buffer = ctypes.create_string_buffer(128)
    raw.FPDFText_GetFontInfo(textpage, index, buffer, 128, flags)
    name = buffer.value.decode("utf-8", "replace")
    return name, bool(flags.value & _FIXED_PITCH) or bool(_MONOSPACE.search(name)), bool(_BOLD.search(name))


def _without_margins(lines: Sequence[_Line]) -> list[_Line]:
    """The lines without running heads and feet: the same words, numbers aside, first or last on most pages."""
    pages: dict[int, list[_Line]] = {}
    for line in lines:
        pages.setdefault(line.page, []).append(line)
    if len(pages) < _LEAST_PAGES_FOR_MARGINS:
        return list(lines)
    edges: Counter[str] = Counter()
    for page in pages.values():
        ordered = sorted(page, key=lambda line: line.bottom)
        edges.update({_DIGITS.sub("0", line.text) for line in (*ordered[:2], *ordered[-2:])})
    repeated = {text for text, times in edges.items() if times > len(pages) * 0.6}
    kept: list[_Line] = []
    for page in pages.values():
        ordered = sorted(page, key=lambda line: line.bottom)
        margin = {id(line) for line in (*ordered[:2], *ordered[-2:]) if _DIGITS.sub("0", line.text) in repeated}
        kept.extend(line for line in page if id(line) not in margin)
    return kept


def _heading_sizes(lines: Sequence[_Line]) -> dict[float, int]:
    """Heading level of each font size that is clearly larger than the body's."""
    sizes: Counter[float] = Counter()
    for line in lines:
        sizes[line.size] += len(line.text)
    body = sizes.most_common(1)[0][0]
    larger = sorted((size for size in sizes if size > body * _HEADING_RATIO), reverse=True)
    return {size: min(level, 6) for level, size in enumerate(larger, start=1)}


def _blocks(lines: Sequence[_Line], sizes: dict[float, int]) -> Iterator[Block]:
    run: list[_Line] = []
    for line in lines:
        if run and not _continues(run, line, sizes):
            yield _block(run, sizes)
            run = []
        run.append(line)
    if run:
        yield _block(run, sizes)


def _kind(line: _Line, sizes: dict[float, int]) -> ElementKind:
    if line.monospace:
        return ElementKind.CODE
    if line.size in sizes and len(line.text) <= _LONGEST_HEADING and _WORD.search(line.text):
        return ElementKind.HEADING
    if line.row:
        return ElementKind.TABLE
    return ElementKind.LIST_ITEM if line.item or _ITEM.match(line.text) else ElementKind.PARAGRAPH


def _continues(run: Sequence[_Line], line: _Line, sizes: dict[float, int]) -> bool:
    """Whether the line belongs to the block before it: same page and kind, close below, no new item."""
    first, last = run[0], run[-1]
    kind, own = _kind(first, sizes), _kind(line, sizes)
    gap = last.bottom - line.bottom
    if line.page != last.page or gap < -line.size:
        return False
    if {kind, own} & {ElementKind.CODE, ElementKind.TABLE}:
        return kind is own and gap < 4 * line.size
    if kind is ElementKind.HEADING or own is ElementKind.HEADING:
        return kind is own and first.size == line.size and gap < 1.8 * line.size
    return own is not ElementKind.LIST_ITEM and gap < 1.75 * max(last.size, 1) and last.bold == line.bold


def _block(run: Sequence[_Line], sizes: dict[float, int]) -> Block:
    kind = _kind(run[0], sizes)
    if kind is ElementKind.CODE:
        return Block(kind, _code(run), page=run[0].page)
    text = clean("\n".join(line.text for line in run))
    if kind is ElementKind.HEADING:
        return Block(kind, squeeze(text), sizes[run[0].size], run[0].page)
    return Block(kind, text, page=run[0].page)


def _code(run: Sequence[_Line]) -> str:
    """Lines with the indentation that their position shows, and an empty line where there is room for one."""
    margin = min(line.left for line in run)
    width = sorted(line.width for line in run)[len(run) // 2]
    parts: list[str] = []
    for index, line in enumerate(run):
        if index and run[index - 1].bottom - line.bottom > 2.2 * line.size:
            parts.append("")
        parts.append(" " * round((line.left - margin) / width) + clean(line.text))
    return "\n".join(parts)
