"""What a passage states with exact facts, and whether two statements are the same but for one of these.

Precision comes first: whoever is shown ten pairs of which nine are harmless reads none. So two statements contradict
each other only if their words are nearly the same, they speak of the same thing, and only facts of one kind and
measure stand against each other. Which passages are compared is left to `contradictions`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property

from ingestion.corpus.records import IndexedChunk
from service.generation.checking.evidence import STOPWORDS, Evidence, EvidenceUnit, Reader
from service.generation.checking.factkinds import Fact, FactKind
from service.generation.checking.facts import agree
from service.generation.checking.sentences import UnitKind
from service.generation.checking.wording import NEGATORS, Entry, Sort

NEARLY_ALL = 0.75
"""Share of the words of each statement that stand in the other, in order."""
_SHARED = 0.6
"""Share of the words of the shorter one from which two statements are looked at closely."""
_LONGEST_CHARS = 1_000
_MAYBE = re.compile(
    r"[\d`]|(?<!\w)--?\w|\w[/_.:@=]\w|\b(?:two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|twenty|thirty)\b",
    re.IGNORECASE,
)
"""What a statement has that may have a fact; the facts themselves take longer to read."""
_LEAST_WORDS = 3
"""Words with a meaning of their own that both must share: fewer say nothing about what the fact is of."""
_LONGEST = 80
"""Entries; a longer unit is a paragraph without stops, or a listing."""
_SIBLINGS = 0.5
"""Share of the shorter title in the other from which two titles, each with words of its own, name two of a kind."""

_LOOSE = re.compile(
    r"(?<![\w.])(?:e\.?g\.?|examples?|for instance|such as|sample|approximately|typically|usually|roughly|around|about"
    r"|last (?:updated|reviewed|modified)|version history|changelog)\b|[<{\[]\w[\w -]*[>}\]]|\{\{|\.\.\.|\u2026",
    re.IGNORECASE,
)
"""What is said as an example, or not to the letter, contradicts nothing; nor does what has a placeholder in it."""
_PLACES_WORDS = """
production prod staging stage dev development test testing qa uat preprod sandbox demo local primary secondary
standby replica canary legacy old new beta alpha free basic premium enterprise pro standard linux windows macos
ubuntu debian centos rhel eu us emea apac internal external weekday weekend weekdays weekends
monday tuesday wednesday thursday friday saturday sunday first second third minor major critical warning
read write upload download min max minimum maximum client server vm vms container containers kubernetes cloud
onprem hardware virtual mobile desktop web ios android small medium large
"""
_PLACES = frozenset(_PLACES_WORDS.split())
"""Words that tell two things of a kind apart: a value for staging says nothing about production."""
_KINDS = frozenset(
    {FactKind.NUMBER, FactKind.TIME, FactKind.VERSION, FactKind.ADDRESS, FactKind.IDENTIFIER, FactKind.FLAG,
     FactKind.COMMAND}
)  # fmt: skip
_LEADS = re.compile(r":\W*(?:\d{1,3}[.)])?\s*$")
"""The end of a line that introduces what follows."""
_IS_PLACE = re.compile(r"\w[.:@]\w|/\w")
"""A host, a port, a path, an address: of other names each may have its own sentence."""
_WORD = re.compile(r"[^\W\d_]{2,}")
_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_]+")
"""Words, and those that are written as one: KubePodNotReady, virt-handler, log_level."""
_PAGES_WORDS = """
runbook guide notes note manual handbook policy overview checklist faq page document doc docs summary sheet cheat
reference how to the a an of for and in on with introduction about quick start steps step instructions procedure
playbook wiki readme md html txt meaning impact diagnosis mitigation description details background troubleshooting
"""
_PAGES = frozenset(_PAGES_WORDS.split())
"""Words of titles and headings that tell what kind of page it is, not what it is about."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two facts that stand at the same place of two statements, as they are written."""

    kind: FactKind
    one: str
    other: str


