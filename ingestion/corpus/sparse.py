"""The lexical half: stemmed BM25 weights as sparse vectors, completed by Qdrant's IDF modifier.

A score is the dot product of a query's and a document's vector with each query weight multiplied by the term's IDF,
which Qdrant counts over the whole index. The document's weights hold the rest of BM25: saturation and length.
All languages share one space of terms, so that a name or a code is as rare as it is in all of them together.
What a word is, `words` knows; what its stem is, `stemming`.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from ingestion.corpus.stemming import COMPOUNDING, ENGLISH, PARTICLES, Stemmers, stemmed_as
from ingestion.corpus.words import plain, simple_words, words

_K1 = 1.5
_B = 0.6
_AVERAGE_TERMS = 60
"""BM25's average length, fixed so that a weight never depends on what else is indexed.

A chunk of 120 to 200 of the embedder's tokens has 35 to 75 terms once stop words are gone.
"""
_HEADING_WEIGHT = 1.5
"""What one occurrence in a heading counts against one in the text."""
_TITLE_WEIGHT = 3.0
"""The same for a title of `_AVERAGE_TITLE` terms."""
_TITLE_B = 0.75
_AVERAGE_TITLE = 4
_JOINED_WEIGHT = 0.5
"""What two neighbouring words of a query weigh where a text writes them as one."""
_MOST_JOINED = 12
"""Words of a query up to which neighbours are joined: a longer one is prose, and says each thing twice."""
_FOREIGN_WEIGHT = 0.5
"""What a term weighs that only a language other than the query's own makes of it."""
_GRAM = 5
_GRAM_WEIGHT = 0.2
"""What the pieces of a word weigh together, taken as independent, in a language that writes compounds as one word."""

_SCHEME = 2
"""Raise when terms or weights change: stored vectors and queries no longer fit each other."""


