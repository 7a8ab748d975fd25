"""The passages of one answer, prepared for checking: units with their word stems and facts, and the best span for a
sentence. What the comparison means is left to `grounding`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from ingestion.corpus.records import IndexedChunk, Span
from service.generation.checking.commands import CODE_SPAN, CommandText
from service.generation.checking.facts import Fact, FactKind, FactText, is_technical, read_facts
from service.generation.checking.sentences import Unit, UnitKind, units_of
from service.generation.checking.wording import NEGATORS, Entry, folded_words, row_of

_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_FUNCTION_WORDS = """
a about above after again all also am an and any are as at be because been before being below between both but
by can could did do does doing down during each either else etc few for from further had has have having he her
here hers him his how i if in into is it its itself just may me might more most must my neither nor now of off
on once only or other our out over own per shall she should so some such than that the their them then there
these they this those through to too under until up upon us use used using very via was we were what when where
which while who whom why will with would you your please
"""
STOPWORDS = frozenset(_FUNCTION_WORDS.split())
_NEGATION_REACH = 3
"""Content words after a negator that it may speak about: "do not ever delete the pods" negates three."""
_NEGATES = re.compile(rf"\b(?:{'|'.join(sorted(NEGATORS))}|avoid|forbidden|prohibited)\b|n['\u2019]t\b", re.IGNORECASE)
_FORBIDS = re.compile(
    r"^\W*(?:do not|don't|avoid)\b|\b(?:(?:must|should|may|shall) not|mustn't|shouldn't|never|what not|not to|forbidden"
    r"|prohibited|not allowed)\b",
    re.IGNORECASE,
)
"""A heading or lead-in under which the items of a list are what not to do."""
_WINDOW_UNITS = 8
"""Longest run of sentences tried as a quote before the whole passage is; longer quotes are no longer exact."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says, as far as words tell: content stems, exact facts, and which stems are negated.

    `denied` are the first content words after a negator, `maybe_denied` all within its reach; `negates`: there is one,
    or a word that advises against. `row` holds its words and facts in order, `entries` the same without.
    """

    stems: frozenset[str]
    facts: frozenset[Fact]
    denied: frozenset[str]
    maybe_denied: frozenset[str]
    negates: bool = False
    row: tuple[Entry, ...] = ()
    entries: frozenset[str] = frozenset()


class Reader:
    """Turns text into `Reading`s. One per event loop or thread: the stemmer keeps a cache."""

    def __init__(self, language: str = "english") -> None:
        import Stemmer

        self._stem = Stemmer.Stemmer(language).stemWords

    def stems(self, text: str) -> list[str]:
        """Stems of the content words, in order; technical tokens are left to the facts."""
        return [stem for stem, _ in self._words(text)]

    def read(self, text: str) -> Reading:
        """The whole reading of one text."""
        words = self._words(text)
        denied: set[str] = set()
        reach: set[str] = set()
        for index, (_, negated) in enumerate(words):
            if negated:
                denied.add(words[index][0])
                reach.update(stem for stem, _ in words[index : index + _NEGATION_REACH])
        stems = frozenset(stem for stem, _ in words)
        read = read_facts(text)
        facts = frozenset(found.fact for found in read.found)
        row = row_of(read, self._stem)
        negates = _NEGATES.search(text) is not None
        return Reading(
            stems, facts, frozenset(denied), frozenset(reach), negates, row, frozenset(entry.text for entry in row)
        )

    def _words(self, text: str) -> list[tuple[str, bool]]:
        """Content stems in order, each with whether a negator stands right before it."""
        words: list[str] = []
        flags: list[bool] = []
        negated = False
        prose = CODE_SPAN.sub(" ", text).replace("\u2019", "'")
        for token in prose.split():
            if is_technical(token.strip(".,;:!?()[]{}'\"*_")):
                continue
            for word in _WORD.findall(token.casefold()):
                if word in NEGATORS or word.endswith("n't"):
                    negated = True
                    continue
                for part in word.split("-"):
                    if part in STOPWORDS or len(part) < 2:
                        continue
                    words.append(part)
                    flags.append(negated)
                    negated = False
        return list(zip(self._stem(words), flags, strict=True))


class EvidenceUnit:
    """A sentence, list item, table row or line of code of a passage; its readings are made when first asked for.

    `forbidden`: it stands in a list of what not to do.
    """

    def __init__(self, reader: Reader, text: str, start: int, kind: UnitKind, *, forbidden: bool = False) -> None:
        self.forbidden = forbidden
        self.text = text
        self.start = start
        self.end = start + len(text)
        self.kind = kind
        self._reader = reader

    @cached_property
    def reading(self) -> Reading:
        return self._reader.read(self.text)

    @cached_property
    def words(self) -> frozenset[str]:
        """Stems of all words, those of code and of technical tokens included."""
        spread = re.sub(r"[`_./=:@#-]", " ", self.text)
        return self.reading.stems | frozenset(self._reader.stems(spread))

    @cached_property
    def facts(self) -> FactText:
        return FactText(self.text, code=self.kind is UnitKind.CODE, facts=self.reading.facts)


@dataclass(frozen=True, slots=True)
class Window:
    """A run of units of one passage: `start` and `end` are offsets into the passage's text."""

    units: tuple[EvidenceUnit, ...]
    start: int
    end: int


