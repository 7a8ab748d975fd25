"""What the sentences of an answer may rest on: given passages, long ones in parts, and the parts nearest to a sentence.

Parts and nearness keep the work of each sentence bounded, however much is given. What a passage is worth as evidence is
left to `grounding`.
"""

from __future__ import annotations

import math
import re
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ingestion.corpus.records import ChunkId, IndexedChunk, Span
from service.generation.checking.evidence import Evidence, Reader, Reading
from service.generation.checking.exactness import window_states
from service.generation.checking.sentences import FENCE

_LEAST_CHARS = 4_000
_MOST_CHARS = 8_000
"""Length of a part: several times a chunk, so that what belongs together mostly is."""
_CUTS = ("\n\n", "\n", ". ", " ")
_FENCES = re.compile(rf"^{FENCE.pattern}", re.MULTILINE)
_TOKEN = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class GivenPassage:
    """A passage under the number that an answer cites it by.

    `offset` is where its text begins in its document: 0 where it has none. `titles` say what it is about.
    """

    n: int
    text: str
    titles: tuple[str, ...] = ()
    offset: int = 0
    chunk: IndexedChunk | None = None

    @classmethod
    def of(cls, n: int, found: IndexedChunk) -> GivenPassage:
        """A chunk of the corpus, with spans into its document."""
        titles = (found.document.title, *found.chunk.heading_path)
        return cls(n, found.chunk.text, titles, found.chunk.span.start, found)

    @property
    def chunk_id(self) -> ChunkId | None:
        return None if self.chunk is None else self.chunk.id

    def quote(self, span: Span) -> str:
        """The words at a span that counts from the document's beginning."""
        return self.text[span.start - self.offset : span.end - self.offset]


class Part:
    """A stretch of a given passage as evidence. The words by which it is found are read when first asked for."""

    def __init__(self, reader: Reader, passage: GivenPassage, start: int, end: int) -> None:
        self.passage = passage
        self.evidence = Evidence(reader, passage.text[start:end], about=passage.titles, offset=passage.offset + start)
        self._reader = reader

    @cached_property
    def words(self) -> frozenset[str]:
        return _words(self._reader, " ".join((*self.evidence.titles, self.evidence.text)))


class Material:
    """All parts of the given passages, in their order."""

    def __init__(self, reader: Reader, passages: Sequence[GivenPassage]) -> None:
        self._reader = reader
        self.parts = tuple(
            Part(reader, passage, start, end) for passage in passages for start, end in _stretches(passage.text)
        )
        self._of: dict[int, list[int]] = {}
        for index, part in enumerate(self.parts):
            self._of.setdefault(part.passage.n, []).append(index)

    def numbers(self) -> frozenset[int]:
        """The numbers under which passages were given."""
        return frozenset(self._of)

    def of(self, n: int) -> Sequence[int]:
        """Indexes of the parts of a passage."""
        return self._of[n]

    def nearest(self, text: str, among: Sequence[int], most: int) -> list[int]:
        """The parts, at most so many, that share the rarest words with the text; all if there are no more."""
        if len(among) <= most:
            return list(among)
        asked = _words(self._reader, text)
        shares = [(sum(self._weight(word) for word in asked & self.parts[index].words), index) for index in among]
        shares.sort(key=lambda share: (-share[0], share[1]))
        return [index for share, index in shares[:most] if share > 0]

    def _weight(self, word: str) -> float:
        return math.log(1 + len(self.parts) / self._known.get(word, 1))

    @cached_property
    def _known(self) -> dict[str, int]:
        """In how many parts each word stands."""
        counts: dict[str, int] = {}
        for part in self.parts:
            for word in part.words:
                counts[word] = counts.get(word, 0) + 1
        return counts

    def covering(self, claim: Reading, among: Iterable[int], most: int) -> list[int]:
        """The fewest parts whose best windows hold together what any of them holds of the claim, best first.

        Greedy: each adds most to those before it.
        """
        held = {index: found for index in among if (found := self._held(claim, index))}
        chosen: list[int] = []
        covered: frozenset[object] = frozenset()
        while held and len(chosen) < most:
            best = max(held, key=lambda index: (len(held[index] - covered), -index))
            if not held[best] - covered:
                break
            covered |= held.pop(best)
            chosen.append(best)
        return chosen

    def _held(self, claim: Reading, index: int) -> frozenset[object]:
        """Stems and facts of the claim in the part's best window."""
        window = self.parts[index].evidence.best_window(claim)
        if window is None:
            return frozenset()
        words = claim.stems & frozenset[str]().union(*(unit.words for unit in window.units))
        return words | frozenset(fact for fact in claim.facts if window_states(window, fact))


def _words(reader: Reader, text: str) -> frozenset[str]:
    """Stems of the words, with every number and every part of a name."""
    words = _TOKEN.findall(text.casefold())
    exact = (word for word in words if any(character.isdigit() for character in word))
    return frozenset(reader.stems(" ".join(words))).union(exact)


def _stretches(text: str) -> Iterator[tuple[int, int]]:
    """Where the text is cut: at blank lines outside of code where there are any."""
    start = 0
    while len(text) - start > _MOST_CHARS:
        end = _cut(text, start)
        yield start, end
        start = end
    yield start, len(text)


def _cut(text: str, start: int) -> int:
    fences = [start + fence.start() for fence in _FENCES.finditer(text[start : start + _MOST_CHARS])]
    for mark in _CUTS:
        at = text.rfind(mark, start + _LEAST_CHARS, start + _MOST_CHARS)
        while at >= 0:
            if bisect(fences, at) % 2 == 0:
                return at + len(mark)
            at = text.rfind(mark, start + _LEAST_CHARS, fences[bisect(fences, at) - 1])
    return start + _MOST_CHARS
