"""Whether a sentence is supported by what it cites: exact facts, polarity and words compared, with no model call.

Finding units and facts is left to `evidence` and `facts`. A verdict is never better than its evidence: a fact that
is not in the cited text, or a flipped negation, keeps a sentence from being `supported` whatever its words say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from service.generation.answers import AnsweredSentence, Grounding, GroundingLabel, Support, SupportLabel
from service.generation.evidence import Evidence, EvidenceUnit, Reader, Reading, Window
from service.generation.facts import Fact, FactKind

METHOD = "lexical@1"

SUPPORTED_OVERLAP = 0.6
"""Share of content stems found from which a sentence counts as said: paraphrase costs about a third of the words."""
PARTIAL_OVERLAP = 0.35
"""Below, sentence and evidence share little but their topic."""
SAME_STATEMENT = 0.6
"""Share of a sentence's stems in one unit from which the two speak of the same thing, so that they can conflict."""
MUTUAL_STATEMENT = 0.4
"""Share of the unit's stems in the sentence from which the two say the same and no more: only then they contradict."""
RIVAL_MARGIN = 0.1
"""A unit that holds the sentence's facts may be so much worse in words than the best; beyond, they are borrowed."""
UNCITED_SCORE = 0.0
FORBIDDEN = "negation:listed as what not to do"

_OPPOSITES = (
    ("enabl", "disabl"), ("start", "stop"), ("increas", "decreas"), ("alway", "never"), ("allow", "deni"),
    ("allow", "forbid"), ("higher", "lower"), ("rise", "fall"), ("healthi", "unhealthi"), ("safe", "unsaf"),
    ("open", "close"), ("succeed", "fail"), ("requir", "option"), ("first", "last"), ("upgrad", "downgrad"),
    ("includ", "exclud"), ("lock", "unlock"), ("mount", "unmount"), ("minimum", "maximum"), ("possibl", "imposs"),
)  # fmt: skip
"""Stems of words that swap a sentence's meaning while everything else stays."""


@dataclass(frozen=True, slots=True)
class CheckedSentence:
    """A verdict with the window of each cited passage that supports the sentence best.

    `windows` holds, in citation order, (index into the evidence given, window); `useful` the indexes that alone support
    at least part of it.
    """

    support: Support
    windows: tuple[tuple[int, Window], ...] = ()
    useful: frozenset[int] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class OwnCitations:
    """What the writer's own citations of one sentence are worth, whatever was found for it afterwards.

    `given` counts them, those of passages that were never shown included; `useful` those that alone support at least
    part of the sentence. `sufficient`: together they support all of it; None for a sentence that needs no citation.
    """

    given: int
    useful: int
    sufficient: bool | None


@dataclass(frozen=True, slots=True)
class _Conflict:
    """`fact` of the sentence where the closest unit has `rival`; `mutual`: the two say the same otherwise."""

    fact: Fact
    rival: Fact
    mutual: bool