class Statement:
    """A unit of a passage that may state a fact. `start` and `end` are its place in the document's text.

    What takes time is read when it is first asked for.
    """

    def __init__(self, unit: EvidenceUnit, passage: Reading, lead: str = "") -> None:
        """`lead` is the line that introduces the unit, if one does: `In staging:`."""
        self.text = unit.text
        self.lead = lead
        self.unit = unit
        self.passage = passage
        self.start = passage.chunk.chunk.span.start + unit.start
        self.end = passage.chunk.chunk.span.start + unit.end
        self.words = frozenset(word.casefold() for word in _WORD.findall(unit.text))
        self.places = frozenset(word.casefold() for word in _WORD.findall(f"{lead} {unit.text}")) & _PLACES

    @cached_property
    def row(self) -> tuple[Entry, ...]:
        return self.unit.reading.row

    @cached_property
    def texts(self) -> frozenset[str]:
        return frozenset(entry.text for entry in self.row)

    @cached_property
    def topics(self) -> frozenset[str]:
        """Its words, also those that are parts of a name."""
        return topics(self.text)

    @cached_property
    def form(self) -> frozenset[str]:
        """Its words without those that the page is about."""
        return frozenset(word for word in self.words if word not in STOPWORDS and not topics(word) & self.passage.about)

    @cached_property
    def is_exact(self) -> bool:
        """Whether it states a fact that can stand against another."""
        if _LOOSE.search(self.text) or _LOOSE.search(self.lead):
            return False
        facts = [entry for entry in self.row if entry.fact is not None and entry.fact.kind in _KINDS]
        return bool(facts) and len(self.row) <= _LONGEST


class Reading:
    """A passage with its statements. Not for several threads."""

    def __init__(self, reader: Reader, chunk: IndexedChunk) -> None:
        self.chunk = chunk
        self._evidence = Evidence.of(reader, chunk)

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        found = []
        lead = ""
        for unit in self._evidence.units:
            if unit.kind in (UnitKind.PROSE, UnitKind.HEADING):
                lead, before = "", lead
            else:
                before = lead
            if _may_state(unit):
                found.append(Statement(unit, self, before))
            if unit.kind is UnitKind.PROSE and _LEADS.search(unit.text):
                lead = unit.text
        return tuple(found)

    @cached_property
    def title(self) -> frozenset[str]:
        """What the document is about: words of its title."""
        return topics(self._evidence.titles[0])

    @cached_property
    def heading(self) -> frozenset[str]:
        """What the passage is about in its document: words of the innermost heading."""
        return topics(self._evidence.titles[-1])

    @cached_property
    def about(self) -> frozenset[str]:
        """Words of title and headings."""
        return topics(" ".join(self._evidence.titles))

    @cached_property
    def places(self) -> frozenset[str]:
        """What tells it apart in title, headings and address."""
        told = " ".join((*self._evidence.titles, self.chunk.document.id))
        return frozenset(word.casefold() for word in _WORD.findall(told)) & _PLACES

    @cached_property
    def figures(self) -> frozenset[str]:
        """Numbers in title and headings: a version, a year, a code."""
        return frozenset(re.findall(r"\d+", " ".join(self._evidence.titles)))

    def states(self, fact: Fact) -> bool:
        return self._evidence.states(fact)


def _may_state(unit: EvidenceUnit) -> bool:
    if unit.kind not in (UnitKind.PROSE, UnitKind.ITEM, UnitKind.CODE) or unit.forbidden:
        return False
    return len(unit.text) <= _LONGEST_CHARS and _MAYBE.search(unit.text) is not None


def conflict_of(one: Statement, other: Statement) -> Conflict | None:
    """The facts in which two statements that else say the same differ, or None."""
    if len(one.words & other.words) < _SHARED * min(len(one.words), len(other.words)):
        return None
    if not one.is_exact or not other.is_exact:
        return None
    if len(one.texts & other.texts) < NEARLY_ALL * min(len(one.texts), len(other.texts)) - 1:
        return None
    if one.unit.kind is not other.unit.kind and UnitKind.CODE in (one.unit.kind, other.unit.kind):
        return None
    matcher = SequenceMatcher(
        None, [entry.text for entry in one.row], [entry.text for entry in other.row], autojunk=False
    )
    pairs: list[tuple[Entry, Entry]] = []
    common: list[Entry] = []
    loose = 0
    for kind, i1, i2, j1, j2 in matcher.get_opcodes():
        if kind == "equal":
            common += one.row[i1:i2]
            continue
        said, meant = _plain(one.row[i1:i2]), _plain(other.row[j1:j2])
        facts, rivals = _facts(said), _facts(meant)
        if len(facts) != len(rivals) or _distinguishes(said, one, other) or _distinguishes(meant, other, one):
            return None
        pairs += zip(facts, rivals, strict=True)
        loose += len(said) + len(meant) - 2 * len(facts)
    least = _LEAST_WORDS - (one.passage.title == other.passage.title)
    if not pairs or not _say_the_same(common, loose, one.unit.kind, least):
        return None
    return _rivalry(one, other, pairs)


