"""Which model writes an answer: decided before the call, from what retrieval and the question show.

Whether what it wrote is good enough, and what follows if not, is left to `writing`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.generation.answers import Decision, SupportLabel, Tier
from service.generation.checking.evidence import Evidence, Reader
from service.generation.checking.grounding import GroundingScorer
from service.generation.extracting.asking import Asked
from service.generation.models.llm import ChatModel, Models
from service.retrieval.results import Relevance, RelevanceLabel

LONG_QUESTION_WORDS = 40
"""A question of so many words tells a story; set by hand."""
MANY_PARTS = 3
"""So many questions in one are to be held apart and answered each; set by hand."""
_COMPARED = 3
"""Passages looked at for contradictions, the best ones: each is compared with the others."""
_ABOUT = 0.5
"""Share of the asked terms that a sentence must hold, so that a contradiction of it concerns the answer."""


@dataclass(frozen=True, slots=True)
class Signals:
    """What is known before the call."""

    words: int
    parts: int
    relevance: RelevanceLabel
    conflict: str | None = None

    def reasons(self) -> tuple[str, ...]:
        """Why the stronger model should write; none: the fast one will do."""
        found = []
        if self.words >= LONG_QUESTION_WORDS:
            found.append(f"question of {self.words} words")
        if self.parts >= MANY_PARTS:
            found.append(f"{self.parts} questions in one")
        if self.relevance is RelevanceLabel.WEAK:
            found.append("weak relevance")
        if self.conflict is not None:
            found.append(f"sources disagree: {self.conflict}")
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Writer:
    """A model that may write, and under which name it was chosen."""

    tier: Tier
    model: ChatModel


def signals_of(reader: Reader, question: str, evidence: Sequence[Evidence], relevance: Relevance) -> Signals:
    """The signals of one question. Some ten milliseconds: sentences of the best passages are compared."""
    asked = Asked.of(reader, question)
    return Signals(
        words=len(question.split()),
        parts=len(asked.parts(reader)),
        relevance=relevance.label,
        conflict=_conflict(reader, asked.stems, evidence),
    )


def route(wish: Tier, models: Models, signals: Callable[[], Signals]) -> tuple[tuple[Writer, ...], Decision]:
    """The models to ask, in turn: the second one only if what the first wrote fails its verification.

    `signals` is called only where they decide.
    """
    fast, strong = models.fast, models.strong
    if fast is None or strong is None:
        only = fast or strong
        assert only is not None, "without a model there is nothing to choose"
        tier = Tier.FAST if fast is not None else Tier.STRONG
        reason = "the only model" if wish in (Tier.AUTO, tier) else f"no {wish} model is configured"
        return (Writer(tier, only),), Decision("tier", tier, (reason,))
    if wish is not Tier.AUTO:
        return (Writer(wish, fast if wish is Tier.FAST else strong),), Decision("tier", wish, ("asked for",))
    reasons = signals().reasons()
    if reasons:
        return (Writer(Tier.STRONG, strong),), Decision("tier", Tier.STRONG, reasons)
    return (Writer(Tier.FAST, fast), Writer(Tier.STRONG, strong)), Decision("tier", Tier.FAST, ("a plain question",))


def _conflict(reader: Reader, asked: frozenset[str], evidence: Sequence[Evidence]) -> str | None:
    """What two of the best passages say differently about what is asked, or None."""
    if not asked:
        return None
    scorer = GroundingScorer(reader)
    best = evidence[:_COMPARED]
    for at, one in enumerate(best):
        others = [other for index, other in enumerate(best) if index != at and other.titles[:1] != one.titles[:1]]
        about = [unit for unit in one.units if len(asked & unit.words) >= _ABOUT * len(asked)]
        if not others or not about:
            continue
        unit = max(about, key=lambda each: len(asked & each.words))
        for other in others:
            support = scorer.compare(unit.text, [other]).support
            if support.label is SupportLabel.CONTRADICTED:
                said = (check for check in support.checks if check.startswith(("conflict:", "negation:")))
                return next(said, "negation")
    return None
