"""`/v1/answers`: a question, and an answer of checked sentences."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ingestion.corpus.filters import Filter
from service.api.models.common import DocumentRef, RelevanceModel, SpanModel, rounded
from service.api.models.fields import Collections, Reply, Request, text_of
from service.generation.answers import (
    Answer,
    AnsweredSentence,
    AnswerQuery,
    Citation,
    Decision,
    DegradedMode,
    Grounding,
    GroundingLabel,
    Refusal,
    RefusalReason,
    RetrievalEvent,
    SentenceEvent,
    SupportLabel,
    Tier,
    Turn,
)
from service.retrieval.query import MAX_QUERY_BYTES
from service.settings import Policy

MAX_TURNS = 20
MAX_TURN_BYTES = 20_000


class TurnModel(Request):
    """An earlier turn of the conversation."""

    role: Literal["user", "assistant"]
    content: Annotated[str, AfterValidator(text_of(MAX_TURN_BYTES))]


class AnswerRequest(Request):
    """A question, and where to look for its answer."""

    question: Annotated[str, AfterValidator(text_of(MAX_QUERY_BYTES))] = Field(
        description=f"at most {MAX_QUERY_BYTES} bytes of UTF-8"
    )
    stream: bool = Field(False, strict=True, description="answer as server-sent events, sentence by sentence")
    collections: Collections = ()
    filter: Filter | None = None
    history: tuple[TurnModel, ...] = Field((), max_length=MAX_TURNS, description="earlier turns, oldest first")
    tier: Tier = Field(Tier.AUTO, description="which model to ask")
    unsupported: Policy | None = Field(
        None,
        description="what becomes of sentences that the sources do not support: `mark`, `withhold` or `strict`; by "
        "default PLUMBLINE_ANSWERS__UNSUPPORTED",
    )

    def query_of(self) -> AnswerQuery:
        return AnswerQuery(
            question=self.question,
            collections=self.collections,
            filter=self.filter,
            history=tuple(Turn(turn.role, turn.content) for turn in self.history),
            tier=self.tier,
            unsupported=self.unsupported,
        )


class SupportModel(Reply):
    """The verdict on one sentence against the text it cites, and how it came about."""

    label: SupportLabel
    score: float
    checks: list[str]


class SentenceModel(Reply):
    """A sentence without its markers; `citations` are numbers of the answer's citations."""

    text: str
    citations: list[int]
    support: SupportModel

    @classmethod
    def of(cls, sentence: AnsweredSentence) -> SentenceModel:
        support = sentence.support
        return cls(
            text=sentence.text,
            citations=list(sentence.citations),
            support=SupportModel(label=support.label, score=round(support.score, 4), checks=list(support.checks)),
        )


class CitationModel(Reply):
    """`quote` is exactly `text[span.start:span.end]` of the document's content."""

    n: int
    document: DocumentRef
    chunk_id: str
    quote: str
    span: SpanModel

    @classmethod
    def of(cls, citation: Citation) -> CitationModel:
        return cls(
            n=citation.n,
            document=DocumentRef.of(citation.document),
            chunk_id=citation.chunk_id,
            quote=citation.quote,
            span=SpanModel.of(citation.span),
        )


class GroundingModel(Reply):
    """The verdict on the whole answer."""

    label: GroundingLabel
    score: float
    unsupported_sentences: int
    citation_precision: float
    citation_recall: float
    method: str
    withheld_sentences: int = Field(description="left out, because the sources do not support them")

    @classmethod
    def of(cls, grounding: Grounding) -> GroundingModel:
        return cls(
            label=grounding.label,
            score=round(grounding.score, 4),
            unsupported_sentences=grounding.unsupported_sentences,
            citation_precision=round(grounding.citation_precision, 4),
            citation_recall=round(grounding.citation_recall, 4),
            method=grounding.method,
            withheld_sentences=grounding.withheld_sentences,
        )


class RefusalModel(Reply):
    """Why there is no answer, and the documents that come nearest, best first."""

    reason: RefusalReason
    message: str
    nearest: list[DocumentRef]

    @classmethod
    def of(cls, refusal: Refusal) -> RefusalModel:
        nearest = [DocumentRef.of(document) for document in refusal.nearest]
        return cls(reason=refusal.reason, message=refusal.message, nearest=nearest)


