"""Files that mean harm: each is read or rejected with a code within its time, and nothing is left behind."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.parsing import DocumentParser
from ingestion.settings import ParsingSettings
from tests.ingestion import hostile
from tests.ingestion.documents import assert_well_formed, document_source

_ALLOWED = set(RejectionCode) - {RejectionCode.PARSER_CRASHED, RejectionCode.UNREADABLE, RejectionCode.INVALID_DOCUMENT}
_NEXT = document_source("next.md", "# Next\n\nfine")


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The only folder for temporary files, so that whatever is left there is seen."""
    folder = tmp_path_factory.mktemp("scratch")
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    yield folder
    tempfile.tempdir = before


@pytest.fixture(scope="module")
def parser(scratch: Path) -> Iterator[DocumentParser]:
    with DocumentParser(ParsingSettings(timeout_s=4, max_text_chars=2_000_000)) as opened:
        yield opened


@pytest.mark.parametrize("name", hostile.bombs())
def test_a_bomb_costs_one_document(parser: DocumentParser, name: str) -> None:
    rejection = None
    try:
        assert_well_formed(parser.parse(document_source(name, hostile.bombs()[name]())))
    except DocumentRejected as error:
        rejection = error
    assert rejection is None or (rejection.reason in _ALLOWED and rejection.detail.endswith(".")), rejection
    assert parser.parse(_NEXT).title == "Next"


def test_files_of_the_machine_are_not_read(parser: DocumentParser) -> None:
    assert "root:" not in parser.parse(document_source("a.docx", hostile.outside_entity())).text


def test_nothing_is_left_behind(scratch: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    children = {child.pid for child in psutil.Process().children(recursive=True)}
    with DocumentParser(ParsingSettings(timeout_s=2)) as parser:
        existing = set(scratch.iterdir())
        for name in ("endless.org", "swelling.json", "exploding.pdf", "crowded-zip.docx", "deep.rst"):
            with pytest.raises(DocumentRejected):
                parser.parse(document_source(name, hostile.bombs()[name]()))
            assert len(set(scratch.iterdir()) - existing) <= 1
    assert set(scratch.iterdir()) == existing
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= children
