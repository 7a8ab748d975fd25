"""`/v1/traces`: what the ledger keeps of searches, context packs and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import AwareDatetime, Field

from ingestion.corpus.records import ChunkId, IndexedChunk
from service.api.models.common import DocumentRef, SpanModel
from service.api.models.fields import Cursor, Reply, Request
from service.ledger.feedback import FeedbackRecord
from service.ledger.model_calls import ModelCall
from service.ledger.traces import Operation, Sort, Trace, TraceFilter
from service.quality.windows import length_of

MAX_PAGE = 100
WORST_OF = timedelta(days=7)
"""How far back the worst are looked for, unless it is said."""

_Value = Field(None, max_length=200)


class TraceSummary(Reply):
    """One operation: who asked what, and how it went. Scores lie in [0, 1]; what it has not got is null."""

    id: str = Field(description="of a search and a context pack its `query_id`, of an answer its `answer_id`")
    query_id: str
    at: datetime
    operation: Operation
    outcome: str = Field(description="`ok`, `refused`, `closed` by who asked, or the code of an error")
    key_id: str | None = Field(description="the key that asked")
    request_id: str | None
    collection: str | None = Field(description="the one that was searched, or that of the best hit")
    query: str | None = Field(description="null where the settings say that words are not kept")
    query_hash: str | None = Field(description="the same for questions that differ in case and white space only")
    hits: int
    relevance: str | None
    confidence: float | None
    top_score: float | None
    margin: float | None
    legs_agree: bool | None
    refusal: str | None
    degraded: str | None
    degraded_mode: str | None
    grounding: str | None
    grounding_score: float | None
    sentences: int | None
    unsupported: int | None
    citation_precision: float | None
    citation_recall: float | None
    tier: str | None
    model: str | None
    prompt_version: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_usd: float | None
    index_version: str | None
    embedder: str | None
    total_ms: float
    timings: dict[str, float] = Field(description="milliseconds by stage")
    documents: list[str] = Field(description="keys of the documents that were shown, best first")

    @classmethod
    def of(cls, trace: Trace) -> TraceSummary:
        return cls(**{name: getattr(trace, name) for name in cls.model_fields})


class TracedCall(Reply):
    """A call to a model that was made for the answer."""

    id: str
    at: datetime
    purpose: str
    tier: str
    model: str
    prompt_version: str | None
    outcome: str = Field(description="`ok`, `closed` by who asked, or the reason of the failure")
    prompt_tokens: int | None
    completion_tokens: int | None
    estimated: bool = Field(description="the tokens were counted here, because the endpoint told none")
    cost_usd: float | None = Field(description="null: no price is known")
    duration_ms: float


class TracedFeedback(Reply):
    """What someone said or did about the result."""

    id: str
    at: datetime
    kind: Literal["click", "rating", "correction", "outcome"]
    chunk_id: str | None
    rank: int | None
    rating: Literal["up", "down"] | None
    text: str | None
    outcome: str | None
    key_id: str | None


class TracedChunk(Reply):
    """A chunk of the trace as the index has it now."""

    document: DocumentRef
    heading_path: list[str]
    span: SpanModel
    text: str

    @classmethod
    def of(cls, indexed: IndexedChunk) -> TracedChunk:
        chunk = indexed.chunk
        return cls(
            document=DocumentRef.of(indexed.document),
            heading_path=list(chunk.heading_path),
            span=SpanModel.of(chunk.span),
            text=chunk.text,
        )


class TraceDetail(TraceSummary):
    """Everything that is known of one operation."""

    body: dict[str, Any] = Field(
        description="what was asked, candidates with all scores, sentences with verdicts and citations, decisions; "
        "docs/quality/ledger.md has its keys"
    )
    model_calls: list[TracedCall] = Field(description="first to last")
    feedback: list[TracedFeedback] = Field(description="oldest first")
    chunks: dict[str, TracedChunk] = Field(
        description="by id those of the chunks in `body` that the index still has and this key may read"
    )
    links: dict[str, str] = Field(description="`self`; `alike`: traces of the same question")

    @classmethod
    def whole(
        cls,
        trace: Trace,
        calls: Sequence[ModelCall],
        feedback: Sequence[FeedbackRecord],
        chunks: Mapping[ChunkId, IndexedChunk] | None = None,
    ) -> TraceDetail:
        links = {"self": f"/v1/traces/{trace.id}"}
        if trace.query_hash is not None:
            links["alike"] = f"/v1/traces?query_hash={trace.query_hash}"
        told = {name: getattr(trace, name) for name in (*TraceSummary.model_fields, "body")}
        return cls(
            **told,
            model_calls=[TracedCall(**{name: getattr(one, name) for name in TracedCall.model_fields}) for one in calls],
            feedback=[
                TracedFeedback(**{name: getattr(one, name) for name in TracedFeedback.model_fields}) for one in feedback
            ],
            chunks={id_: TracedChunk.of(indexed) for id_, indexed in (chunks or {}).items()},
            links=links,
        )


def chunks_in(body: Mapping[str, Any]) -> set[ChunkId]:
    """Every chunk that the body of a trace names: candidates, passages and citations."""
    parts = [body, *body.get("searches", ())]
    names = ("candidates", "passages", "citations")
    return {ChunkId(one["chunk_id"]) for part in parts for name in names for one in part.get(name, ())}


class TracePage(Reply):
    """Traces without their bodies; `next_cursor` is null on the last page."""

    traces: list[TraceSummary]
    next_cursor: str | None


class TraceParameters(Request):
    """Which traces, in which order, and which page of them."""

    operation: Operation | None = None
    outcome: str | None = _Value
    relevance: Literal["strong", "weak", "none"] | None = None
    grounding: Literal["grounded", "partial", "ungrounded"] | None = None
    collection: str | None = _Value
    model: str | None = _Value
    prompt_version: str | None = _Value
    query_hash: str | None = _Value
    window: str | None = Field(None, max_length=10, description="not older than so long, up to 90d: `15m`, `24h`, `7d`")
    since: AwareDatetime | None = Field(None, description="not older than that; in the place of `window`")
    until: AwareDatetime | None = Field(None, description="older than that")
    sort: Sort = Field(
        Sort.NEWEST,
        description="`worst`: what someone complained about first, then by the grounding of answers, else by the "
        "confidence of the search, lowest first; of the last 7 days unless it is said",
    )
    cursor: Cursor | None = None
    limit: int = Field(20, ge=1, le=MAX_PAGE)

    def filter_of(self, now: datetime) -> TraceFilter:
        """Raises: InvalidRequest for a window that is none."""
        since = self.since
        if since is None and self.window is not None:
            since = now - length_of(self.window)
        elif since is None and self.sort is Sort.WORST:
            since = now - WORST_OF
        return TraceFilter(
            operation=self.operation,
            outcome=self.outcome,
            relevance=self.relevance,
            grounding=self.grounding,
            collection=self.collection,
            model=self.model,
            prompt_version=self.prompt_version,
            query_hash=self.query_hash,
            since=since and since.astimezone(UTC),
            until=self.until and self.until.astimezone(UTC),
        )
