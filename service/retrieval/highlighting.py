"""Where a passage says what was asked: spans of the query's words and phrases. Meaning alone is not highlighted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ingestion.corpus.records import Chunk, Span
from ingestion.corpus.sparse import SparseEncoder
from ingestion.corpus.stemming import ENGLISH
from ingestion.corpus.words import plain

# Letters and digits, without the underscore: the parts of `node_cpu_seconds` are words of their own.
_WORD = re.compile(r"[^\W_]+")
_KEY = 2


Mark = tuple[tuple[int, int], frozenset[str]]
"""A range of a text, and the terms of the query, or the phrase, that stand there."""


class QueryTerms:
    """The stems of a query, and where a text has words of the same stem. One per query; not for several threads."""

    def __init__(
        self,
        text: str,
        encoder: SparseEncoder,
        languages: Sequence[str] = (ENGLISH,),
        readings: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """A word of a text is read in each of the languages. `readings`: what else stands for a word of the query, or
        for several: another spelling, a synonym.
        """
        self._encoder = encoder
        self._languages = tuple(languages)
        self._own = encoder.guess(text, self._languages) or self._languages[0]
        self._stems: dict[str, frozenset[str]] = {}
        self._words: dict[str, set[str]] = {}
        self._meant: dict[str, frozenset[str]] = {}
        words = dict.fromkeys(_WORD.findall(text))
        for word in words:
            self._mean(word, (word,))
        self.terms: frozenset[str] = frozenset().union(*self._meant.values())
        for written, others in (readings or {}).items():
            self._mean(written, others)
        self._keys = frozenset(term[:_KEY] for term in self._meant)

    def _mean(self, written: str, texts: Iterable[str]) -> None:
        """Whatever one of the texts is stemmed to in any of the languages stands for the terms of `written`."""
        own = self._encoder.terms(written, self._own)
        if not own:
            return
        for text in texts:
            for language in self._languages:
                for term in self._encoder.terms(text, language):
                    meant = {term} if term in own else {own[0]}
                    self._meant[term] = self._meant.get(term, frozenset()) | meant

    def matched(self, *texts: str) -> frozenset[str]:
        """The query terms that the texts contain."""
        found: set[str] = set()
        for text in texts:
            for word in self._likely(text):
                found |= self._stem(word)
        return self.terms & found

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Ranges of the words in `text` whose stem is a query term, in order."""
        yield from (found for found, _ in self.locate(text))

    def locate(self, text: str) -> Iterator[Mark]:
        """The same with the query terms that each word stands for."""
        hits = {word: terms for word in self._likely(text) if (terms := self.terms & self._stem(word))}
        if hits:
            for match in _WORD.finditer(text):
                word = match.group()
                if word in hits:
                    yield match.span(), hits[word]

    def _likely(self, text: str) -> set[str]:
        """The distinct words worth stemming: stemming every word of every passage costs more than the search.

        Stems keep their first letters, but for accents. A word of mixed case may be made of several.
        """
        likely = self._words.get(text)
        if likely is None:
            keys = self._keys
            likely = self._words[text] = {
                word
                for word in set(_WORD.findall(text))
                if (key := word[:_KEY].lower()) in keys
                or not (key.isascii() or plain(key) not in keys)
                or not (word.islower() or word.istitle() or word.isupper() or word.isdigit())
            }
        return likely

    def _stem(self, word: str) -> frozenset[str]:
        """The terms of the query that a word of a text stands for."""
        stems = self._stems.get(word)
        if stems is None:
            meant, of_word = self._meant, self._encoder.terms_of_word
            found = [meant[t] for language in self._languages for t in of_word(word, language) if t in meant]
            stems = found[0] if len(found) == 1 else frozenset().union(*found)
            self._stems[word] = stems
        return stems


def highlight(chunk: Chunk, terms: QueryTerms | None, phrases: Sequence[str] = ()) -> tuple[Span, ...]:
    """Disjoint spans into the document's text, in order, inside the chunk: words of a query stem, and the phrases."""
    return spans_of(chunk, marks_of(chunk.text, terms, phrases))


def marks_of(text: str, terms: QueryTerms | None, phrases: Sequence[str] = ()) -> list[Mark]:
    """Where the text has words of a query stem, and the phrases; these may overlap."""
    marks = list(terms.locate(text)) if terms is not None else []
    for phrase in phrases:
        found = re.finditer(re.escape(phrase), text, re.IGNORECASE)
        marks += ((match.span(), frozenset((phrase,))) for match in found)
    return marks


def spans_of(chunk: Chunk, marks: Iterable[Mark]) -> tuple[Span, ...]:
    """The marks of a chunk's text as disjoint spans into the document's text, in order."""
    start = chunk.span.start
    return tuple(Span(start + low, start + high) for low, high in merge(found for found, _ in marks))


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
