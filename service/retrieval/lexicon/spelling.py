"""What a word that no document has may have been meant to be. Only words that are unknown are ever looked at."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ingestion.corpus.words import plain, simple_words, spelled_words
from service.retrieval.lexicon.vocabulary import Vocabulary

_SHORTEST = 4
_SHORTEST_TWICE = 8
"""Letters from which a word may be wrong in two places."""
_SHORTEST_HALF = 3
_MOST_WORDS = 4
"""Unknown words of a query that are looked at: with more of them it is in a language or a code of its own."""
_MOST_CANDIDATES = 3
_OTHER_FIRST = 0.35
"""A slip at the first letter is rare, and readers don't recognise the word."""
_SECOND_SLIP = 0.1
_KEY_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_LIKELY = 2.0
"""Two letters in the wrong order, one doubled or single, or the key beside: the slips that fingers make."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One or two known words; `likelihood` in (0, 1] is relative to the best candidate."""

    words: tuple[str, ...]
    likelihood: float

    @property
    def text(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True, slots=True)
class Correction:
    """A word as it was written, case-folded, and what may have been meant, the likeliest first."""

    written: str
    candidates: tuple[Candidate, ...]


class Speller:
    """Corrects the words of a query by one vocabulary."""

    def __init__(self, vocabulary: Vocabulary, stop_words: frozenset[str]) -> None:
        self._vocabulary = vocabulary
        self._stop_words = stop_words

    def unknown(self, text: str) -> list[str]:
        """The distinct words of a query that could be misspelt: of letters only, not an identifier, not known."""
        found = dict.fromkeys(
            word.casefold()
            for word in spelled_words(text)
            if len(word) >= _SHORTEST and (word.islower() or word.istitle() or word.isupper())
        )
        unknown = [word for word in found if word not in self._stop_words and not self._vocabulary.knows(word)]
        return unknown if len(unknown) <= _MOST_WORDS else []

    def correct(self, text: str, unknown: Sequence[str]) -> tuple[Correction, ...]:
        """What each unknown word may mean; one for which nothing is near has no correction."""
        found = []
        joined = self._joined(text, frozenset(unknown))
        for word in unknown:
            if any(word in parts for parts in joined):
                continue
            if candidates := self._candidates(word):
                found.append(Correction(word, candidates))
        wholes = (Correction(" ".join(parts), (Candidate((whole,), 1.0),)) for parts, whole in joined.items())
        return (*found, *wholes)

    def _joined(self, text: str, unknown: frozenset[str]) -> dict[tuple[str, str], str]:
        """Neighbours of which one is unknown and that are a known word together: `kuber netes`."""
        pairs = [pair for run in simple_words(text) for pair in pairwise(run)]
        return {
            (one, other): one + other
            for one, other in pairs
            if (one in unknown or other in unknown) and self._vocabulary.documents(one + other)
        }

    def _candidates(self, word: str) -> tuple[Candidate, ...]:
        most = 2 if len(word) >= _SHORTEST_TWICE else 1
        weights: dict[tuple[str, ...], float] = {}
        for near, distance in self._vocabulary.near(word, most):
            if len(near) >= _SHORTEST and plain(near) != plain(word):
                weights[(near,)] = self._common(near) * _slip(word, near) * _SECOND_SLIP ** (distance - 1)
        weights |= self._splits(word)
        best = sorted(weights, key=lambda words: (-weights[words], words))[:_MOST_CANDIDATES]
        return tuple(Candidate(words, weights[words] / weights[best[0]]) for words in best)

    def _splits(self, word: str) -> dict[tuple[str, ...], float]:
        """Two known words that were written as one; as good as the rarer of them."""
        vocabulary, found = self._vocabulary, dict[tuple[str, ...], float]()
        for cut in range(_SHORTEST_HALF, len(word) - _SHORTEST_HALF + 1):
            one, other = word[:cut], word[cut:]
            rarer = min(vocabulary.documents(one), vocabulary.documents(other))
            if rarer:
                found[(one, other)] = min(self._common(one), self._common(other))
        return found

    def _common(self, word: str) -> float:
        return math.log2(1 + self._vocabulary.documents(word))


def respell(text: str, corrections: Sequence[Correction]) -> str:
    """The text as it was likely meant: a word with one candidate, or one far likelier than the next, becomes that."""
    for correction in corrections:
        best, *others = correction.candidates
        if not others or others[0].likelihood <= best.likelihood / 2:
            written = rf"(?<!\w){re.escape(correction.written)}(?!\w)"
            text = re.sub(written, lambda _, meant=best.text: meant, text, flags=re.IGNORECASE)  # type: ignore[misc]
    return text


def confirmed(corrections: Sequence[Correction], texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Each correction with the first of its candidates that the texts contain: all that may be shown to a caller.

    `texts` must be what the caller may read: title, headings and text of hits. The vocabulary is the whole tenant's,
    and a word that only other readers' documents hold would give these away.
    """
    held = {word.casefold() for text in texts for word in spelled_words(text)}
    shown = []
    for correction in corrections:
        meant = next((one for one in correction.candidates if held.issuperset(one.words)), None)
        if meant is not None:
            shown.append((correction.written, meant.text))
    return tuple(shown)


def _slip(written: str, meant: str) -> float:
    """How likely fingers slip from `meant` to `written`, relative to any other slip of as many letters."""
    weight = 1.0 if written[0] == meant[0] else _OTHER_FIRST
    if sorted(written) == sorted(meant) or _single(written) == _single(meant):
        return weight * _LIKELY
    if len(written) == len(meant):
        wrong = [pair for pair in zip(written, meant, strict=True) if pair[0] != pair[1]]
        if len(wrong) == 1 and _beside(*wrong[0]):
            return weight * _LIKELY
    return weight


def _single(word: str) -> str:
    """The word with each run of one letter as a single one."""
    return "".join(letter for number, letter in enumerate(word) if number == 0 or word[number - 1] != letter)


def _beside(one: str, other: str) -> bool:
    """Whether the keys lie beside each other in a row of the keyboard."""
    return any(one + other in row or other + one in row for row in _KEY_ROWS)
