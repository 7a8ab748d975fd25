"""Exact comparison of a sentence with its evidence: facts that are not there, facts and polarity that conflict.

Nothing here is a matter of degree: what it finds keeps a sentence from being `supported` whatever its words say. How
well the words fit is left to `grounding`, what a fact is to `facts`, what differs in a copy to `wording`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.generation.checking.evidence import Evidence, EvidenceUnit, Reading, Window
from service.generation.checking.facts import Fact, FactKind
from service.generation.checking.wording import COPIED, Comparison, Difference, Entry, Sort, compare, folded_words

SAME_STATEMENT = 0.6
"""Share of a sentence's stems in one unit from which the two speak of the same thing, so that they can conflict."""
FORBIDDEN = "negation:listed as what not to do"
MUTUAL_STATEMENT = 0.4
"""Share of the unit that stands in the sentence from which the two say the same: only then they contradict."""
_FEW_NAMES = 0.34
"""Of a sentence's words; where more are capitalised, capitals do not tell names."""
_NAMES = 2
"""So many may be names in a sentence of any length."""
_GERMAN_PROSE = """
der die das und ist sind nicht ein eine einen den dem des zu mit sie wird werden auf f\u00fcr von bei im kann nach
"""
_GERMAN = frozenset(_GERMAN_PROSE.split())
_GERMAN_WORDS = 2
_NEGATION = 2
"""Entries that a negator adds to a sentence: do, not."""
_COMPARED = 4
"""Units in which a sentence may be copied: those with most words of it."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the exact checks of one sentence found. `facts` counts those it states, `missing` holds those not there.

    `hints` are shares and flags, 0 to 1, that are too uncertain to decide alone.
    """

    facts: int
    missing: tuple[Fact, ...]
    contradicted: bool
    checks: tuple[str, ...]
    hints: Mapping[str, float] = field(default_factory=dict)

    @property
    def stated(self) -> float:
        """Share of the sentence's facts that the evidence states; 1 if it has none."""
        return 1 - len(self.missing) / self.facts if self.facts else 1.0


@dataclass(frozen=True, slots=True)
class _Copied:
    """The unit of which a sentence is nearest to a copy, with what differs."""

    unit: EvidenceUnit
    comparison: Comparison

    @property
    def mutual(self) -> bool:
        """Whether the unit says this and little more."""
        return self.comparison.common >= MUTUAL_STATEMENT * len(self.unit.reading.row)


def examine(claim: Reading, windows: Sequence[Window], cited: Sequence[Evidence], question: str = "") -> Findings:
    """The findings on a sentence, given the best window of each cited passage that has one.

    A fact may stand in any of the cited passages or their titles, a command must stand whole in one of them, with no
    placeholder filled in. A name (a capital inside a sentence) may also come from the `question`.
    """
    near = [unit for window in windows for unit in window.units]
    units = [unit for evidence in cited for unit in evidence.units]
    copied = _closest_copy(claim.row, units)
    conflict = _differing_fact(copied) if copied else None
    missing = [fact for fact in claim.facts if not any(evidence.states(fact) for evidence in cited)]
    if conflict is not None and conflict.said.fact not in missing:
        kind = FactKind.NUMBER if conflict.said.sort is Sort.UNIT else FactKind.NAME
        missing.append(conflict.said.fact or Fact(kind, conflict.said.shown, kind))
    unknown = [Fact(FactKind.NAME, shown, FactKind.NAME) for shown in _unknown_names(claim, cited, question)]
    missing += [fact for fact in unknown if fact not in missing]
    turned = "" if copied is None or (copied.unit.forbidden and claim.negates) else _turned(copied.comparison)
    turned = turned or _limit_turned(claim, units)
    forbidden = _forbidden(claim, near)
    checks = _fact_checks(claim, missing)
    if conflict is not None:
        checks.append(f"conflict:{conflict.rival.shown[:40]} not {conflict.said.shown[:40]}")
    if turned:
        checks.append(f"negation:{turned}")
    if forbidden:
        checks.append(FORBIDDEN)
    contradicted = bool(turned) or forbidden or (conflict is not None and copied is not None and copied.mutual)
    hints = _hints(claim, units, windows, missing) | {
        "unknown_names": sum(fact.kind is FactKind.NAME for fact in missing) / max(1, len(claim.row)),
        "copied": copied.comparison.common / len(claim.row) if copied else 0.0,
    }
    facts = len(claim.facts.union(missing))
    return Findings(facts, tuple(missing), contradicted, tuple(checks), hints)


def window_states(window: Window, fact: Fact) -> bool:
    """Whether a unit of the window states the fact."""
    return any(unit.facts.states(fact) for unit in window.units)


def _hints(
    claim: Reading, units: Sequence[EvidenceUnit], windows: Sequence[Window], missing: Sequence[Fact]
) -> dict[str, float]:
    """What is only likely: shares of the sentence's facts, and of its words around them, 0 to 1."""
    stated = [fact for fact in claim.facts if fact not in missing]
    away = [fact for fact in stated if not any(window_states(window, fact) for window in windows)]
    contexts = [
        max((len(claim.stems & unit.words) for unit in units if unit.facts.states(fact)), default=0) for fact in stated
    ]
    return {
        "facts_elsewhere": len(away) / max(1, len(claim.facts)),
        "fact_context": min(contexts) / max(1, len(claim.stems)) if contexts else 1.0,
    }


