"""Token counts are exact: the right files, the patterns of tiktoken itself, and pieces that add up to the whole."""

from __future__ import annotations

import random
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.corpus.encodings import ENCODINGS, PIECE_CHARS, ExactCounter, split_exactly
from ingestion.errors import InvalidRequest
from service.retrieval.tokens import TokenCounter

NAMES = sorted(ENCODINGS)

ALPHABET = "aZé漢ß٣1 \t\n\r/'!.,;{}\"-_🙂\u0301\u00a0\x1c" + "s" * 3 + " " * 4
"""Letters of several cases and scripts, marks, digits, white space of all kinds, and what contractions are made of."""


@pytest.fixture(scope="module")
def counter() -> TokenCounter:
    return TokenCounter()


@pytest.fixture(scope="module")
def short() -> dict[str, ExactCounter]:
    """Counters with pieces so short that every text is split many times."""
    return {name: ExactCounter(name, piece_chars=8) for name in NAMES}


@pytest.fixture(scope="module")
def exact() -> dict[str, ExactCounter]:
    return {name: ExactCounter(name) for name in NAMES}


def whole(counter: ExactCounter, text: str) -> int:
    """Count in one piece, as tiktoken does."""
    return len(counter._encoding.encode(text, disallowed_special=()))


@pytest.mark.parametrize(
    ("encoding", "text", "tokens"),
    [
        ("o200k_base", "hello world", 2),
        ("cl100k_base", "hello world", 2),
        ("cl100k_base", "tiktoken is great!", 6),
        ("o200k_base", "", 0),
    ],
)
def test_published_counts(counter: TokenCounter, encoding: str, text: str, tokens: int) -> None:
    assert counter.count(text, encoding) == tokens


@pytest.mark.parametrize("encoding", NAMES)
def test_patterns_and_hashes_are_those_of_tiktoken(encoding: str) -> None:
    from tiktoken_ext import openai_public

    constructor = getattr(openai_public, encoding)
    constants = {str(constant) for constant in _constants(constructor.__code__)}

    assert ENCODINGS[encoding].sha256 in constants
    pattern = ENCODINGS[encoding].pattern
    assert pattern in constants or all(part in constants for part in _alternatives(pattern)), (
        "tiktoken splits differently now"
    )


def _constants(code: types.CodeType) -> Iterator[object]:
    for constant in code.co_consts:
        yield from constant if isinstance(constant, tuple) else (constant,)


def _alternatives(pattern: str) -> list[str]:
    """The top-level alternatives of a pattern."""
    parts, depth, start = [], 0, 0
    for i, char in enumerate(pattern):
        depth += (char in "([") - (char in ")]")
        if char == "|" and depth == 0:
            parts.append(pattern[start:i])
            start = i + 1
    return [*parts, pattern[start:]]


@pytest.mark.parametrize("encoding", NAMES)
def test_special_tokens_count_as_plain_text(counter: TokenCounter, encoding: str) -> None:
    assert counter.count("a <|endoftext|> b <|endofprompt|>", encoding) > 8


@pytest.mark.parametrize("encoding", ["gpt2", "p50k_base", "", "O200K_BASE"])
def test_an_unknown_encoding_names_the_choices(counter: TokenCounter, encoding: str) -> None:
    with pytest.raises(InvalidRequest, match="cl100k_base, o200k_base") as caught:
        counter.count("text", encoding)

    assert caught.value.pointer == "/encoding"
    assert counter.encodings == ("cl100k_base", "o200k_base")


@given(text=st.text(alphabet=ALPHABET, max_size=120))
def test_pieces_add_up_to_the_whole(short: dict[str, ExactCounter], text: str) -> None:
    assert "".join(split_exactly(text, 8)) == text
    for counter in short.values():
        assert counter.count(text) == whole(counter, text)


@given(text=st.text(max_size=80))
def test_any_text_can_be_counted(short: dict[str, ExactCounter], text: str) -> None:
    for counter in short.values():
        assert counter.count(text) == whole(counter, text)


def test_long_prose_logs_and_minified_data_are_split_exactly(exact: dict[str, ExactCounter]) -> None:
    choose = random.Random(7)
    words = [
        "gateway",
        "it's",
        "502",
        "a/b",
        "naïve",
        "漢字、",
        '{"k":1,"v":[2]}',
        "\n\n",
        "  \n",
        "\t",
        "don'T",
        "🙂!",
    ]
    prose = " ".join(choose.choices(words, k=60_000))
    minified = "".join(choose.choices(['"key":', "1234567,", "true,", "{", "}", "abc"], k=60_000))

    for text in (prose, minified):
        assert all(len(piece) <= PIECE_CHARS for piece in split_exactly(text))
        for counter in exact.values():
            assert counter.count(text) == whole(counter, text)


@pytest.mark.parametrize("char", ["a", " ", "\n", "!", "7", "漢"])
def test_a_run_without_a_break_is_exact_until_it_is_refused(exact: dict[str, ExactCounter], char: str) -> None:
    for counter in exact.values():
        assert counter.count(char * 150_000) == whole(counter, char * 150_000)
        with pytest.raises(InvalidRequest, match="without a word break"):
            counter.count(char * 1_000_000)


def test_text_is_cut_to_tokens(exact: dict[str, ExactCounter]) -> None:
    counter = exact["cl100k_base"]

    assert counter.cut("short", 100) == "short"
    text = "naïve 漢字 🙂 " * 500
    cut = counter.cut(text, 64)
    assert text.startswith(cut)
    assert 60 <= counter.count(cut) <= 64


def test_threads_share_one_load() -> None:
    counter = TokenCounter()

    with ThreadPoolExecutor(8) as threads:
        counts = set(threads.map(lambda _: counter.count("one two three", "o200k_base"), range(32)))

    assert counts == {3}
