"""What an answer is: the records of the contract, and the events in which it arrives. No logic but their shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from ingestion.corpus.filters import Filter
from ingestion.corpus.records import ChunkId, Document, Span
from service.errors import ModelFailureReason
from service.generation.models.llm import Usage
from service.retrieval.results import Relevance, SearchResult, Segment
from service.settings import Policy


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier turn of the conversation."""

    role: Literal["user", "assistant"]
    content: str


class Tier(StrEnum):
    """Which model is asked. `auto`: the service decides, and asks the strong one if the fast one's answer fails."""

    FAST = "fast"
    STRONG = "strong"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class AnswerQuery:
    """A question and where to look for its answer. `tier` is the caller's wish for a model.

    `unsupported` says what becomes of sentences that the sources don't support; None: what the settings say.
    """

    question: str
    collections: tuple[str, ...] = ()
    filter: Filter | None = None
    history: tuple[Turn, ...] = ()
    tier: Tier = Tier.AUTO
    unsupported: Policy | None = None


class SupportLabel(StrEnum):
    SUPPORTED = "supported"
    PARTIAL = "partial"
    UNSUPPORTED = "unsupported"
    CONTRADICTED = "contradicted"


@dataclass(frozen=True, slots=True)
class Support:
    """The verdict on one sentence; `checks` say how it came about (`numbers:ok`, `overlap:0.83`)."""

    label: SupportLabel
    score: float
    checks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnsweredSentence:
    """A sentence as shown, without markers; `citations` are numbers of `Answer.citations`."""

    text: str
    citations: tuple[int, ...]
    support: Support


@dataclass(frozen=True, slots=True)
class Citation:
    """`quote == content[span.start:span.end]`, where content is the document's normalised text."""

    n: int
    document: Document
    chunk_id: ChunkId
    quote: str
    span: Span


class GroundingLabel(StrEnum):
    GROUNDED = "grounded"
    PARTIAL = "partial"
    UNGROUNDED = "ungrounded"


@dataclass(frozen=True, slots=True)
class Grounding:
    """The verdict on a whole answer."""

    label: GroundingLabel
    score: float
    unsupported_sentences: int
    citation_precision: float
    citation_recall: float
    method: str
    withheld_sentences: int = 0
    """Left out, because the sources don't support them and the policy says so."""


class RefusalReason(StrEnum):
    NOTHING_RELEVANT = "nothing_relevant"
    NOT_IN_SOURCES = "not_in_sources"
    UNSAFE = "unsafe"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no answer; `message` is for the person who asked, `nearest` what comes nearest, best first."""

    reason: RefusalReason
    message: str
    nearest: tuple[Document, ...] = ()


class DegradedMode(StrEnum):
    EXTRACTIVE = "extractive"
    """Sentences of the sources instead of a model's."""
    PARTIAL = "partial"
    """A model's sentences up to where it broke off."""
    CACHED = "cached"
    """What a model answered when the same was asked over the same sources."""


@dataclass(frozen=True, slots=True)
class Degraded:
    """The answer is less than it could be, and why."""

    reason: ModelFailureReason
    mode: DegradedMode


@dataclass(frozen=True, slots=True)
class Decision:
    """Something that was decided on the way to an answer: at which step, for what, and why."""

    step: str
    choice: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Ids of answer and query are given by whoever records it."""

    answered: bool
    text: str
    sentences: tuple[AnsweredSentence, ...]
    citations: tuple[Citation, ...]
    grounding: Grounding | None
    relevance: Relevance
    refusal: Refusal | None
    degraded: Degraded | None
    model: str | None
    prompt_version: str | None
    usage: Usage
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()


@dataclass(frozen=True, slots=True)
class RetrievalEvent:
    """What was found for `question`, which is the asked one with what the conversation adds to it."""

    result: SearchResult
    question: str


@dataclass(frozen=True, slots=True)
class SentenceEvent:
    """One verified sentence; `citations` are those that its numbers name, `lead` the white space before it."""

    sentence: AnsweredSentence
    citations: tuple[Citation, ...]
    lead: str


@dataclass(frozen=True, slots=True)
class GroundingEvent:
    """The verdict, after the last sentence. A refusal has none."""

    grounding: Grounding


@dataclass(frozen=True, slots=True)
class DoneEvent:
    """The end: the whole answer, which repeats what was sent, and when it was at which stage."""

    answer: Answer
    segments: tuple[Segment, ...] = ()


AnswerEvent = RetrievalEvent | SentenceEvent | GroundingEvent | DoneEvent
