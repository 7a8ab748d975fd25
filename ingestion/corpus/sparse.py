"""The lexical half: stemmed BM25 weights as sparse vectors, completed by Qdrant's IDF modifier.

A score is the dot product of a query's and a document's vector with each query weight multiplied by the term's IDF,
which Qdrant counts over the whole index. The document's weights hold the rest of BM25: saturation and length.
"""

from __future__ import annotations

import re
import threading
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_K1 = 1.2
_B = 0.75
_AVERAGE_TERMS = 100
"""BM25's average length, fixed so that a weight never depends on what else is indexed.

A chunk of 120 to 200 of the embedder's tokens has about this many terms once stop words are gone.
"""
_HEADING_WEIGHT = 1.5
"""What one occurrence in a heading counts against one in the text."""
_LONGEST_TERM = 200
"""Longer runs (base64, hashes in a row) are cut: no one types them, and equal prefixes still match."""

_SCHEME = 1
"""Raise when terms or weights change: stored vectors and queries no longer fit each other."""

# Letters, digits and underscores of any script, with the vowel signs and accents that `\\w` leaves out.
_W = r"[\w\u0300-\u036f\u064b-\u065f\u0900-\u0963\u0966-\u0dff]"
# Words with the characters that hold an identifier together: ORA-00060, src/main.py, db-1.eu.example.com:5432.
_TOKEN = re.compile(rf"{_W}+(?:[-./:@+#]+{_W}+)*")
_SEGMENT = re.compile(r"[^/:@]+")
_PART = re.compile(r"[^-./:@+#_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LETTERS_DIGITS = re.compile(r"([^\W\d_]{2,})(\d+)")
# Scripts written without spaces, and Korean, whose words carry their particles: pairs of characters are the terms.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]+")
_ACCENTS = re.compile(r"[\u0300-\u036f]")

_ENGLISH_STOP_WORDS = """
a about after all also am an and any are as at be because been before being but by can could did do does doing
for from had has have having he her here him his how i if in into is it its itself just me more most my no not
of off on only or other our out over own same she should so some such than that the their them then there these
they this those through to too under until up very was we were what when where which while who whom why will
with would you your d ll m re s t ve didn doesn don hasn haven isn wasn weren won wouldn
"""


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Parallel arrays; `indices` are distinct unsigned 32-bit term ids in ascending order."""

    indices: tuple[int, ...]
    values: tuple[float, ...]


class SparseEncoder:
    """Turns text into BM25 term weights. Safe to call from several threads."""

    def __init__(self, language: str = "english") -> None:
        """`language`: a Snowball algorithm; stop words are known for English only. Raises: KeyError if unknown."""
        import Stemmer

        Stemmer.Stemmer(language)
        self._language = language
        self._stop_words = frozenset(_ENGLISH_STOP_WORDS.split() if language == "english" else ())
        # Snowball stemmers are not safe to share between threads.
        self._local = threading.local()

    @property
    def version(self) -> str:
        """Identity of the term space; vectors of different versions don't match."""
        return f"bm25-{_SCHEME}-{self._language}"

    def encode_document(self, text: str, *, heading_path: Sequence[str] = ()) -> SparseVector:
        """Weight `tf·(k1+1) / (tf + k1·(1 - b + b·length/average))` per term (Robertson and Zaragoza 2009, eq. 3.15).

        Terms of the headings count `_HEADING_WEIGHT` each and don't lengthen the document.
        """
        body = self.terms(text)
        counts: Counter[str] = Counter(body)
        frequencies: dict[str, float] = dict(counts)
        for term in self._terms(heading_path):
            frequencies[term] = frequencies.get(term, 0.0) + _HEADING_WEIGHT
        norm = _K1 * (1 - _B + _B * len(body) / _AVERAGE_TERMS)
        return _vector((term, tf * (_K1 + 1) / (tf + norm)) for term, tf in frequencies.items())

    def encode_query(self, text: str) -> SparseVector:
        """Weight 1 per distinct term."""
        return _vector((term, 1.0) for term in dict.fromkeys(self.terms(text)))

    def terms(self, text: str) -> list[str]:
        """Stemmed terms in order, with repeats, without stop words; an identifier is followed by its parts."""
        return self._terms((text,))

    def _terms(self, texts: Iterable[str]) -> list[str]:
        words = [word for text in texts for word in _words(text) if word not in self._stop_words]
        return [stem if stem.isascii() else _plain(stem) for stem in self._stemmer().stemWords(words)]

    def _stemmer(self) -> Any:
        if not hasattr(self._local, "stemmer"):
            import Stemmer

            self._local.stemmer = Stemmer.Stemmer(self._language)
        return self._local.stemmer


def _words(text: str) -> Iterator[str]:
    """Case-folded words; an identifier comes whole and then in parts of at least two characters."""
    for match in _TOKEN.finditer(text if text.isascii() else unicodedata.normalize("NFKC", text)):
        token = match.group()[:_LONGEST_TERM]
        if token.islower() and token.isalpha() and token.isascii():
            yield token
        elif token.isascii():
            yield from dict.fromkeys(_identifier(token))
        else:
            yield from dict.fromkeys(_foreign(token))


def _identifier(token: str) -> Iterator[str]:
    """The token, its segments (of a path or address), their parts, and the parts of camelCase and `gh5021`."""
    yield token.casefold()
    for segment in _SEGMENT.findall(token):
        pieces = [segment]
        for part in _PART.findall(segment):
            split = _LETTERS_DIGITS.fullmatch(part)
            pieces += [part, *_HUMP.split(part), *(split.groups() if split else ())]
        yield from (piece.casefold() for piece in pieces if len(piece) > 1)


def _foreign(token: str) -> Iterator[str]:
    for run in _UNSPACED.findall(token):
        yield from (run[start : start + 2] for start in range(max(1, len(run) - 1)))
    rest = _UNSPACED.sub(" ", token)
    for match in _TOKEN.finditer(rest):
        yield from _identifier(match.group())


def _plain(term: str) -> str:
    """The term without accents: who types `cafe` finds `café`."""
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFKD", term)))


def _vector(weights: Iterable[tuple[str, float]]) -> SparseVector:
    """Terms to ids; the weights of terms that share an id are added up."""
    summed: dict[int, float] = {}
    for term, weight in weights:
        id_ = zlib.crc32(term.encode("utf-8", "surrogatepass"))
        summed[id_] = summed.get(id_, 0.0) + weight
    ids = sorted(summed)
    return SparseVector(tuple(ids), tuple(summed[id_] for id_ in ids))