def _unknown_names(claim: Reading, cited: Sequence[Evidence], question: str) -> list[str]:
    """Names that stand nowhere in the cited passages, their titles and the question.

    None where capitals mean little: in German, where every noun has one, and in titles. A short form made of the
    initials of words here, and the words that a known short form stands for, are known.
    """
    names = [entry for entry in claim.row if entry.sort is Sort.NAME]
    if not names or len(names) > max(_FEW_NAMES * len(claim.row), _NAMES):
        return []
    if len(_GERMAN & {entry.shown.casefold() for entry in claim.row}) >= _GERMAN_WORDS:
        return []
    known = frozenset[str]().union(folded_words(question), *(each.vocabulary for each in cited))
    initials = "".join(entry.shown[:1] for entry in claim.row).casefold()
    spelled_out = "".join(entry.shown[0] for entry in names).casefold() in known
    unknown = []
    for entry in names:
        word = entry.shown.casefold().removesuffix("'s")
        single = word.removesuffix("s")
        if known.isdisjoint((word, single, word.removesuffix("es"), f"{word}s")):
            short = entry.shown[:2].isupper() and single in initials
            unknown += [] if spelled_out or short else [entry.shown]
    return unknown


def _limit_turned(claim: Reading, units: Sequence[EvidenceUnit]) -> str:
    """The number that the sentence gives as the least where all that say the same give it as the most, or nothing."""
    limits = [(entry.fact, entry.shown) for entry in claim.row if entry.fact is not None and entry.fact.bound]
    for fact, shown in limits:
        if sum(other == fact for other, _ in limits) > 1:
            continue
        same = [unit for unit in units if len(claim.stems & unit.words) >= SAME_STATEMENT * len(claim.stems)]
        facts = [entry.fact for unit in same for entry in unit.reading.row]
        bounds = {known.bound for known in facts if known is not None and known == fact}
        if bounds and "" not in bounds and fact.bound not in bounds:
            return f"limit {shown}"
    return ""


def _fact_checks(claim: Reading, missing: Sequence[Fact]) -> list[str]:
    """One check per kind of fact that the sentence states: `numbers:ok`, `commands:missing kubectl ...`."""
    lost = {fact.kind: fact.value for fact in sorted(missing, key=lambda fact: fact.value, reverse=True)}
    kinds = [kind for kind in FactKind if kind in lost or any(fact.kind is kind for fact in claim.facts)]
    checks = [f"{kind}:missing {lost[kind][:80]}" if kind in lost else f"{kind}:ok" for kind in kinds]
    return [f"facts:{'missing' if missing else 'ok'}", *checks]


def _closest_copy(row: Sequence[Entry], units: Sequence[EvidenceUnit]) -> _Copied | None:
    """The unit of which the sentence is nearest to a copy; None if it is a copy of none.

    None too if that one differs in a fact while another unit, with as many of the words, states all facts.
    """
    if len(row) < 2:
        return None
    texts = frozenset(entry.text for entry in row)
    shared = [(len(texts & unit.reading.entries), -len(unit.reading.row), unit) for unit in units]
    least = max(1, min(COPIED * len(texts), len(texts) - 1) - _NEGATION)
    likely = sorted((one for one in shared if one[0] >= least), key=lambda one: one[:2], reverse=True)[:_COMPARED]
    copies = [_Copied(unit, found) for _, _, unit in likely if (found := compare(row, unit.reading.row)) is not None]
    best = max(copies, key=lambda copy: _nearness(copy.comparison), default=None)
    if best is None or best.comparison.whole:
        return best
    facts = frozenset(entry.text for entry in row if entry.fact is not None)
    near = len(texts & best.unit.reading.entries)
    told = any(count >= near and unit.reading.entries.issuperset(facts) for count, _, unit in shared)
    return None if told else best


def _nearness(comparison: Comparison) -> tuple[int, bool, int]:
    """Orders copies; of two that are as near, one that states all facts shows what differs in the words."""
    count = len(comparison.differences)
    return comparison.common, comparison.whole, -count if comparison.whole else count


def _differing_fact(copied: _Copied) -> Difference | None:
    """The first fact, name or unit for which the copied unit has another."""
    return next((one for one in copied.comparison.differences if not one.turned), None)


def _turned(comparison: Comparison) -> str:
    """The first word that says the opposite of its source, or nothing."""
    for difference in comparison.differences:
        if difference.turned:
            if difference.said == difference.rival:
                return difference.said.shown
            return f"{difference.said.shown}/{difference.rival.shown}"
    return ""


def _forbidden(claim: Reading, units: Sequence[EvidenceUnit]) -> bool:
    """Whether the sentence says without a negation what stands only in lists of what not to do."""
    if claim.negates:
        return False
    shares = [
        (len(claim.stems & unit.words) + sum(unit.facts.states(fact) for fact in claim.facts), unit) for unit in units
    ]
    best = max((share for share, _ in shares), default=0)
    if best < max(1, SAME_STATEMENT * (len(claim.stems) + len(claim.facts))):
        return False
    return all(unit.forbidden for share, unit in shares if share == best)
