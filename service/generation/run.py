"""What one answer has come to so far: the state that `answering` and `writing` pass along. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from time import perf_counter
from typing import TypeVar

from ingestion.corpus.scope import Scope
from service.generation.answers import (
    Answer,
    AnswerQuery,
    Decision,
    Degraded,
    Refusal,
    RefusalReason,
    SentenceEvent,
    Tier,
)
from service.generation.caching import replayed, served_again
from service.generation.checking.attribution import Attributor, Judged
from service.generation.checking.evidence import Evidence, Reader
from service.generation.checking.grounding import GroundingScorer
from service.generation.drafting import Draft
from service.generation.extracting.fallback import Extractor
from service.generation.extracting.nearest import nearest
from service.generation.models.llm import CallContext, Usage
from service.retrieval.results import Passage, SearchResult, Segment
from service.settings import Policy

T = TypeVar("T")

MESSAGES = {
    RefusalReason.NOTHING_RELEVANT: "Nothing in the documents you may read is about this question.",
    RefusalReason.NOT_IN_SOURCES: "The documents touch on this question but do not answer it.",
}
UNSUPPORTED_MESSAGE = (
    "An answer was written, but the documents do not support all of it, and answers that they do not support are not "
    "shown here."
)


@dataclass(frozen=True, slots=True)
class Asking:
    """A question as it came, with the id that its answer will have; `began` is a reading of `perf_counter`."""

    scope: Scope
    query: AnswerQuery
    answer_id: str
    began: float

    def context(self, purpose: str, tier: Tier, prompt_version: str) -> CallContext:
        """What a call to a model is filed under."""
        return CallContext(self.scope.tenant, self.answer_id, purpose, tier, prompt_version)


@dataclass(slots=True)
class Run:
    """One answer in the making. `question` stands alone; `old` are indexes of passages of replaced documents."""

    asking: Asking
    question: str
    result: SearchResult
    old: frozenset[int]
    policy: Policy
    reader: Reader
    evidence: Sequence[Evidence]
    scorer: GroundingScorer
    extractor: Extractor
    draft: Draft = field(init=False)
    refusal: Refusal | None = None
    degraded: Degraded | None = None
    tier: Tier | None = None
    model: str | None = None
    prompt_version: str | None = None
    withheld: int = 0
    cached: Answer | None = None
    usages: list[Usage] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    spent_s: dict[str, float] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    @property
    def passages(self) -> Sequence[Passage]:
        """What it is answered from, best first."""
        return self.result.passages

    def restart(self) -> None:
        """Begin the draft anew, nothing of it having been shown."""
        attributor = Attributor(self.reader, self.scorer, self.evidence, self.question, self.old)
        self.draft = Draft(self.passages, self.evidence, attributor)
        self.withheld = 0

    def refuse(self, reason: RefusalReason, message: str | None = None) -> None:
        """End without an answer, and say what comes nearest."""
        self.refusal = Refusal(reason, message or MESSAGES[reason], nearest(self.passages, self.old))

    def decide(self, step: str, choice: str, *reasons: str) -> None:
        """Put a decision on record."""
        self.decisions.append(Decision(step, choice, reasons))

    def show(self, judged: Sequence[Judged]) -> list[SentenceEvent]:
        """The sentences as events."""
        return [self.draft.show(each) for each in judged]

    def replay(self) -> list[SentenceEvent]:
        """The events of the cached answer."""
        return list(replayed(self.cached)) if self.cached is not None else []

    def timed(self, stage: str, work: Callable[[], T]) -> T:
        """The result of `work`, the seconds it takes counted under `stage`."""
        started = perf_counter()
        try:
            return work()
        finally:
            ended = perf_counter()
            self.spent_s[stage] = self.spent_s.get(stage, 0.0) + ended - started
            self.segments.append(Segment(stage, started, ended))

    def usage(self) -> Usage:
        """What all calls took together: nothing if there was none, unknown where one of them told nothing."""
        return reduce(Usage.plus, self.usages, Usage(0, 0, 0.0))

    def answer(self, timings_ms: dict[str, float]) -> Answer:
        """The whole answer."""
        if self.cached is not None:
            again = served_again(self.cached, self.result.relevance, timings_ms, self.degraded)
            return replace(again, decisions=tuple(self.decisions))
        draft = self.draft
        return Answer(
            answered=bool(draft.sentences),
            text=draft.text,
            sentences=tuple(draft.sentences),
            citations=tuple(draft.citations),
            grounding=draft.grounding(self.scorer.method, self.withheld) if draft.sentences else None,
            relevance=self.result.relevance,
            refusal=self.refusal,
            degraded=self.degraded,
            model=self.model,
            prompt_version=self.prompt_version,
            usage=self.usage(),
            timings_ms=timings_ms,
            decisions=tuple(self.decisions),
        )
