"""The words of one tenant in memory, and those that differ little from a given one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus.sparse import SparseEncoder

_PIECE = 10_000
_BITS = 64


class Vocabulary:
    """Case-folded words with the number of documents that each stands in, about.

    Safe to read from several threads while one adds to it: what is there only grows.
    """

    def __init__(self, encoder: SparseEncoder, languages: Sequence[str], words: Iterable[tuple[str, int]] = ()) -> None:
        """A word is also known by its stem in one of the languages: `restarts` where there is `restarting`."""
        self.languages = tuple(languages)
        self._encoder = encoder
        self._documents: dict[str, int] = {}
        self._words: list[str] = []
        self._marks = _marks([])
        self._stems: set[str] = set()
        self.add(words)

    def __len__(self) -> int:
        return len(self._words)

    def add(self, words: Iterable[tuple[str, int]]) -> None:
        """Further words; those that are there keep their number. Not for several threads at once."""
        fresh = {word: documents for word, documents in words if word not in self._documents}
        if not fresh:
            return
        self._documents.update(fresh)
        for language in self.languages:
            self._stems.update(self._encoder.stems(list(fresh), language))
        self._words += fresh
        (letters, lengths), (more_letters, more_lengths) = self._marks, _marks(list(fresh))
        self._marks = np.concatenate([letters, more_letters]), np.concatenate([lengths, more_lengths])

    def documents(self, word: str) -> int:
        """In about how many documents the word stands as it is written."""
        return self._documents.get(word, 0)

    def knows(self, word: str) -> bool:
        """Whether the word or another form of it is there."""
        if word in self._documents:
            return True
        return any(self._encoder.stems([word], language)[0] in self._stems for language in self.languages)

    def near(self, word: str, most: int) -> Iterator[tuple[str, int]]:
        """Words at most `most` insertions, deletions, substitutions and transpositions away, each with its distance.

        An edit brings at most one letter that was not there and takes at most one away: few words are left to measure.
        """
        from rapidfuzz import process
        from rapidfuzz.distance import DamerauLevenshtein

        (letters, lengths), ((own_letters,), (own_length,)) = self._marks, _marks([word])
        alike = np.flatnonzero(np.abs(lengths - own_length) <= most)
        there = letters[alike]
        alike = alike[
            (np.bitwise_count(there & ~own_letters) <= most) & (np.bitwise_count(own_letters & ~there) <= most)
        ]
        candidates = [self._words[number] for number in alike.tolist()]
        found = process.extract(word, candidates, scorer=DamerauLevenshtein.distance, score_cutoff=most, limit=None)
        for candidate, distance, _ in found:
            yield candidate, int(distance)


def _marks(words: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int8]]:
    """Per word the set of its letters, `(n,) uint64` with a bit per code point modulo 64, and its length."""
    letters = np.zeros(len(words), np.uint64)
    lengths = np.fromiter(map(len, words), np.int8, len(words))
    for start in range(0, len(words), _PIECE):
        piece = np.array(words[start : start + _PIECE], dtype=np.str_)
        points = piece.view(np.uint32).reshape(len(piece), -1)
        bits = np.where(points > 0, np.uint64(1) << (points % _BITS).astype(np.uint64), np.uint64(0))
        letters[start : start + len(piece)] = np.bitwise_or.reduce(bits, axis=1)
    return letters, lengths