class Evidence:
    """One passage: `text`, its units, and the words of its title and headings, which say what it is about."""

    def __init__(self, reader: Reader, text: str, *, about: Iterable[str] = (), offset: int = 0) -> None:
        self.text = text
        self.offset = offset
        self._reader = reader
        self.titles = tuple(about)

    @classmethod
    def of(cls, reader: Reader, passage: IndexedChunk) -> Evidence:
        """The evidence in an indexed chunk, with spans into its document."""
        about = (passage.document.title, *passage.chunk.heading_path)
        return cls(reader, passage.chunk.text, about=about, offset=passage.chunk.span.start)

    @cached_property
    def units(self) -> tuple[EvidenceUnit, ...]:
        made: list[EvidenceUnit] = []
        headed = len(self.titles) > 1 and _forbids(self.titles[-1])
        introduced = False
        for unit in with_rows_apart(self.text, units_of(self.text, code_lines=True)):
            text = self.text[unit.start : unit.end]
            if unit.kind is UnitKind.HEADING:
                headed, introduced = _forbids(text), False
            elif unit.kind is UnitKind.PROSE:
                introduced = text.rstrip("*_ ").endswith(":") and _forbids(text)
            listed = unit.kind not in (UnitKind.HEADING, UnitKind.PROSE)
            forbidden = listed and (headed or introduced)
            made.append(EvidenceUnit(self._reader, text, unit.start, unit.kind, forbidden=forbidden))
        return tuple(made)

    @cached_property
    def about(self) -> frozenset[str]:
        return frozenset(self._reader.stems(" ".join(self.titles)))

    @cached_property
    def facts(self) -> FactText:
        return FactText(self.text)

    @cached_property
    def _commands(self) -> CommandText:
        return CommandText(self.text)

    @cached_property
    def named(self) -> FactText:
        """The titles: what the passage is about may be told of it too."""
        return FactText("\n".join(self.titles))

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """All words of text and titles, folded, without a possessive."""
        return folded_words("\n".join((self.text, *self.titles)))

    def states(self, fact: Fact) -> bool:
        """Whether the fact stands in one unit of the text, or in the titles; a command may fill several lines."""
        if any(unit.facts.states(fact) for unit in self.units):
            return True
        return self._commands.has(fact.value) if fact.kind is FactKind.COMMAND else self.named.states(fact)

    def has(self, sentence: str) -> bool:
        """Whether one of the units reads just so, white space aside."""
        flat = " ".join(sentence.split())
        return any(" ".join(unit.text.split()) == flat for unit in self.units)

    def span(self, window: Window) -> Span:
        """Where the window lies in the document."""
        return Span(self.offset + window.start, self.offset + window.end)

    def best_window(self, claim: Reading) -> Window | None:
        """The shortest run of units that says most of the claim; None if the passage shares nothing with it."""
        units = self.units
        stems, facts = sorted(claim.stems), sorted(claim.facts, key=lambda fact: (fact.kind, fact.value))
        masks = [
            sum(1 << bit for bit, stem in enumerate(stems) if stem in unit.words)
            | sum(1 << (len(stems) + bit) for bit, fact in enumerate(facts) if unit.facts.states(fact))
            for unit in units
        ]
        best: tuple[float, int, int] | None = None
        fact_mask = ((1 << len(facts)) - 1) << len(stems)
        word_mask = (1 << len(stems)) - 1
        for first in range(len(units)):
            covered = 0
            for last in range(first, min(first + _WINDOW_UNITS, len(units))):
                covered |= masks[last]
                if not covered:
                    break
                value = (covered & word_mask).bit_count() / max(1, len(stems))
                value += 2 * (covered & fact_mask).bit_count() / max(1, len(facts))
                value -= 0.03 * (last - first) + 0.0002 * (units[last].end - units[first].start)
                if best is None or value > best[0]:
                    best = (value, first, last)
        if best is None:
            return None
        return self._window(best[1], best[2])

    def whole(self) -> Window | None:
        """All of the passage, or None if it is blank."""
        return self._window(0, len(self.units) - 1) if self.units else None

    def _window(self, first: int, last: int) -> Window:
        units = self.units[first : last + 1]
        return Window(units, units[0].start, units[-1].end)


def with_rows_apart(text: str, units: Iterable[Unit]) -> Iterator[Unit]:
    """The units, with paragraphs that are rows of a table in plain text cut into their lines."""
    for unit in units:
        raw = text[unit.start : unit.end]
        if unit.kind is not UnitKind.PROSE or "\n" not in raw or " | " not in raw:
            yield unit
            continue
        at = unit.start
        for line in raw.splitlines(keepends=True):
            if line.strip():
                yield Unit(UnitKind.PROSE, at, at + len(line.rstrip()))
            at += len(line)


def _forbids(text: str) -> bool:
    return _FORBIDS.search(text.replace("\u2019", "'")) is not None
