"""Text recognition (OCR) for scanned pages and pictures, where the optional extra `plumbline[ocr]` is installed.

What it returns may have wrong characters and has lost its indentation: every element of it is marked `ocr`.
"""

from __future__ import annotations

import importlib.util
import io
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ingestion.corpus.records import ElementKind
from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.parsing.building import Block, Parsed, assemble, clean, squeeze

if TYPE_CHECKING:
    import numpy as np

    Picture = np.ndarray[Any, np.dtype[np.uint8]]

HOW_TO_INSTALL = "Install text recognition with `pip install 'plumbline[ocr]'`, or upload the document as text."
LONGEST_SIDE = 2000
"""Pixels; of a larger picture nothing more is read, in more time."""
_PARAGRAPH_GAP = 0.9
"""Between lines of two paragraphs, in line heights."""
_COLUMN_LINES = 5
_COLUMN_CHARS = 18


def is_installed() -> bool:
    """Whether the extra is there; nothing is imported."""
    return all(importlib.util.find_spec(name) is not None for name in ("rapidocr", "onnxruntime"))


@dataclass(frozen=True, slots=True)
class _Line:
    """Words in a row, with the box around them in pixels from the upper left corner."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        return max(1.0, self.bottom - self.top)


class Recogniser:
    """Reads pictures. Its models come with the first page: some seconds; each page takes some seconds and 1 GB."""

    def __init__(self, take_more_time: Callable[[int], None], max_pages: int) -> None:
        self._take_more_time = take_more_time
        self.max_pages = max_pages

    @cached_property
    def _engine(self) -> Any:
        import cv2  # type: ignore[import-not-found,unused-ignore]
        from rapidocr import RapidOCR  # type: ignore[import-not-found,unused-ignore]

        cv2.setNumThreads(1)
        return RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.use_cls": False,  # it turned some upright lines over, which made nonsense of them
                "Global.max_side_len": LONGEST_SIDE,
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                "EngineConfig.onnxruntime.enable_cpu_mem_arena": False,
            }
        )

    def begin(self, pages: int) -> None:
        """Has the time for so many pages allowed; once for each document."""
        self._take_more_time(min(pages, self.max_pages))

    def read(self, picture: Picture, page: int | None) -> list[Block]:
        """The paragraphs of a picture, `(height, width, 3) uint8` in the order blue, green, red."""
        found = self._engine(picture)
        if found.txts is None or found.boxes is None:
            return []
        lines = [
            _Line(words, *(float(side) for side in (*box.min(axis=0), *box.max(axis=0))))
            for words, box in zip(map(_words, found.txts), found.boxes, strict=True)
            if words
        ]
        paragraphs = [run for column in _columns(lines) for run in _paragraphs(_rows(column))]
        return [Block(ElementKind.OCR, text, page=page) for text in paragraphs]


def parse_picture(data: bytes, recogniser: Recogniser) -> Parsed:
    """The text of a picture file; the frames of a TIFF are its pages.

    Raises:
        DocumentRejected: CORRUPT, or NO_TEXT if none is found.
    """
    import numpy as np
    from PIL import Image, ImageOps, ImageSequence

    with Image.open(io.BytesIO(data)) as image:
        frames = min(int(getattr(image, "n_frames", 1)), recogniser.max_pages)
        recogniser.begin(frames)
        blocks: list[Block] = []
        for number, frame in zip(range(1, frames + 1), ImageSequence.Iterator(image), strict=False):
            upright = ImageOps.exif_transpose(frame).convert("RGB")
            upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            picture = np.ascontiguousarray(np.asarray(upright)[:, :, ::-1])
            blocks += recogniser.read(picture, number if frames > 1 else None)
    if not blocks:
        raise DocumentRejected(RejectionCode.NO_TEXT, "No text was recognised in the picture. Leave it out.")
    text, elements = assemble(blocks)
    return Parsed(text, elements)


def _words(text: str) -> str:
    return squeeze(clean(text))


def _columns(lines: Sequence[_Line]) -> Iterator[list[_Line]]:
    """Lines in reading order: where two columns of running text stand side by side, the left one first, between
    what goes across both."""
    gutter = _gutter(lines)
    if gutter is None:
        yield list(lines)
        return
    across = sorted((line for line in lines if line.left < gutter < line.right), key=lambda line: line.top)
    beside = [line for line in lines if line not in across]
    top = float("-inf")
    for bottom, title in [*((line.top, line) for line in across), (float("inf"), None)]:
        between = [line for line in beside if top <= line.top < bottom]
        yield [line for line in between if line.right <= gutter]
        yield [line for line in between if line.left >= gutter]
        if title is not None:
            yield [title]
        top = bottom


def _gutter(lines: Sequence[_Line]) -> float | None:
    """Where a page of two columns is parted, in pixels; None for a page of one, or of a table."""
    if len(lines) < 2 * _COLUMN_LINES:
        return None
    left, right = min(line.left for line in lines), max(line.right for line in lines)
    for share in (0.5, 0.47, 0.53, 0.44, 0.56):
        middle = left + share * (right - left)
        sides = ([line for line in lines if line.right <= middle], [line for line in lines if line.left >= middle])
        running = all(
            len(side) >= _COLUMN_LINES and statistics.median(len(line.text) for line in side) >= _COLUMN_CHARS
            for side in sides
        )
        if running and len(lines) - sum(map(len, sides)) <= len(lines) // 5:
            return middle
    return None


def _rows(lines: Sequence[_Line]) -> list[_Line]:
    """Lines from top to bottom, pieces at the same height as one."""
    rows: list[list[_Line]] = []
    for line in sorted(lines, key=lambda line: line.top):
        last = rows[-1][-1] if rows else None
        overlap = min(last.bottom, line.bottom) - max(last.top, line.top) if last is not None else 0.0
        if last is not None and overlap > 0.5 * min(last.height, line.height):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [_joined(sorted(row, key=lambda line: line.left)) for row in rows]


def _joined(row: Sequence[_Line]) -> _Line:
    return _Line(
        "  ".join(line.text for line in row),
        row[0].left,
        min(line.top for line in row),
        max(line.right for line in row),
        max(line.bottom for line in row),
    )


def _paragraphs(rows: Sequence[_Line]) -> Iterator[str]:
    """Text of neighbouring lines that stand close."""
    run: list[_Line] = []
    for row in rows:
        if run and row.top - run[-1].bottom > _PARAGRAPH_GAP * min(run[-1].height, row.height):
            yield "\n".join(line.text for line in run)
            run = []
        run.append(row)
    if run:
        yield "\n".join(line.text for line in run)
