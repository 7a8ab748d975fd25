"""A text as the row of its words and facts, and what differs where one row is nearly a copy of another.

A copy in which one thing was changed is the most dangerous wrong sentence, since all other words are right. So where
two rows are nearly the same, every fact, name, negation and comparison in which they differ counts. How far the words
of a free retelling fit is left to `grounding`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum

from service.generation.checking.factkinds import Fact, FactKind
from service.generation.checking.facts import ReadFacts, agree

NEGATORS = frozenset({"not", "no", "never", "without", "cannot", "nor", "neither", "none", "nobody", "nothing"})
_DENIES = NEGATORS | {"avoid", "refrain"}
_AUXILIARIES = _DENIES | {"do", "doe", "did", "ever", "pleas"}
"""What comes with a negator: `do not` before a command of three words makes it no other command."""
COPIED = 0.6
"""Share of a row's entries that must stand in the other, in order, to call it a copy."""
_NEARLY = 0.7
"""From which it is so close that a single word counts: a negator more or less, a name for another."""
_SHORT_GAP = 4
"""Entries in which a lone negator denies what stands around it; in a longer gap it speaks of something else."""
_DENSE = 0.5
"""Share of the stretch between the first and the last common entry that is common."""
_REACH = 3
"""Entries before the copied stretch in which a negator still speaks about it."""
_ARTICLES = frozenset({"the", "a", "an"})
_SYMMETRIC = frozenset({"and", "or", "with", "plus", "nor"})
_PAIRS = """
enabl/disabl start/stop increas/decreas alway/never allow/deni allow/forbid allow/forbidden higher/lower rise/fall
healthi/unhealthi safe/unsaf open/close succeed/fail success/failur requir/option first/last upgrad/downgrad
includ/exclud lock/unlock mount/unmount minimum/maximum possibl/imposs add/remov accept/reject rais/lower more/less
more/fewer most/least befor/after abov/below over/under older/newer old/new older/younger later/earlier late/earli
longer/shorter long/short larger/smaller larg/small faster/slower fast/slow within/after up/down on/off all/none
automat/manual manual/automat better/wors high/low in/out with/without inner/outer push/pull read/write sourc/target
left/right top/bottom grow/shrink insert/delet creat/delet attach/detach connect/disconnect drain/undrain
secur/insecur public/privat success/fail pass/fail buy/sell best/worst heavier/lighter warm/cold hot/cold full/empti
true/fals yes/no primari/replica north/south east/west greater/less bigger/smaller until/after sooner/later
"""
_OPPOSITES = frozenset(frozenset(pair.split("/")) for pair in _PAIRS.split())
"""Stems of words that swap a sentence's meaning while everything else stays."""
_UNITS = """
second minut hour day week month year quarter byte kb mb gb tb percent euro dollar
"""
UNIT_WORDS = frozenset(_UNITS.split())
"""Stems of units, which count as a fact does even without a figure before them."""


_EACH = {"daili": "day", "weekli": "week", "hourli": "hour", "monthli": "month", "yearli": "year"}
"""Once a day, daily."""


class Sort(StrEnum):
    """What an entry is: in which way it counts that it differs."""

    WORD = "word"
    FACT = "fact"
    NAME = "name"
    UNIT = "unit"