class GroundingScorer:
    """Gives verdicts. Holds no state but the stemmer; a sentence against six passages takes about a millisecond."""

    method = METHOD

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def check(self, sentence: str, cited: Sequence[Evidence]) -> CheckedSentence:
        """The verdict on a sentence, given the passages that it cites."""
        if not cited:
            return CheckedSentence(Support(SupportLabel.UNSUPPORTED, UNCITED_SCORE, ("citations:none",)))
        claim = self._reader.read(sentence)
        windows = [(index, window) for index, evidence in enumerate(cited) if (window := evidence.best_window(claim))]
        units = [unit for _, window in windows for unit in window.units]
        missing = [fact for fact in claim.facts if not any(window_states(window, fact) for _, window in windows)]
        overlap = self._overlap(claim, units, cited)
        conflict = _conflict(claim, [unit for evidence in cited for unit in evidence.units])
        if conflict is not None and conflict.fact not in missing:
            missing.append(conflict.fact)
        flipped = _flipped(claim, units)
        checks = _fact_checks(claim, missing)
        if conflict is not None:
            checks.append(f"conflict:{conflict.rival.value[:40]} not {conflict.fact.value[:40]}")
        if flipped:
            checks.append(f"negation:{flipped}")
        forbidden = _forbidden(claim, units)
        if forbidden:
            checks.append(FORBIDDEN)
        checks.append(f"overlap:{overlap:.2f}")
        contradicted = bool(flipped) or forbidden or (conflict is not None and conflict.mutual)
        support = _verdict(overlap, missing, contradicted, len(claim.facts), tuple(checks))
        useful = frozenset(index for index, window in windows if self._helps(claim, window, cited[index]))
        return CheckedSentence(support, tuple(windows), useful)

    def overlap(self, sentence: str, evidence: Evidence) -> float:
        """Share of the sentence's content stems in the passage's best window."""
        claim = self._reader.read(sentence)
        window = evidence.best_window(claim)
        return self._overlap(claim, window.units, [evidence]) if window else 0.0

    def alignment(self, sentence: str, evidence: Evidence) -> tuple[float, float]:
        """Share of the sentence's content stems in the passage's best window, and share that stands there in order.

        Titles don't count. A sentence of facts alone is wholly there if the window states them.
        """
        window = evidence.best_window(self._reader.read(sentence))
        if window is None:
            return 0.0, 0.0
        stems = self._reader.stems(sentence)
        if not stems:
            return 1.0, 1.0
        said = self._reader.stems(" ".join(unit.text for unit in window.units))
        words = frozenset().union(*(unit.words for unit in window.units))
        in_order = sum(block.size for block in SequenceMatcher(None, stems, said, autojunk=False).get_matching_blocks())
        return len(frozenset(stems) & words) / len(frozenset(stems)), in_order / len(stems)

    def _overlap(self, claim: Reading, units: Sequence[EvidenceUnit], cited: Sequence[Evidence]) -> float:
        if not claim.stems:
            return 1.0 if claim.facts and units else 0.0
        said = frozenset().union(*(unit.words for unit in units), *(evidence.about for evidence in cited))
        return len(claim.stems & said) / len(claim.stems)

    def _helps(self, claim: Reading, window: Window, evidence: Evidence) -> bool:
        if any(window_states(window, fact) for fact in claim.facts):
            return True
        return self._overlap(claim, window.units, [evidence]) >= PARTIAL_OVERLAP


def window_states(window: Window, fact: Fact) -> bool:
    """Whether a unit of the window states the fact."""
    return any(unit.facts.states(fact) for unit in window.units)


def summarise(sentences: Sequence[AnsweredSentence], own: Sequence[OwnCitations]) -> Grounding:
    """The verdict on a whole answer, from its sentences as shown and, per sentence, the writer's own citations.

    Label, score and `unsupported_sentences` are about what is shown. Precision and recall are about the writer, as in
    "Enabling Large Language Models to Generate Text with Citations" (Gao et al., 2023): of the citations it gave, the
    share that supports; of the sentences that need one, the share wholly supported by what it cited. A citation found
    for it afterwards raises neither.
    """
    total = len(sentences)
    labels = [sentence.support.label for sentence in sentences]
    supported = labels.count(SupportLabel.SUPPORTED)
    unsupported = labels.count(SupportLabel.UNSUPPORTED) + labels.count(SupportLabel.CONTRADICTED)
    useful, given = sum(each.useful for each in own), sum(each.given for each in own)
    needing = [each.sufficient for each in own if each.sufficient is not None]
    if total and supported == total:
        label = GroundingLabel.GROUNDED
    else:
        label = GroundingLabel.UNGROUNDED if unsupported == total else GroundingLabel.PARTIAL
    return Grounding(
        label=label,
        score=round(sum(sentence.support.score for sentence in sentences) / total, 4) if total else 0.0,
        unsupported_sentences=unsupported,
        citation_precision=round(useful / given, 4) if given else 0.0,
        citation_recall=round(sum(needing) / len(needing), 4) if needing else 0.0,
        method=METHOD,
    )


def _verdict(
    overlap: float, missing: Sequence[Fact], contradicted: bool, facts: int, checks: tuple[str, ...]
) -> Support:
    stated = 1 - len(missing) / facts if facts else 1.0
    score = overlap * (0.4 + 0.6 * stated) if facts else overlap
    if contradicted:
        return Support(SupportLabel.CONTRADICTED, round(min(score, 0.2), 4), checks)
    if not missing and overlap >= SUPPORTED_OVERLAP:
        return Support(SupportLabel.SUPPORTED, round(score, 4), checks)
    if overlap >= PARTIAL_OVERLAP and stated >= 0.5:
        return Support(SupportLabel.PARTIAL, round(min(score, 0.59), 4), checks)
    return Support(SupportLabel.UNSUPPORTED, round(min(score, 0.34), 4), checks)


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
