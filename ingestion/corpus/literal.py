"""The text that exact search compares: what a document says, cut at its chunks and without case.

A row of it begins where the chunk before ends and reaches into the chunk after, so that a string across two chunks
is found: in the one where it begins. Together the rows own every character of the document once. Pure; rows are
stored and searched elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ingestion.corpus.records import Chunk, Span

OVERLAP = 200
"""Characters that a row holds of what follows its own: a longer string is found by its beginning, then compared."""
TITLE = -1
"""Position of the row that holds the document's title; what it finds counts for the first chunk."""


@dataclass(frozen=True, slots=True)
class LiteralText:
    """One row: of `folded` the first `own` characters are its own; `start` is where it begins in the text."""

    position: int
    start: int
    own: int
    folded: str


def fold(text: str) -> str:
    """The text as exact search compares it: without case. What no database can carry is U+FFFD."""
    return encodable(text.casefold()).replace("\0", "\ufffd")


def encodable(text: str) -> str:
    """The text with lone surrogates, which UTF-8 cannot carry, replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def literal_title(title: str) -> LiteralText:
    """The row of a title."""
    folded = fold(title)
    return LiteralText(TITLE, 0, len(folded), folded)


def literal_text(text: str, chunks: Sequence[Chunk], position: int) -> LiteralText:
    """The row of one of a document's chunks, which are in text order."""
    return _row(text, [chunk.span for chunk in chunks[max(position - 1, 0) : position + 2]], position)


def literal_texts(text: str, spans: Sequence[Span]) -> Iterator[LiteralText]:
    """The rows of all of a document's chunks, whose spans are in text order."""
    for position in range(len(spans)):
        yield _row(text, spans[max(position - 1, 0) : position + 2], position)


def holds(text: str, row: LiteralText, needle: str) -> bool:
    """Whether the folded `needle` begins among the row's own characters, `text` being the whole document."""
    # Folding never makes a text shorter, so this is never too little.
    region = fold(text[row.start : row.start + row.own + len(needle)])
    return 0 <= region.find(needle) < row.own


def _row(text: str, around: Sequence[Span], position: int) -> LiteralText:
    """`around` are the spans of the chunk and its neighbours, as far as it has any."""
    here = 0 if position == 0 else 1
    start = around[0].end if position else 0
    is_last = here == len(around) - 1
    end = len(text) if is_last else around[here].end
    own = fold(text[start:end])
    return LiteralText(position, start, len(own), own + fold(text[end : end + OVERLAP]))