_REMEMBERED = 20_000
"""Words whose terms are remembered, some 100 bytes each."""


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Parallel arrays; `indices` are distinct unsigned 32-bit term ids in ascending order."""

    indices: tuple[int, ...]
    values: tuple[float, ...]


class SparseEncoder:
    """Turns text into BM25 term weights. Safe to call from several threads."""

    def __init__(self) -> None:
        self._stemmers = Stemmers()
        self._remembered = lru_cache(_REMEMBERED)(lambda word, language: tuple(self.terms(word, language)))

    @property
    def version(self) -> str:
        """Identity of the term space; vectors of different versions don't match."""
        return f"bm25-{_SCHEME}"

    def encode_document(
        self, text: str, *, title: str = "", heading_path: Sequence[str] = (), language: str | None = None
    ) -> SparseVector:
        """Weight `tf·(k1+1) / (tf + k1·(1 - b + b·length/average))` per term (Robertson and Zaragoza 2009, eq. 3.15).

        Terms of title and headings are added to `tf` with weights of their own and don't lengthen the document; one in
        a short title counts more than one in a long one (BM25F, eq. 3.22). `language`: ISO 639-1.
        """
        language = stemmed_as(language)
        stop_words = self._stemmers.stop_words(language)
        body = self._terms((text,), language, stop_words)
        title_terms = self._terms((title,), language, stop_words)
        frequencies: dict[str, float] = dict(Counter(body))
        title_weight = _TITLE_WEIGHT / (1 - _TITLE_B + _TITLE_B * len(title_terms) / _AVERAGE_TITLE)
        for terms, weight in (
            (self._terms(heading_path, language, stop_words), _HEADING_WEIGHT),
            (title_terms, title_weight),
        ):
            for term in terms:
                frequencies[term] = frequencies.get(term, 0.0) + weight
        if language in COMPOUNDING:
            for gram, times in Counter(gram for term in body + title_terms for gram in _grams(term)).items():
                frequencies[gram] = float(times)
        norm = _K1 * (1 - _B + _B * len(body) / _AVERAGE_TERMS)
        return vector_of({term: tf * (_K1 + 1) / (tf + norm) for term, tf in frequencies.items()})

    def encode_query(self, text: str, languages: Sequence[str] = (ENGLISH,)) -> SparseVector:
        """Weight 1 per distinct term of any of the languages, and less for what the text may be written like."""
        return vector_of(self.weigh_query(text, languages))

    def weigh_query(
        self, text: str, languages: Sequence[str] = (ENGLISH,), rare: Sequence[str] = ()
    ) -> dict[str, float]:
        """The weight of each term of a query: a word that stems alike in two languages counts once.

        Where the query shows its own language, that one's function words are left out of all (`is` says nothing, but
        is rare in German texts), and what only another language makes of its words counts less. So does what only
        languages make of them that are `rare` in the corpus.
        """
        weights: dict[str, float] = {}
        known = tuple(dict.fromkeys(map(stemmed_as, (*languages, *rare))))
        own = self._stemmers.guess(words(text), known) if len(known) > 1 else known[0]
        unsaid = self._stemmers.stop_words(own) if own else frozenset()
        for language in known:
            whole = 1.0 if own == language or (own is None and language not in rare) else _FOREIGN_WEIGHT
            stop_words = self._stemmers.stop_words(language) | unsaid
            terms = dict.fromkeys(self._terms((text,), language, stop_words), whole)
            extra = self._joined(text, language, stop_words)
            if language in COMPOUNDING and whole == 1.0:
                extra |= _weigh_grams(terms)
            for term, weight in (*terms.items(), *extra.items()):
                weights[term] = max(weight, weights.get(term, 0.0))
        return weights

    def terms_of_word(self, word: str, language: str = ENGLISH) -> tuple[str, ...]:
        """As `terms`, of one word; those asked for lately are remembered, for passages repeat their words."""
        return self._remembered(word, language)

    def terms(self, text: str, language: str = ENGLISH) -> list[str]:
        """Stemmed terms in order, with repeats, without stop words; an identifier is followed by its parts."""
        return self._terms((text,), language, self._stemmers.stop_words(language))

    def stems(self, spelled: Sequence[str], language: str = ENGLISH) -> list[str]:
        """The term of each case-folded word, be it a stop word or not."""
        return [plain(stem) for stem in self._stemmers.stem(spelled, language)]

    def stop_words(self, languages: Iterable[str]) -> frozenset[str]:
        """The function words of all these languages."""
        return frozenset().union(*map(self._stemmers.stop_words, languages))

    def guess(self, text: str, languages: Sequence[str]) -> str | None:
        """Of the languages, the one whose function words the text uses most; None if that is hardly any."""
        return self._stemmers.guess(words(text), languages)

    def _terms(self, texts: Iterable[str], language: str, stop_words: frozenset[str]) -> list[str]:
        found, phrasal = [], []
        before = ""
        for text in texts:
            for word in words(text):
                if word not in stop_words:
                    found.append(word)
                if word in PARTICLES and language == ENGLISH and before.isalpha() and before not in stop_words:
                    phrasal.append((before, word))
                before = word
            before = ""
        if phrasal:
            stems = self._stemmers.stem([verb for verb, _ in phrasal], language)
            found += [stem + particle for stem, (_, particle) in zip(stems, phrasal, strict=True)]
        return self.stems(found, language)

    def _joined(self, text: str, language: str, stop_words: frozenset[str]) -> dict[str, float]:
        """Neighbours as one word: `kube prometheus` meets `kube-prometheus` and `kubeprometheus`."""
        runs = simple_words(text)
        if not 1 < sum(map(len, runs)) <= _MOST_JOINED:
            return {}
        pairs = [
            one + other
            for run in runs
            for one, other in pairwise(run)
            if one.isalnum() and other.isalnum() and one not in stop_words and other not in stop_words
        ]
        return dict.fromkeys(self.stems(pairs, language), _JOINED_WEIGHT)


def _grams(term: str) -> Iterator[str]:
    """Pieces of a word, marked as such: `sicherheitslücke` and `lücke` share some."""
    if len(term) >= _GRAM and term.isalpha():
        yield from ("~" + term[start : start + _GRAM] for start in range(len(term) - _GRAM + 1))


def _weigh_grams(terms: Iterable[str]) -> dict[str, float]:
    weights: dict[str, float] = {}
    for term in terms:
        grams = list(_grams(term))
        for gram in grams:
            weights[gram] = max(weights.get(gram, 0.0), _GRAM_WEIGHT / len(grams) ** 0.5)
    return weights


def vector_of(weights: Mapping[str, float]) -> SparseVector:
    """Terms to ids; the weights of terms that share an id are added up."""
    summed: dict[int, float] = {}
    for term, weight in weights.items():
        id_ = zlib.crc32(term.encode("utf-8", "surrogatepass"))
        summed[id_] = summed.get(id_, 0.0) + weight
    ids = sorted(summed)
    return SparseVector(tuple(ids), tuple(summed[id_] for id_ in ids))
