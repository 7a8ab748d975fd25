"""Documents made to take long: the work is counted, in what the tokenizer gets and in calls made, not in seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType

import pytest

from ingestion.chunking import Chunker
from ingestion.corpus.records import Element, ElementKind, ParsedDocument, Span
from ingestion.settings import ChunkingSettings
from tests.ingestion.documents import assert_chunked

_SETTINGS = ChunkingSettings()
_LONGEST_INPUT = 512
_MEGABYTES = 10_000_000


@dataclass(slots=True)
class _Tokenizer:
    """Counts a token for every three bytes, as tokenizers do at their worst but one, and what it was asked."""

    bytes_per_token: int = 3
    calls: int = 0
    texts: int = 0
    chars: int = 0
    largest: int = 0

    def count(self, texts: Sequence[str]) -> list[int]:
        self.calls += 1
        self.texts += len(texts)
        self.chars += (chars := sum(map(len, texts)))
        self.largest = max(self.largest, chars)
        return [-(-len(text.encode()) // self.bytes_per_token) for text in texts]


def one_block(text: str, kind: ElementKind = ElementKind.PARAGRAPH) -> ParsedDocument:
    return ParsedDocument(text, (Element(kind, Span(0, len(text))),), "T", "text/plain")


def many_blocks(kind: ElementKind, body: str, count: int) -> ParsedDocument:
    step = len(body) + 1
    level = 1 if kind is ElementKind.HEADING else 0
    elements = tuple(Element(kind, Span(start, start + len(body)), level) for start in range(0, count * step, step))
    return ParsedDocument((body + "\n") * count, elements, "T", "text/plain")


def mixed_blocks(count: int) -> ParsedDocument:
    """Each heading with an introduction and a command, all of it tiny."""
    text = "# a\nb:\nc\n" * count
    elements = []
    for start in range(0, len(text), 9):
        elements.append(Element(ElementKind.HEADING, Span(start, start + 3), 1 + start % 6))
        elements.append(Element(ElementKind.PARAGRAPH, Span(start + 4, start + 6)))
        elements.append(Element(ElementKind.CODE, Span(start + 7, start + 8)))
    return ParsedDocument(text, tuple(elements), "T", "text/plain")


_ONE_BLOCK: dict[str, Callable[[int], ParsedDocument]] = {
    "words on one line": lambda size: one_block("lorem " * (size // 6)),
    "no spaces": lambda size: one_block("x" * size),
    "no spaces in code": lambda size: one_block("x" * size, ElementKind.CODE),
    "emoji": lambda size: one_block("\U0001f525" * size),
    "emoji joined without end": lambda size: one_block("\U0001f525\u200d" * (size // 2)),
    "accents": lambda size: one_block("a" + "\u0301" * (size - 1)),
    "sentences without spaces": lambda size: one_block("漢字。" * (size // 3)),
    "CJK without a stop": lambda size: one_block("漢" * size),
    "full stops": lambda size: one_block("." * size),
    "full stops and spaces": lambda size: one_block(". " * (size // 2)),
    "quotes behind a stop": lambda size: one_block("." + "'" * (size - 1)),
    "empty lines": lambda size: one_block("a" + "\n" * (size - 2) + "b"),
    "lines of nothing but spaces": lambda size: one_block("a" + (" " * 99 + "\n") * (size // 100) + "b"),
    "lines of one letter": lambda size: one_block("a\n" * (size // 2), ElementKind.CODE),
    "a giant table": lambda size: one_block("| a | b |\n| - | - |\n" + "| 1 | 2 |\n" * (size // 10), ElementKind.TABLE),
    "a table of one row": lambda size: one_block("| a |\n| - |\n|" + " 1 |" * (size // 4), ElementKind.TABLE),
    "a rule without end": lambda size: one_block("| a |\n" + "-" * size + "x\n| 1 |", ElementKind.TABLE),
}


@pytest.mark.parametrize("name", _ONE_BLOCK)
def test_the_tokenizer_gets_each_character_a_few_times(name: str) -> None:
    """At one token a byte and at one token for twelve: about the most and the least that tokenizers make."""
    for bytes_per_token in (1, 12):
        document = _ONE_BLOCK[name](200_000)
        tokenizer = _Tokenizer(bytes_per_token)
        chunks = Chunker(_SETTINGS, tokenizer.count, lambda: _LONGEST_INPUT).chunk(document)
        assert_chunked(document, chunks, _SETTINGS.hard_max_tokens)
        size = len(document.text)
        assert tokenizer.chars <= 5 * size + 100_000
        assert tokenizer.texts <= size // 4
        assert tokenizer.calls <= 500


@pytest.mark.parametrize("name", ["words on one line", "no spaces", "a giant table", "lines of one letter"])
def test_ten_megabytes_are_counted_in_bounded_batches(name: str) -> None:
    document = _ONE_BLOCK[name](_MEGABYTES)
    tokenizer = _Tokenizer()
    chunks = Chunker(_SETTINGS, tokenizer.count, lambda: _LONGEST_INPUT).chunk(document)
    assert_chunked(document, chunks, _SETTINGS.hard_max_tokens)
    assert tokenizer.largest <= 500_000
    assert tokenizer.chars <= 5 * _MEGABYTES


_MANY_BLOCKS: dict[str, Callable[[int], ParsedDocument]] = {
    "paragraphs": lambda count: many_blocks(ElementKind.PARAGRAPH, "a", count),
    "headings": lambda count: many_blocks(ElementKind.HEADING, "# a", count),
    "code": lambda count: many_blocks(ElementKind.CODE, "ls", count),
    "rows": lambda count: many_blocks(ElementKind.TABLE, "a: 1", count),
    "introductions": lambda count: many_blocks(ElementKind.PARAGRAPH, "so:", count),
    "sections": mixed_blocks,
    "words on one line": lambda count: one_block("lorem " * 10 * count),
    "lines of one letter": lambda count: one_block("a\n" * 20 * count, ElementKind.CODE),
    "no spaces": lambda count: one_block("x" * 40 * count),
    "emoji joined without end": lambda count: one_block("\U0001f525\u200d" * 20 * count),
    "sentences without spaces": lambda count: one_block("漢字。" * 10 * count),
}


@pytest.mark.parametrize("name", _MANY_BLOCKS)
def test_twice_as_much_is_twice_the_work(name: str) -> None:
    once, twice = (steps_taken(_MANY_BLOCKS[name](count)) for count in (2_000, 4_000))
    assert twice <= 2.3 * once


def steps_taken(document: ParsedDocument) -> int:
    """Calls of Python functions, and of built-in ones from them."""
    steps = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal steps
        steps += event in ("call", "c_call")

    chunker = Chunker(_SETTINGS, _Tokenizer().count, lambda: _LONGEST_INPUT)
    profiler = sys.getprofile()
    sys.setprofile(note)
    try:
        chunks = chunker.chunk(document)
    finally:
        sys.setprofile(profiler)
    assert chunks
    return steps


def test_a_title_and_headings_without_end_leave_room_for_the_text() -> None:
    words = "gateway " * 2_000
    text = f"{words}\nbody"
    elements = (
        Element(ElementKind.HEADING, Span(0, len(words) - 1), 2),
        Element(ElementKind.PARAGRAPH, Span(len(text) - 4, len(text))),
    )
    document = ParsedDocument(text, elements, words.strip(), "text/plain")
    tokenizer = _Tokenizer()
    chunks = Chunker(_SETTINGS, tokenizer.count, lambda: _LONGEST_INPUT).chunk(document)
    for chunk in chunks:
        assert chunk.breadcrumb is not None
        assert 0 < tokenizer.count([chunk.breadcrumb])[0] + chunk.tokens <= _LONGEST_INPUT