@dataclass(frozen=True, slots=True)
class Entry:
    """A word (its stem), a name or a fact. `shown` is how it reads."""

    text: str
    sort: Sort = Sort.WORD
    shown: str = ""
    fact: Fact | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """`said` stands in the copy where the source has `rival`. `turned`: it says the opposite."""

    said: Entry
    rival: Entry
    turned: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far a row is a copy of another: entries in common, and what differs in between. `whole`: no fact is new."""

    common: int
    whole: bool
    differences: tuple[Difference, ...]


_WORD = re.compile(r"[^\W\d_](?:[^\W_]|['\u2019](?=[^\W_]))*")
_OPENS = re.compile(r"(?:[\"\u201c]|[.!?:][\"')*\]]*\s|\n)[\s>]*(?:[-*+\u2022|]|\d{1,3}[.)])?\s*[\"'(*_`\[\u201c]*\Z")
_BEFORE = 16


def row_of(read: ReadFacts, stem: Callable[[list[str]], list[str]]) -> tuple[Entry, ...]:
    """The words and facts of a text, in order. A command falls into its words, "don't" into two."""
    row: list[Entry] = []
    position = 0
    for found in sorted((*read.found, *read.references), key=lambda one: (one.start, one.end)):
        if found.start > position:
            row += _words(read.text, position, found.start)
        position = max(position, found.end)
        if found.fact.kind is FactKind.COMMAND:
            row += [Entry(word, Sort.FACT, word, Fact(FactKind.COMMAND, word, "")) for word in found.fact.value.split()]
        else:
            row.append(Entry(found.fact.value, Sort.FACT, read.text[found.start : found.end], found.fact))
    row += _words(read.text, position, len(read.text))
    words = [at for at, entry in enumerate(row) if entry.fact is None]
    for at, stemmed in zip(words, stem([row[at].text for at in words]), strict=True):
        stemmed = _EACH.get(stemmed, stemmed)
        sort = Sort.UNIT if stemmed in UNIT_WORDS else row[at].sort
        row[at] = Entry(stemmed, sort, row[at].shown)
    return tuple(row)


def _words(text: str, start: int, end: int) -> list[Entry]:
    entries = []
    for match in _WORD.finditer(text, start, end):
        shown = match.group().replace("\u2019", "'")
        word = shown.casefold().removesuffix("'s")
        if word == "cannot":
            entries += [Entry("can", shown=shown), Entry("not", shown=shown)]
        elif word.endswith("n't"):
            entries += [Entry(word[:-3], shown=shown), Entry("not", shown=shown)]
        else:
            name = (
                shown[0].isupper()
                and len(word) > 1
                and not shown.startswith("I'")
                and not starts_sentence(text, match.start())
            )
            entries.append(Entry(word, Sort.NAME if name else Sort.WORD, shown))
    return entries


def starts_sentence(text: str, at: int) -> bool:
    """Whether what stands at a place begins a sentence, item or cell, so that its capital says nothing."""
    before = text[at - _BEFORE : at] if at > _BEFORE else f"\n{text[:at]}"
    return _OPENS.search(before) is not None


def folded_words(text: str) -> frozenset[str]:
    """The words of a text in small letters, without a possessive."""
    folded = text.replace("\u2019", "'").casefold()
    return frozenset(word.removesuffix("'s") for word in re.findall(r"[^\W_]+(?:'[^\W_]+)*", folded))


def compare(claim: Sequence[Entry], source: Sequence[Entry]) -> Comparison | None:
    """What differs, or None if the claim is no copy of the source or of a stretch of it."""
    own = sum(entry.text not in _AUXILIARIES for entry in claim)
    least = max(1, min(COPIED * own, own - 1))
    if len(claim) < 2:
        return None
    if (exchanged := _exchanged(claim, source)) is not None:
        return Comparison(len(claim), True, (exchanged,))
    matcher = SequenceMatcher(None, [entry.text for entry in claim], [entry.text for entry in source], autojunk=False)
    blocks = [block for block in matcher.get_matching_blocks() if block.size]
    common = sum(block.size for block in blocks)
    if not blocks or common < least:
        return None
    first, last = blocks[0].b, blocks[-1].b + blocks[-1].size
    if common < _DENSE * (last - first):
        return None
    gaps = _gaps(claim, source, matcher)
    surplus = Counter(entry.text for entry in claim) - Counter(entry.text for entry in source)
    whole = not any(entry.fact is not None and entry.text in surplus for entry in claim)
    nearly = common >= _NEARLY * own
    differences = (*_swapped(gaps, claim), *_replaced(gaps, surplus, nearly=nearly), *_turned(gaps, nearly=nearly))
    return Comparison(common, whole, differences)


def _exchanged(claim: Sequence[Entry], source: Sequence[Entry]) -> Difference | None:
    """The two things that changed places, where nothing else differs: A depends on B, B depends on A."""
    said = [entry for entry in claim if entry.text not in _ARTICLES]
    meant = [entry for entry in source if entry.text not in _ARTICLES]
    ours, theirs = _texts(said), _texts(meant)
    if ours == theirs or len(ours) != len(theirs) or Counter(ours) != Counter(theirs):
        return None
    start = next(at for at, (one, other) in enumerate(zip(ours, theirs, strict=True)) if one != other)
    stop = len(ours) - next(at for at in range(len(ours)) if ours[-1 - at] != theirs[-1 - at])
    ours, theirs = ours[start:stop], theirs[start:stop]
    for left in range(1, len(ours) - 1):
        for right in range(1, len(ours) - left):
            between = ours[left : len(ours) - right]
            swapped = ours[:left] == theirs[-left:] and ours[-right:] == theirs[:right]
            if swapped and between == theirs[right : len(theirs) - left] and not _SYMMETRIC.issuperset(between):
                return Difference(said[start], said[stop - right], turned=True)
    return None


@dataclass(frozen=True, slots=True)
class _Gap:
    """What stands between two common stretches: `said` in the copy, `meant` in the source. `at` is its place there."""

    said: tuple[Entry, ...]
    meant: tuple[Entry, ...]
    at: int


def _gaps(claim: Sequence[Entry], source: Sequence[Entry], matcher: SequenceMatcher[str]) -> list[_Gap]:
    blocks = [block for block in matcher.get_matching_blocks() if block.size]
    first, last = blocks[0].b, blocks[-1].b + blocks[-1].size
    gaps = []
    for kind, i1, i2, j1, j2 in matcher.get_opcodes():
        if kind == "equal":
            continue
        start = max(j1, first - max(_REACH, i2 - i1)) if j2 <= first else j1
        end = min(j2, last + max(1, i2 - i1)) if j1 >= last else j2
        gaps.append(_Gap(tuple(claim[i1:i2]), tuple(source[start:end]), i1))
    return gaps


def _replaced(gaps: Sequence[_Gap], surplus: Counter[str], *, nearly: bool) -> list[Difference]:
    """Facts, names and units for which the source has others at the same place."""
    found = []
    for gap in gaps:
        left = [entry for entry in gap.meant if entry.sort is not Sort.WORD]
        names = _only_names(gap.said) and _only_names(gap.meant) and nearly
        for said in gap.said:
            if said.sort is Sort.WORD or said.text not in surplus or (said.sort is Sort.NAME and not names):
                continue
            if any(said.fact and entry.fact and agree(said.fact, entry.fact) for entry in left):
                continue
            rival = next((entry for entry in left if _rivals(said, entry)), None)
            if rival is not None:
                found.append(Difference(said, rival))
    return found


def _only_names(entries: Sequence[Entry]) -> bool:
    return bool(entries) and all(entry.sort is Sort.NAME for entry in entries)


def _rivals(one: Entry, other: Entry) -> bool:
    if one.sort is not other.sort:
        return False
    if one.fact is None or other.fact is None:
        return True
    return one.fact.kind is other.fact.kind


def _swapped(gaps: Sequence[_Gap], claim: Sequence[Entry]) -> list[Difference]:
    """Two things that changed places around a word that makes this matter: A depends on B, B depends on A."""
    for at, one in enumerate(gaps):
        for two in gaps[at + 1 :]:
            if (
                not one.said
                or not two.said
                or _texts(one.said) != _texts(two.meant)
                or _texts(two.said) != _texts(one.meant)
            ):
                continue
            between = claim[one.at + len(one.said) : two.at]
            if any(entry.text not in _SYMMETRIC for entry in between):
                return [Difference(one.said[0], two.said[0], turned=True)]
    return []


def _texts(entries: Sequence[Entry]) -> list[str]:
    return [entry.text for entry in entries]


def _turned(gaps: Sequence[_Gap], *, nearly: bool) -> list[Difference]:
    """Negators that one of the two has alone, and words for which it has their opposites."""
    found = []
    for gap in gaps:
        said, meant = _negations(gap.said), _negations(gap.meant)
        if nearly and len(said) != len(meant) and len(gap.said) + len(gap.meant) <= _SHORT_GAP:
            lone = (said or meant)[0]
            found.append(Difference(lone, lone, turned=True))
    for gap in gaps:
        for one in gap.said:
            for other in gap.meant:
                if frozenset({one.text, other.text}) in _OPPOSITES:
                    found.append(Difference(one, other, turned=True))
    return found


def _negations(entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.text in _DENIES]
