"""Files from the wild, odd, broken and encrypted: each is read or rejected with a code, and none harms the parser."""

from __future__ import annotations

import tarfile
from collections import Counter
from pathlib import Path

from ingestion.chunking import Chunker
from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.parsing import DocumentParser
from ingestion.parsing.ocr import is_installed
from ingestion.settings import ChunkingSettings, ParsingSettings
from tests.ingestion.documents import assert_chunked, assert_well_formed, characters_in_fours, document_source

_NEVER = {
    RejectionCode.PARSER_CRASHED,
    RejectionCode.TIMEOUT,
    RejectionCode.OUT_OF_MEMORY,
    RejectionCode.BINARY,
    RejectionCode.CORRUPT,
    RejectionCode.TYPE_MISMATCH,
}


def test_files_from_the_wild(eval_data: Path) -> None:
    settings = ChunkingSettings()
    chunker = Chunker(settings, characters_in_fours)
    outcomes: Counter[str] = Counter()
    with DocumentParser(ParsingSettings()) as parser:
        for archive in sorted((eval_data / "documents").glob("*.tar.gz")):
            with tarfile.open(archive) as files:
                for member in files:
                    content = files.extractfile(member)
                    if content is None:
                        continue
                    try:
                        document = parser.parse(document_source(Path(member.name).name, content.read()))
                    except DocumentRejected as rejection:
                        outcomes[rejection.reason] += 1
                    else:
                        assert_well_formed(document)
                        assert_chunked(document, chunker.chunk(document), settings.hard_max_tokens)
                        outcomes["read"] += 1
    assert not _NEVER & outcomes.keys(), outcomes
    assert outcomes["read"] >= 180
    assert outcomes[RejectionCode.ENCRYPTED] == 4
    assert outcomes[RejectionCode.NEEDS_OCR] == (0 if is_installed() else 3)
