"""Exact comparison of a sentence with its evidence: facts that are not there, facts and polarity that conflict.

Nothing here is a matter of degree: what it finds keeps a sentence from being `supported` whatever its words say. How
well the words fit is left to `grounding`, what a fact is to `facts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.generation.evidence import Evidence, EvidenceUnit, Reading, Window
from service.generation.facts import Fact, FactKind

SAME_STATEMENT = 0.6
"""Share of a sentence's stems in one unit from which the two speak of the same thing, so that they can conflict."""
MUTUAL_STATEMENT = 0.4
"""Share of the unit's stems in the sentence from which the two say the same and no more: only then they contradict."""
RIVAL_MARGIN = 0.1
"""A unit that holds the sentence's facts may be so much worse in words than the best; beyond, they are borrowed."""
FORBIDDEN = "negation:listed as what not to do"

_OPPOSITES = (
    ("enabl", "disabl"), ("start", "stop"), ("increas", "decreas"), ("alway", "never"), ("allow", "deni"),
    ("allow", "forbid"), ("higher", "lower"), ("rise", "fall"), ("healthi", "unhealthi"), ("safe", "unsaf"),
    ("open", "close"), ("succeed", "fail"), ("requir", "option"), ("first", "last"), ("upgrad", "downgrad"),
    ("includ", "exclud"), ("lock", "unlock"), ("mount", "unmount"), ("minimum", "maximum"), ("possibl", "imposs"),
)  # fmt: skip
"""Stems of words that swap a sentence's meaning while everything else stays."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the exact checks of one sentence found. `facts` counts those it states, `missing` holds those not there."""

    facts: int
    missing: tuple[Fact, ...]
    contradicted: bool
    checks: tuple[str, ...]

    @property
    def stated(self) -> float:
        """Share of the sentence's facts that the evidence states; 1 if it has none."""
        return 1 - len(self.missing) / self.facts if self.facts else 1.0


@dataclass(frozen=True, slots=True)
class _Conflict:
    """`fact` of the sentence where the closest unit has `rival`; `mutual`: the two say the same otherwise."""

    fact: Fact
    rival: Fact
    mutual: bool


def examine(claim: Reading, windows: Sequence[Window], cited: Sequence[Evidence]) -> Findings:
    """The findings on a sentence, given the best window of each cited passage that has one."""
    units = [unit for window in windows for unit in window.units]
    missing = [fact for fact in claim.facts if not any(window_states(window, fact) for window in windows)]
    conflict = _conflict(claim, [unit for evidence in cited for unit in evidence.units])
    if conflict is not None and conflict.fact not in missing:
        missing.append(conflict.fact)
    flipped = _flipped(claim, units)
    forbidden = _forbidden(claim, units)
    checks = _fact_checks(claim, missing)
    if conflict is not None:
        checks.append(f"conflict:{conflict.rival.value[:40]} not {conflict.fact.value[:40]}")
    if flipped:
        checks.append(f"negation:{flipped}")
    if forbidden:
        checks.append(FORBIDDEN)
    contradicted = bool(flipped) or forbidden or (conflict is not None and conflict.mutual)
    return Findings(len(claim.facts), tuple(missing), contradicted, tuple(checks))


def window_states(window: Window, fact: Fact) -> bool:
    """Whether a unit of the window states the fact."""
    return any(unit.facts.states(fact) for unit in window.units)


def _fact_checks(claim: Reading, missing: Sequence[Fact]) -> list[str]:
    """One check per kind of fact that the sentence states: `numbers:ok`, `commands:missing kubectl ...`."""
    lost = {fact.kind: fact.value for fact in sorted(missing, key=lambda fact: fact.value, reverse=True)}
    kinds = [kind for kind in FactKind if any(fact.kind is kind for fact in claim.facts)]
    checks = [f"{kind}:missing {lost[kind][:80]}" if kind in lost else f"{kind}:ok" for kind in kinds]
    return [f"facts:{'missing' if missing else 'ok'}", *checks]


def _conflict(claim: Reading, units: Sequence[EvidenceUnit]) -> _Conflict | None:
    """The first fact in which the closest unit differs from the sentence, or None.

    A changed number may happen to stand elsewhere in the passage. So the facts must stand in a unit that says about
    as much of the sentence as the closest one does, unless the closest one states no rival of the same shape.
    """
    if not claim.stems or not claim.facts:
        return None
    ranked = [(len(claim.stems & unit.words) / len(claim.stems), unit) for unit in units]
    close, nearest = max(ranked, key=lambda pair: pair[0], default=(0.0, None))
    if nearest is None or close < SAME_STATEMENT:
        return None
    rivals = sorted((fact for fact in nearest.reading.facts if fact not in claim.facts), key=str)
    for fact in sorted(claim.facts, key=str):
        if nearest.facts.states(fact):
            continue
        rival = next((other for other in rivals if _excludes(fact, other)), None)
        elsewhere = any(share >= close - RIVAL_MARGIN and unit.facts.states(fact) for share, unit in ranked)
        if rival is not None and not elsewhere:
            return _Conflict(fact, rival, _mutual(claim, nearest))
    return None


def _mutual(claim: Reading, unit: EvidenceUnit) -> bool:
    stems = unit.reading.stems
    return not stems or len(claim.stems & stems) / len(stems) >= MUTUAL_STATEMENT


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


def _excludes(one: Fact, other: Fact) -> bool:
    return one.kind is other.kind and one.shape == other.shape and one.kind is not FactKind.FLAG


def _flipped(claim: Reading, units: Sequence[EvidenceUnit]) -> str:
    """The word that one of sentence and closest unit denies and the other asserts, or nothing."""
    if not claim.stems or not units:
        return ""
    close = max(units, key=lambda unit: len(claim.stems & unit.reading.stems))
    shared = claim.stems & close.reading.stems
    if len(shared) / len(claim.stems) < SAME_STATEMENT or not _mutual(claim, close):
        return ""
    if close.forbidden and claim.negates:
        return ""
    other = close.reading
    for word in sorted(claim.denied & shared):
        if word not in other.maybe_denied:
            return word
    for word in sorted(other.denied & shared):
        if word not in claim.maybe_denied:
            return word
    for one, two in (*_OPPOSITES, *((two, one) for one, two in _OPPOSITES)):
        if one in claim.stems and two in other.stems and two not in claim.stems and one not in other.stems:
            return f"{one}/{two}"
    return ""
