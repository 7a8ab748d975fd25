"""Scanned pages and pictures: read where text recognition is installed, else rejected with the way to install it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from ingestion.corpus.records import ElementKind
from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.parsing import DocumentParser
from ingestion.parsing.detect import readable_suffixes
from ingestion.parsing.ocr import is_installed
from ingestion.settings import ParsingSettings
from tests.ingestion import hostile
from tests.ingestion.documents import assert_well_formed, document_source

if TYPE_CHECKING:
    from PIL.Image import Image

needs_extra = pytest.mark.skipif(not is_installed(), reason="the extra plumbline[ocr] is not installed")
without_extra = pytest.mark.skipif(is_installed(), reason="the extra plumbline[ocr] is installed")

_PAGES = (
    ["Failover of the north gateway", "The gateway is restarted by the person on duty.", "tw drain gw-01 --all"],
    ["Der zweite Dienst läuft nicht.", "Bitte die Größe prüfen und melden."],
)


@pytest.fixture(scope="module")
def parser() -> Iterator[DocumentParser]:
    with DocumentParser(ParsingSettings(ocr_page_timeout_s=120.0)) as opened:
        yield opened


def pictures() -> list[Image]:
    """Each page as a picture of 150 dots an inch."""
    import pypdfium2

    document = pypdfium2.PdfDocument(hostile.pdf([list(page) for page in _PAGES]))
    return [page.render(scale=150 / 72).to_pil().convert("RGB") for page in document]


def saved(kind: str, **more: object) -> bytes:
    target = io.BytesIO()
    first, *rest = pictures()
    if kind in ("PDF", "TIFF"):
        first.save(target, kind, save_all=True, append_images=rest, **more)
    else:
        first.save(target, kind)
    return target.getvalue()


@without_extra
@pytest.mark.parametrize(
    ("name", "kind"), [("scan.pdf", "PDF"), ("scan.png", "PNG"), ("scan.tiff", "TIFF"), ("scan.jpg", "JPEG")]
)
def test_without_the_extra_the_way_to_install_it_is_named(parser: DocumentParser, name: str, kind: str) -> None:
    with pytest.raises(DocumentRejected, match=r"pip install 'plumbline\[ocr\]'") as caught:
        parser.parse(document_source(name, saved(kind)))
    assert caught.value.reason is RejectionCode.NEEDS_OCR
    assert ".png" not in readable_suffixes()


@without_extra
def test_pages_that_stay_unread_are_counted(parser: DocumentParser) -> None:
    import pypdfium2

    document = pypdfium2.PdfDocument(hostile.pdf([["A page of text."]]))
    document.import_pages(pypdfium2.PdfDocument(saved("PDF", resolution=150)))
    target = io.BytesIO()
    document.save(target)
    read = parser.parse(document_source("mixed.pdf", target.getvalue()))
    assert read.text == "A page of text."
    assert read.metadata["pages_needing_ocr"] == 2


@needs_extra
@pytest.mark.parametrize(("name", "kind"), [("scan.pdf", "PDF"), ("scan.tiff", "TIFF")])
def test_scanned_pages_are_read_with_their_numbers(parser: DocumentParser, name: str, kind: str) -> None:
    document = parser.parse(document_source(name, saved(kind, resolution=150)))
    assert_well_formed(document)
    assert {element.kind for element in document.elements} == {ElementKind.OCR}
    for number, page in enumerate(_PAGES, start=1):
        found = "".join(e.span.of(document.text) for e in document.elements if e.page == number)
        assert "".join("".join(page).split()) == "".join(found.split())  # a space more or less is the recogniser's


@needs_extra
def test_a_picture_is_a_document(parser: DocumentParser) -> None:
    document = parser.parse(document_source("scan.png", saved("PNG")))
    assert document.text.split("\n") == list(_PAGES[0])
    assert document.media_type == "image/png"
    assert ".png" in readable_suffixes()


@needs_extra
def test_a_picture_without_words_holds_no_text(parser: DocumentParser) -> None:
    with pytest.raises(DocumentRejected) as caught:
        parser.parse(document_source("grey.png", hostile.png()))
    assert caught.value.reason is RejectionCode.NO_TEXT


@needs_extra
def test_the_time_grows_with_the_pages() -> None:
    """Two pages take some seconds each: the limit of one document alone would not do."""
    settings = ParsingSettings(timeout_s=1.5, ocr_page_timeout_s=120.0)
    with DocumentParser(settings) as parser:
        assert len(parser.parse(document_source("scan.pdf", saved("PDF", resolution=150))).elements) >= 2
