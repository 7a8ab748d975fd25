"""`/v1/context`: a pack of passages within a budget of tokens."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from ingestion.corpus.corpus import Selection
from ingestion.corpus.filters import Filter
from service.api.models.common import DocumentRef, RelevanceModel, SpanModel
from service.api.models.fields import Collections, Reply, Request, text_of
from service.retrieval.context import (
    MAX_BUDGET,
    MAX_PASSAGES,
    MAX_TEXT_BYTES,
    MIN_BUDGET,
    ContextPack,
    ContextQuery,
    DropReason,
)
from service.retrieval.tokens import DEFAULT_ENCODING


class ContextRequest(Request):
    """A ticket, log, stack trace or question, and how much may be said about it."""

    text: Annotated[str, AfterValidator(text_of(MAX_TEXT_BYTES))] = Field(
        description=f"at most {MAX_TEXT_BYTES} bytes of UTF-8; may be long and noisy"
    )
    budget_tokens: int = Field(ge=MIN_BUDGET, le=MAX_BUDGET, strict=True)
    encoding: str = Field(
        DEFAULT_ENCODING, max_length=64, description="tiktoken encoding that the tokens are counted in"
    )
    max_passages: int = Field(MAX_PASSAGES, ge=1, le=MAX_PASSAGES, strict=True)
    collections: Collections = ()
    filter: Filter | None = None

    def query_of(self) -> ContextQuery:
        return ContextQuery(
            text=self.text,
            budget_tokens=self.budget_tokens,
            encoding=self.encoding,
            max_passages=self.max_passages,
            selection=Selection(self.collections, self.filter),
        )


class ContextPassageModel(Reply):
    """Passage `n` of the pack, as the context numbers it."""

    n: int
    tokens: int
    score: float
    document: DocumentRef
    chunk_id: str
    heading_path: list[str]
    span: SpanModel


class DroppedModel(Reply):
    """A passage that was found and left out."""

    chunk_id: str
    reason: DropReason


class ContextResponse(Reply):
    """`tokens` counts `context` exactly and never exceeds the budget; nothing relevant gives an empty context."""

    query_id: str
    context: str
    passages: list[ContextPassageModel]
    tokens: int
    dropped: list[DroppedModel]
    relevance: RelevanceModel
    queries_used: list[str]

    @classmethod
    def of(cls, pack: ContextPack, *, query_id: str) -> ContextResponse:
        return cls(
            query_id=query_id,
            context=pack.context,
            passages=[
                ContextPassageModel(
                    n=passage.n,
                    tokens=passage.tokens,
                    score=round(passage.score, 4),
                    document=DocumentRef.of(passage.document),
                    chunk_id=passage.chunk_id,
                    heading_path=list(passage.heading_path),
                    span=SpanModel.of(passage.span),
                )
                for passage in pack.passages
            ],
            tokens=pack.tokens,
            dropped=[DroppedModel(chunk_id=drop.chunk_id, reason=drop.reason) for drop in pack.dropped],
            relevance=RelevanceModel.of(pack.relevance),
            queries_used=list(pack.queries_used),
        )
