"""Every chunk of every sample document, cut with the real tokenizer: exact, complete, and no command harmed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from ingestion.chunking import chunker_for
from ingestion.corpus.embedding import Embedder, open_embedder
from ingestion.corpus.records import Chunk, ElementKind, ParsedDocument
from ingestion.parsing import DocumentParser
from ingestion.parsing.formats import SUFFIXES
from ingestion.parsing.frontmatter import split_front_matter
from ingestion.pipeline import embedding_text
from ingestion.settings import ChunkingSettings, EmbedderSettings, ParsingSettings
from tests.conftest import REPO
from tests.ingestion.documents import assert_chunked, assert_well_formed, document_source

_SETTINGS = ChunkingSettings()
_SPECIAL_TOKENS = 2
_PATHS = sorted(path for path in (REPO / "sample_docs").rglob("*") if path.suffix in SUFFIXES)


@pytest.fixture(scope="module")
def parser() -> Iterator[DocumentParser]:
    with DocumentParser(ParsingSettings()) as opened:
        yield opened


@pytest.fixture(scope="module")
def embedder(models_dir: Path) -> Iterator[Embedder]:
    opened = open_embedder(EmbedderSettings(), models_dir)
    yield opened
    opened.close()


def read(parser: DocumentParser, path: Path) -> ParsedDocument:
    return parser.parse(document_source(path.name, path.read_bytes()))


def cut(embedder: Embedder, document: ParsedDocument) -> tuple[Chunk, ...]:
    return chunker_for(_SETTINGS, embedder).chunk(document)


def test_there_are_sample_documents_of_every_kind() -> None:
    assert {path.suffix for path in _PATHS} >= {".md", ".html", ".txt", ".pdf", ".docx", ".xlsx", ".pptx", ".eml"}


@pytest.mark.parametrize("path", _PATHS, ids=lambda path: str(path.relative_to(REPO)))
def test_chunks_are_exact_and_cover_the_text(parser: DocumentParser, embedder: Embedder, path: Path) -> None:
    document = read(parser, path)
    assert_well_formed(document)
    chunks = cut(embedder, document)
    assert chunks
    assert_chunked(document, chunks, _SETTINGS.hard_max_tokens)
    encoded = embedder.count_tokens([embedding_text(document.title, chunk) for chunk in chunks])
    assert max(encoded) + _SPECIAL_TOKENS <= embedder.max_tokens
    for chunk in chunks:
        assert set(chunk.kinds) != {ElementKind.HEADING}
        if not {ElementKind.CODE, ElementKind.TABLE} & set(chunk.kinds):
            headings = sum(line.startswith("#") for line in chunk.text.split("\n"))
            assert chunk.tokens <= _SETTINGS.max_tokens + 20 * max(1, headings)


@pytest.mark.parametrize(
    "path", [path for path in _PATHS if path.suffix == ".md"], ids=lambda path: str(path.relative_to(REPO))
)
def test_no_fenced_command_lost_or_gained_a_byte(parser: DocumentParser, embedder: Embedder, path: Path) -> None:
    """Each fence of the source stands in one chunk, its lines as they were written."""
    source = path.read_text(encoding="utf-8")
    _, body = split_front_matter(source)
    document = read(parser, path)
    assert document.text == body
    chunks = cut(embedder, document)
    lines = body.split("\n")
    for token in MarkdownIt("commonmark").parse(body):
        if token.type != "fence":
            continue
        assert token.map is not None
        written = "\n".join(lines[token.map[0] : token.map[1]]).rstrip()
        assert any(written in chunk.text or written.lstrip() in chunk.text for chunk in chunks), written
        inside = written.split("\n")[1:-1]
        assert [line.strip() for line in token.content.rstrip("\n").split("\n")] == [line.strip() for line in inside]


def test_commands_of_pages_are_kept_verbatim(parser: DocumentParser) -> None:
    """What a browser shows of each `pre` stands in the text."""
    from selectolax.lexbor import LexborHTMLParser

    for path in (path for path in _PATHS if path.suffix == ".html"):
        document = read(parser, path)
        for block in LexborHTMLParser(path.read_text(encoding="utf-8")).css("main pre, article pre"):
            assert block.text().strip("\n") in document.text
