"""Texts as the classifier reads them: words with their stems, and runs of words that a sentence may repeat.

Facts are `facts`' matter; here a number is a word like others.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.generation.checking.evidence import STOPWORDS, Evidence
from service.generation.checking.wording import NEGATORS

if TYPE_CHECKING:
    from Stemmer import Stemmer

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_NUMBER = r"#?\d{1,2}\b"
_JOINED = r"\s*(?:,|;|and|&|or|-|\u2013|to)\s*"
_PASSAGE_NUMBERS = re.compile(
    rf"\b(?P<what>passages?)\s+(?P<numbers>{_NUMBER}(?:{_JOINED}(?:passages?\s+)?{_NUMBER})*)", re.IGNORECASE
)
_PREFIX = 5
"""First characters of a stem by which words of one family are known: hydrat(e), hydrat(ion)."""
_RUNS = (2, 3, 4)


def without_passage_numbers(text: str) -> str:
    """The text with "passages 2 and 3" as "passages": which ones are meant is a citation and no fact of the text."""
    return _PASSAGE_NUMBERS.sub(lambda match: match.group("what"), text)


def passage_numbers(text: str) -> frozenset[int]:
    """The numbers that the text names passages by in words, as writers do who were told to cite otherwise."""
    named = " ".join(match.group("numbers") for match in _PASSAGE_NUMBERS.finditer(text))
    return frozenset(int(number) for number in re.findall(r"\d+", named))


@dataclass(frozen=True, slots=True)
class Words:
    """A text's words as written, folded and stemmed, in step; `content` are the places of those with meaning."""

    written: tuple[str, ...]
    folded: tuple[str, ...]
    stems: tuple[str, ...]
    content: tuple[int, ...]

    @property
    def meant(self) -> frozenset[str]:
        """Stems of the content words."""
        return frozenset(self.stems[at] for at in self.content)


class WordReader:
    """Reads words. One per answer: the stemmer keeps a cache and is for one thread at a time."""

    def __init__(self, language: str = "english") -> None:
        import Stemmer

        self._stemmer: Stemmer = Stemmer.Stemmer(language)

    def read(self, text: str) -> Words:
        """The words of one text."""
        written = _WORD.findall(text)
        folded = [word.casefold().replace("\u2019", "'") for word in written]
        content = tuple(at for at, word in enumerate(folded) if _has_meaning(word))
        return Words(tuple(written), tuple(folded), tuple(self._stemmer.stemWords(folded)), content)


@dataclass(frozen=True, slots=True)
class PassageWords:
    """What a sentence is compared with: stems, their beginnings, runs of 2 to 4 stems, and the stems of each unit.

    `counts` says how often each stem stands in the text.
    """

    folded: frozenset[str]
    stems: frozenset[str]
    beginnings: frozenset[str]
    runs: frozenset[tuple[str, ...]]
    units: tuple[frozenset[str], ...]
    counts: Mapping[str, int]

    @classmethod
    def of(cls, reader: WordReader, evidence: Evidence) -> PassageWords:
        """The words of a passage; its titles count as said, but belong to no unit."""
        folded: set[str] = set()
        stems: set[str] = set()
        runs: set[tuple[str, ...]] = set()
        for text in (evidence.text, *evidence.titles):
            words = reader.read(text)
            folded.update(words.folded)
            stems.update(words.stems)
            runs.update(run for size in _RUNS for run in runs_of(words.stems, size))
        counts = Counter(reader.read(evidence.text).stems)
        units = tuple(frozenset(reader.read(unit.text).stems) for unit in evidence.units)
        return cls(
            frozenset(folded), frozenset(stems), frozenset(map(beginning, stems)), frozenset(runs), units, counts
        )


def runs_of(stems: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """All runs of `size` stems, in order."""
    return [tuple(stems[at : at + size]) for at in range(len(stems) - size + 1)]


def beginning(stem: str) -> str:
    """What words of one family share."""
    return stem[:_PREFIX]


def _has_meaning(word: str) -> bool:
    return len(word) > 1 and word not in STOPWORDS and word not in NEGATORS and not word.isdigit()
