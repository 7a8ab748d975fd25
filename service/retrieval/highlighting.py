"""Where a passage says what was asked: spans of the query's words and phrases. Meaning alone is not highlighted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from ingestion.corpus.records import Chunk, Span
from ingestion.corpus.sparse import SparseEncoder

# Letters and digits, without the underscore: the parts of `node_cpu_seconds` are words of their own.
_WORD = re.compile(r"[^\W_]+")
_KEY = 2


class QueryTerms:
    """The stems of a query, and where a text has words of the same stem. One per query; not for several threads."""

    def __init__(self, text: str, encoder: SparseEncoder) -> None:
        self._encoder = encoder
        self._stems: dict[str, frozenset[str]] = {}
        self._words: dict[str, set[str]] = {}
        words = dict.fromkeys(_WORD.findall(text))
        self.terms: frozenset[str] = frozenset(term for word in words for term in self._stem(word))
        self._keys = frozenset(term[:_KEY] for term in self.terms)

    def matched(self, *texts: str) -> frozenset[str]:
        """The query terms that the texts contain."""
        found: set[str] = set()
        for text in texts:
            for word in self._likely(text):
                found |= self._stem(word)
        return self.terms & found

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Ranges of the words in `text` whose stem is a query term, in order."""
        hits = {word for word in self._likely(text) if not self.terms.isdisjoint(self._stem(word))}
        if hits:
            yield from (match.span() for match in _WORD.finditer(text) if match.group() in hits)

    def _likely(self, text: str) -> set[str]:
        """The distinct words worth stemming: stemming every word of every passage costs more than the search.

        English stems keep their first letters. A word of mixed case may be made of several.
        """
        likely = self._words.get(text)
        if likely is None:
            keys = self._keys
            likely = self._words[text] = {
                word
                for word in set(_WORD.findall(text))
                if word[:_KEY].lower() in keys
                or not (word.islower() or word.istitle() or word.isupper() or word.isdigit())
            }
        return likely

    def _stem(self, word: str) -> frozenset[str]:
        stems = self._stems.get(word)
        if stems is None:
            stems = self._stems[word] = frozenset(self._encoder.terms(word))
        return stems


def highlight(chunk: Chunk, terms: QueryTerms | None, phrases: Sequence[str] = ()) -> tuple[Span, ...]:
    """Disjoint spans into the document's text, in order, inside the chunk: words of a query stem, and the phrases."""
    ranges = list(terms.find(chunk.text)) if terms is not None else []
    for phrase in phrases:
        ranges += (match.span() for match in re.finditer(re.escape(phrase), chunk.text, re.IGNORECASE))
    start = chunk.span.start
    return tuple(Span(start + low, start + high) for low, high in merge(ranges))


def merge(ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Disjoint ranges that cover the same characters, in order; ranges that touch become one."""
    low = high = -1
    for start, end in sorted(ranges):
        if start <= high:
            high = max(high, end)
            continue
        if high > low:
            yield low, high
        low, high = start, end
    if high > low:
        yield low, high