class DegradedModel(Reply):
    """The language model did not deliver: why, and what stands in for it."""

    reason: str = Field(description="stable; docs/errors.md lists the reasons")
    mode: DegradedMode


class UsageModel(Reply):
    """Tokens and price of all calls of an answer; null: not known."""

    prompt_tokens: int | None
    completion_tokens: int | None
    cost_usd: float | None
    estimated: bool = Field(description="counted by this service, because the endpoint did not tell")


class DecisionModel(Reply):
    """Something that was decided on the way to the answer: at which step, for what, and why."""

    step: str
    choice: str
    reasons: list[str]

    @classmethod
    def of(cls, decision: Decision) -> DecisionModel:
        return cls(step=decision.step, choice=decision.choice, reasons=list(decision.reasons))


class AnswerResponse(Reply):
    """An answer: sentences with their citations and verdicts, or a refusal."""

    answer_id: str
    query_id: str
    answered: bool
    text: str
    sentences: list[SentenceModel]
    citations: list[CitationModel]
    grounding: GroundingModel | None
    relevance: RelevanceModel
    refusal: RefusalModel | None
    degraded: DegradedModel | None
    model: str | None
    prompt_version: str | None
    usage: UsageModel
    timings_ms: dict[str, float]
    decisions: list[DecisionModel] = Field(description="what was decided on the way, in order")

    @classmethod
    def of(cls, answer: Answer, *, answer_id: str, query_id: str) -> AnswerResponse:
        refusal, degraded, usage = answer.refusal, answer.degraded, answer.usage
        return cls(
            answer_id=answer_id,
            query_id=query_id,
            answered=answer.answered,
            text=answer.text,
            sentences=[SentenceModel.of(sentence) for sentence in answer.sentences],
            citations=[CitationModel.of(citation) for citation in answer.citations],
            grounding=None if answer.grounding is None else GroundingModel.of(answer.grounding),
            relevance=RelevanceModel.of(answer.relevance),
            refusal=None if refusal is None else RefusalModel.of(refusal),
            degraded=None if degraded is None else DegradedModel(reason=degraded.reason, mode=degraded.mode),
            model=answer.model,
            prompt_version=answer.prompt_version,
            usage=UsageModel(
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                cost_usd=usage.cost_usd,
                estimated=usage.estimated,
            ),
            timings_ms=rounded(answer.timings_ms),
            decisions=[DecisionModel.of(decision) for decision in answer.decisions],
        )


class RetrievedPassage(Reply):
    """A passage that the answer may be written from."""

    chunk_id: str
    score: float
    document: DocumentRef
    heading_path: list[str]
    span: SpanModel


class RetrievalEventModel(Reply):
    """The event `retrieval`: what was found, before the first sentence."""

    answer_id: str
    query_id: str
    question: str = Field(description="the question with what the conversation adds to it")
    relevance: RelevanceModel
    passages: list[RetrievedPassage]

    @classmethod
    def of(cls, event: RetrievalEvent, *, answer_id: str, query_id: str) -> RetrievalEventModel:
        return cls(
            answer_id=answer_id,
            query_id=query_id,
            question=event.question,
            relevance=RelevanceModel.of(event.result.relevance),
            passages=[
                RetrievedPassage(
                    chunk_id=passage.indexed.id,
                    score=round(passage.score, 4),
                    document=DocumentRef.of(passage.indexed.document),
                    heading_path=list(passage.indexed.chunk.heading_path),
                    span=SpanModel.of(passage.indexed.chunk.span),
                )
                for passage in event.result.passages
            ],
        )


class SentenceEventModel(SentenceModel):
    """The event `sentence`: one verified sentence, with the sources that its numbers name."""

    lead: str = Field(description="white space between the sentence before and this one")
    sources: list[CitationModel]

    @classmethod
    def of_event(cls, event: SentenceEvent) -> SentenceEventModel:
        sentence = SentenceModel.of(event.sentence)
        return cls(
            text=sentence.text,
            citations=sentence.citations,
            support=sentence.support,
            lead=event.lead,
            sources=[CitationModel.of(citation) for citation in event.citations],
        )