def _plain(entries: Sequence[Entry]) -> list[Entry]:
    return [
        entry for entry in entries if entry.fact is not None or entry.text not in STOPWORDS or entry.text in NEGATORS
    ]


def _facts(entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.fact is not None]


def _distinguishes(entries: Sequence[Entry], mine: Statement, other: Statement) -> bool:
    """Whether among what only one of the two has is a name, a negator, a place or a unit, or what its own page and not
    the other's is about.
    """
    own = mine.passage.about - other.passage.about
    for entry in entries:
        if own & topics(entry.shown):
            return True
        if entry.fact is None and (
            entry.sort in (Sort.NAME, Sort.UNIT) or entry.text in NEGATORS or entry.shown.casefold() in _PLACES
        ):
            return True
    return False


def _say_the_same(common: Sequence[Entry], loose: int, kind: UnitKind, least: int) -> bool:
    shared = len(_plain(common))
    if kind is UnitKind.CODE:
        return loose == 0 and shared >= _LEAST_WORDS
    return shared >= least and loose <= (1 - NEARLY_ALL) * (shared + loose)


def _rivalry(one: Statement, other: Statement, pairs: Sequence[tuple[Entry, Entry]]) -> Conflict | None:
    """The pair of facts that exclude each other, if all pairs that differ do and the passages are about the same."""
    differing = [(a, b) for a, b in pairs if a.fact and b.fact and not agree(a.fact, b.fact)]
    if len(differing) != 1:
        return None
    [(said, meant)] = differing
    if (
        said.fact is None
        or meant.fact is None
        or not _comparable(said.fact, meant.fact)
        or not _same_subject(one, other)
    ):
        return None
    # Where a passage has both values, it tells two things apart that the other says only one of.
    if _elsewhere(one.passage, meant) or _elsewhere(other.passage, said):
        return None
    return Conflict(said.fact.kind, said.shown, meant.shown)


def _comparable(one: Fact, other: Fact) -> bool:
    if one.kind is not other.kind or one.kind not in _KINDS:
        return False
    if one.kind is FactKind.NUMBER:
        return one.shape == other.shape and one.bound == other.bound
    if one.kind is FactKind.IDENTIFIER:
        return all(_IS_PLACE.search(fact.value) and not fact.value.startswith("#") for fact in (one, other))
    return True


def _elsewhere(passage: Reading, entry: Entry) -> bool:
    assert entry.fact is not None
    if entry.fact.kind is FactKind.COMMAND:
        return any(entry.text in statement.texts for statement in passage.statements)
    return passage.states(entry.fact)


def _same_subject(one: Statement, other: Statement) -> bool:
    """Whether both speak of the same thing, as titles, headings and the words that they share tell."""
    first, second = one.passage, other.passage
    if first.places != second.places or one.places != other.places:
        return False
    if first.figures and second.figures and first.figures != second.figures:
        return False
    extra, rest = first.title - second.title, second.title - first.title
    if extra and rest and len(first.title & second.title) >= _SIBLINGS * min(len(first.title), len(second.title)):
        return False
    apart = first.heading.isdisjoint(second.heading) and bool(first.heading and second.heading)
    if not (extra and rest) and not apart:
        return True
    return bool(one.topics & other.topics & first.about & second.about) or _names_a_thing(one, other)


def _names_a_thing(one: Statement, other: Statement) -> bool:
    """Whether both hold a name that few things have: a host, a code, a path."""
    shared = {entry for entry in one.row if entry.fact is not None and entry.text in other.texts}
    return any(
        entry.fact is not None
        and entry.fact.kind in (FactKind.IDENTIFIER, FactKind.ADDRESS)
        and any(character.isdigit() or character in "./@" for character in entry.text)
        for entry in shared
    )


def topics(text: str) -> frozenset[str]:
    """The words of a text in small letters, names in their parts, without a plural and without those of any page."""
    words = (word.casefold() for word in _PARTS.findall(text))
    return frozenset(word.removesuffix("s") for word in words if word not in _PAGES and word not in STOPWORDS)
