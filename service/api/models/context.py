"""`/v1/context`: a pack of passages within a budget of tokens."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, JsonValue

from ingestion.corpus.corpus import Selection
from ingestion.corpus.filters import Filter
from service.api.models.common import DocumentRef, RelevanceModel, SpanModel
from service.api.models.fields import Collections, Reply, Request, text_of
from service.retrieval.context import MAX_BUDGET, MAX_PASSAGES, MAX_TEXT_BYTES, MIN_BUDGET, ContextQuery
from service.retrieval.packing.records import ContextPack, ContextPassage, DropReason
from service.retrieval.tokens import DEFAULT_ENCODING

EXAMPLE: dict[str, JsonValue] = {
    "text": "2026-03-02T10:11:12Z gatehouse ERROR GH-5021 upstream timeout after 30s\n  at proxy.forward(proxy.go:211)",
    "budget_tokens": 300,
}


class ContextRequest(Request):
    """A ticket, log, stack trace or question, and how much may be said about it."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    text: Annotated[str, AfterValidator(text_of(MAX_TEXT_BYTES))] = Field(
        description=f"at most {MAX_TEXT_BYTES} bytes of UTF-8; may be long and noisy"
    )
    budget_tokens: int = Field(
        ge=MIN_BUDGET, le=MAX_BUDGET, strict=True, description="most tokens that `context` may have; never exceeded"
    )
    encoding: str = Field(
        DEFAULT_ENCODING, max_length=64, description="tiktoken encoding that the tokens are counted in"
    )
    max_passages: int = Field(
        MAX_PASSAGES, ge=1, le=MAX_PASSAGES, strict=True, description="most passages; joined neighbours count as one"
    )
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
    """Passage `n` of the pack, as the context numbers it: one stretch of a document, joined from `chunk_ids`."""

    n: int
    tokens: int = Field(description="of its block in `context`, header and the blank line after it included")
    score: float = Field(description="probability in 0-1 that its best chunk is relevant")
    document: DocumentRef
    chunk_id: str = Field(description="its best chunk")
    heading_path: list[str] = Field(description="headings where it begins, outermost first")
    span: SpanModel
    chunk_ids: list[str] = Field(description="the chunks that it was joined from, in the order of the text")
    truncated: bool = Field(description="whether it ends, at a line or a sentence, before its last chunk does")
    note: str | None = Field(description="that the document was replaced, where nothing that replaces it was found")

    @classmethod
    def of(cls, passage: ContextPassage) -> ContextPassageModel:
        return cls(
            n=passage.n,
            tokens=passage.tokens,
            score=round(passage.score, 4),
            document=DocumentRef.of(passage.document),
            chunk_id=passage.chunk_id,
            heading_path=list(passage.heading_path),
            span=SpanModel.of(passage.span),
            chunk_ids=list(passage.chunk_ids),
            truncated=passage.truncated,
            note=passage.note,
        )


class DroppedModel(Reply):
    """A passage that was found and left out."""

    chunk_id: str
    reason: DropReason
    kept_chunk_id: str | None = Field(description="what stands for it: of a duplicate and a superseded passage")


class ContextResponse(Reply):
    """`tokens` counts `context` exactly and never exceeds the budget; nothing relevant gives an empty context."""

    query_id: str
    context: str
    passages: list[ContextPassageModel] = Field(description="best first")
    tokens: int
    dropped: list[DroppedModel] = Field(description="best first")
    relevance: RelevanceModel
    queries_used: list[str] = Field(description="what was searched for, the most telling first")

    @classmethod
    def of(cls, pack: ContextPack, *, query_id: str) -> ContextResponse:
        return cls(
            query_id=query_id,
            context=pack.context,
            passages=[ContextPassageModel.of(passage) for passage in pack.passages],
            tokens=pack.tokens,
            dropped=[
                DroppedModel(chunk_id=drop.chunk_id, reason=drop.reason, kept_chunk_id=drop.kept_chunk_id)
                for drop in pack.dropped
            ],
            relevance=RelevanceModel.of(pack.relevance),
            queries_used=list(pack.queries_used),
        )
