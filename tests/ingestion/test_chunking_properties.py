"""What holds for the chunks of every document, counted with the default embedder's own tokenizer."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.chunking import Chunker
from ingestion.corpus.embedding import Embedder, open_embedder
from ingestion.corpus.records import Chunk, Element, ElementKind, ParsedDocument, Span
from ingestion.pipeline import embedding_text
from ingestion.settings import ChunkingSettings, EmbedderSettings
from tests.ingestion.documents import assert_chunked

_SPECIAL_TOKENS = 2
_WHOLE = (ElementKind.CODE, ElementKind.TABLE)

_VOCABULARY = (
    *("gateway", "restarts", "ORA-00060", "/var/lib/node_exporter", "漢字かな交じり文。", "naïve", "e\u0301"),
    *("\U0001f469\u200d\U0001f467\U0001f44d\U0001f3fd", "Done.", "Why?", "see:", "x" * 70, "a", "{{ $labels.job }}"),
)


def _some_words(seed: int, most: int) -> list[str]:
    return random.Random(seed).choices(_VOCABULARY, k=1 + seed % most)


_WORDS = st.integers(0, 10_000).map(lambda seed: _some_words(seed, 60))
_PROSE = _WORDS.map(" ".join)
_UNBROKEN = st.tuples(st.sampled_from(["é", "漢", "😀", "=", "aB3", "-"]), st.integers(1, 900)).map(
    lambda t: t[0] * t[1]
)
_LINES = st.lists(st.one_of(_PROSE, st.just(""), st.just("    indented:  1")), min_size=1, max_size=8)
_CODE = _LINES.map(lambda lines: "```\n" + "\n".join(lines) + "\n```")
_ROWS = st.integers(0, 10_000).map(
    lambda seed: ["| " + " | ".join(_some_words(row, 3)) + " |" for row in range(seed, seed + 1 + seed % 30)]
)
_TABLE = _ROWS.map(lambda rows: "\n".join(["| name | value | note |", "| --- | --- | --- |", *rows]))
_HEADING = st.tuples(st.integers(1, 6), _WORDS).map(lambda t: (t[0], " ".join(t[1][: t[0] * 3])))


@dataclass(frozen=True, slots=True)
class _Case:
    document: ParsedDocument
    settings: ChunkingSettings
    longest_input: int


@st.composite
def _cases(draw: st.DrawFn) -> _Case:
    blocks = draw(
        st.lists(
            st.one_of(
                st.tuples(st.just(ElementKind.HEADING), _HEADING),
                st.tuples(st.sampled_from([ElementKind.PARAGRAPH, ElementKind.LIST_ITEM]), _PROSE),
                st.tuples(st.sampled_from([ElementKind.PARAGRAPH, ElementKind.CODE, ElementKind.TABLE]), _UNBROKEN),
                st.tuples(st.just(ElementKind.CODE), _CODE),
                st.tuples(st.just(ElementKind.TABLE), _TABLE),
            ),
            max_size=10,
        )
    )
    text = draw(st.sampled_from(["", "\n", "  \n"]))
    elements = []
    for kind, body in blocks:
        level, words = body if isinstance(body, tuple) else (0, body)
        elements.append(Element(kind, Span(len(text), len(text) + len(words)), level))
        text += words + draw(st.sampled_from(["\n", "\n\n", "\n   \n"]))
    title = draw(st.one_of(st.just("T"), _WORDS.map(" ".join)))
    soft, least, hard = draw(st.sampled_from([(200, 40, 480), (60, 15, 120), (32, 0, 64), (400, 80, 480)]))
    settings = ChunkingSettings(max_tokens=soft, min_tokens=least, hard_max_tokens=hard)
    document = ParsedDocument(text, tuple(elements), title, "text/plain")
    return _Case(document, settings, draw(st.sampled_from([512, 256, 96])))


@pytest.fixture(scope="module")
def embedder(models_dir: Path) -> Iterator[Embedder]:
    opened = open_embedder(EmbedderSettings(), models_dir)
    yield opened
    opened.close()


def cut(case: _Case, embedder: Embedder) -> tuple[Chunk, ...]:
    return Chunker(case.settings, embedder.count_tokens, lambda: case.longest_input).chunk(case.document)


def hard_limit(case: _Case) -> int:
    return min(case.settings.hard_max_tokens, case.longest_input - 32)


@given(_cases())
def test_chunks_are_exact_in_order_disjoint_complete_and_within_limits(embedder: Embedder, case: _Case) -> None:
    chunks = cut(case, embedder)
    assert_chunked(case.document, chunks, hard_limit(case))
    assert [chunk.tokens for chunk in chunks] == embedder.count_tokens([chunk.text for chunk in chunks])


@given(_cases())
def test_code_and_tables_within_the_hard_limit_are_whole(embedder: Embedder, case: _Case) -> None:
    chunks = cut(case, embedder)
    blocks = [element for element in case.document.elements if element.kind in _WHOLE]
    counts = embedder.count_tokens([block.span.of(case.document.text) for block in blocks])
    for block, tokens in zip(blocks, counts, strict=True):
        holders = [chunk for chunk in chunks if chunk.span.contains(block.span)]
        assert len(holders) == (tokens <= hard_limit(case)), block


@given(_cases())
def test_what_is_embedded_fits_the_embedder(embedder: Embedder, case: _Case) -> None:
    texts = [embedding_text(case.document.title, chunk) for chunk in cut(case, embedder)]
    assert all(tokens + _SPECIAL_TOKENS <= case.longest_input for tokens in embedder.count_tokens(texts))


@given(_cases())
def test_the_same_document_is_cut_the_same(embedder: Embedder, case: _Case) -> None:
    def one_by_one(texts: Sequence[str]) -> list[int]:
        return [tokens for text in texts for tokens in embedder.count_tokens([text])]

    again = Chunker(case.settings, one_by_one, lambda: case.longest_input).chunk(case.document)
    assert cut(case, embedder) == again


@given(_cases())
def test_a_part_of_a_table_comes_with_its_header(embedder: Embedder, case: _Case) -> None:
    """Unless the header is in the text or is too long a part of what fits."""
    for chunk in cut(case, embedder):
        if chunk.context:
            assert chunk.context == "| name | value | note |\n| --- | --- | --- |\n"
            assert ElementKind.TABLE in chunk.kinds
        elif chunk.kinds == (ElementKind.TABLE,) and chunk.text.startswith("| ") and hard_limit(case) >= 120:
            assert chunk.text.startswith("| name | value | note |\n| --- |")
