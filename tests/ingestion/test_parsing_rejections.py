"""Bad input: each document fails alone, with its code and a sentence, and the next one is read as ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.parsing import DocumentParser
from ingestion.settings import ParsingSettings
from tests.ingestion import hostile
from tests.ingestion.documents import document_source

_MAX_BYTES = 2_000_000


@pytest.fixture(scope="module")
def parser() -> Iterator[DocumentParser]:
    with DocumentParser(ParsingSettings(max_bytes=_MAX_BYTES, max_text_chars=500_000)) as opened:
        yield opened


_CASES: list[tuple[str, Callable[[], bytes], RejectionCode]] = [
    ("empty.md", lambda: b"", RejectionCode.EMPTY),
    ("blank.md", lambda: b" \r\n\t\n", RejectionCode.EMPTY),
    ("blank.docx", lambda: b"\xef\xbb\xbf\n", RejectionCode.EMPTY),
    ("huge.md", lambda: b"a " * _MAX_BYTES, RejectionCode.TOO_LARGE),
    ("long.md", lambda: b"a b\n" * 200_000, RejectionCode.TOO_LARGE),
    ("locked.pdf", lambda: hostile.pdf([["secret"]], "password"), RejectionCode.ENCRYPTED),
    ("locked.docx", hostile.encrypted_docx, RejectionCode.ENCRYPTED),
    ("locked-zip.docx", hostile.encrypted_zip, RejectionCode.ENCRYPTED),
    ("cut.pdf", lambda: hostile.pdf([["text"]])[:300], RejectionCode.CORRUPT),
    ("cut.docx", lambda: hostile.docx(["text " * 100])[:-40], RejectionCode.CORRUPT),
    ("hollow.docx", lambda: hostile.archive({"[Content_Types].xml": b"<x/>", "word/y": b""}), RejectionCode.CORRUPT),
    ("noise.pdf", hostile.noise, RejectionCode.CORRUPT),
    ("broken.json", lambda: b'{"a": [1, 2', RejectionCode.CORRUPT),
    ("nobody.eml", lambda: b"just words\n", RejectionCode.CORRUPT),
    ("pdf.md", lambda: hostile.pdf([["text"]]), RejectionCode.TYPE_MISMATCH),
    ("docx.txt", lambda: hostile.docx(["text"]), RejectionCode.TYPE_MISMATCH),
    ("picture.docx", hostile.png, RejectionCode.TYPE_MISMATCH),
    ("picture.md", hostile.png, RejectionCode.TYPE_MISMATCH),
    ("words.pdf", lambda: b"only words", RejectionCode.TYPE_MISMATCH),
    ("words.rtf", lambda: b"only words", RejectionCode.TYPE_MISMATCH),
    ("archive.docx", lambda: hostile.archive({"a.txt": b"text"}), RejectionCode.TYPE_MISMATCH),
    ("noise.md", hostile.noise, RejectionCode.BINARY),
    ("noise.html", hostile.noise, RejectionCode.BINARY),
    ("bomb.docx", hostile.zip_bomb, RejectionCode.ARCHIVE_BOMB),
    ("liar.docx", hostile.lying_zip_bomb, RejectionCode.ARCHIVE_BOMB),
    ("crowd.docx", hostile.crowded_zip, RejectionCode.ARCHIVE_BOMB),
    ("scan.pdf", hostile.scanned_pdf, RejectionCode.NEEDS_OCR),
    ("blank.pdf", lambda: hostile.pdf([[]]), RejectionCode.NO_TEXT),
    ("front.md", lambda: b"---\ntitle: Nothing else\n---\n", RejectionCode.NO_TEXT),
    ("empty.html", lambda: b"<html><body><script>x()</script></body></html>", RejectionCode.NO_TEXT),
    ("letter.doc", lambda: b"text", RejectionCode.UNSUPPORTED_TYPE),
    ("noname", lambda: b"text", RejectionCode.UNSUPPORTED_TYPE),
]


@pytest.mark.parametrize(("name", "build", "reason"), _CASES, ids=[case[0] for case in _CASES])
def test_bad_documents_are_rejected_alone(
    parser: DocumentParser, name: str, build: Callable[[], bytes], reason: RejectionCode
) -> None:
    with pytest.raises(DocumentRejected) as caught:
        parser.parse(document_source(name, build()))
    assert caught.value.reason is reason
    assert len(caught.value.detail.split()) > 6
    assert caught.value.detail.endswith(".")
    assert parser.parse(document_source("next.md", "# Next\n\nfine")).title == "Next"


def test_unsupported_types_are_told_the_supported_ones(parser: DocumentParser) -> None:
    with pytest.raises(DocumentRejected, match=r"\.docx, .*\.md, .*\.pdf"):
        parser.parse(document_source("letter.pages", "text"))


def test_a_mislabelled_file_is_told_its_real_type(parser: DocumentParser) -> None:
    with pytest.raises(DocumentRejected, match=r"a\.md is named as Markdown, but its content is a PDF file\..*\.pdf"):
        parser.parse(document_source("a.md", hostile.pdf([["text"]])))


def test_text_that_mentions_a_pdf_is_text(parser: DocumentParser) -> None:
    assert parser.parse(document_source("a.md", "Files begin with %PDF-1.7, mostly.")).text.startswith("Files")


def test_brackets_by_the_thousand_are_only_text(parser: DocumentParser) -> None:
    source = hostile.brackets()
    assert parser.parse(document_source("a.md", source)).text == source.decode()
