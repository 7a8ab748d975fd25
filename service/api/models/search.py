"""`/v1/search`: request and response."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import from_json

from ingestion.corpus import filters
from ingestion.corpus.corpus import Selection
from ingestion.corpus.filters import Filter
from ingestion.errors import InvalidRequest
from service.api.models.common import HitDocument, RelevanceModel, SpanModel, rounded
from service.api.models.fields import Collections, Reply, Request, text_of
from service.retrieval.query import MAX_LIMIT, MAX_OFFSET, MAX_QUERY_BYTES, SearchMode, SearchQuery
from service.retrieval.reranking.reranker import RerankOutcome, RerankSkip
from service.retrieval.results import Passage, SearchResult

QueryText = Annotated[
    str, AfterValidator(text_of(MAX_QUERY_BYTES)), Field(description=f"at most {MAX_QUERY_BYTES} bytes of UTF-8")
]
_LIMIT = f"hits to return, at most {MAX_LIMIT}"
_GROUP = "`document` returns the best passage of each document only"

_RERANK = "look at the best candidates again with the reranker that the service has, if any; unset: as the settings say"


class SearchRequest(Request):
    """What to look for. No language model is involved, ever."""

    query: QueryText
    mode: SearchMode = Field(SearchMode.HYBRID, description="`exact` finds what SQL `LIKE '%x%'` would")
    limit: int = Field(10, ge=1, le=MAX_LIMIT, strict=True, description=_LIMIT)
    offset: int = Field(0, ge=0, le=MAX_OFFSET, strict=True)
    collections: Collections = ()
    filter: Filter | None = None
    group_by: Literal["document"] | None = Field(None, description=_GROUP)
    highlight: bool = Field(True, strict=True)
    rerank: bool | None = Field(None, strict=True, description=_RERANK)

    def query_of(self) -> SearchQuery:
        return SearchQuery(
            text=self.query,
            mode=self.mode,
            limit=self.limit,
            offset=self.offset,
            selection=Selection(self.collections, self.filter),
            group_by_document=self.group_by is not None,
            highlight=self.highlight,
            rerank=self.rerank,
        )


class SearchParameters(Request):
    """The same as query parameters of a GET; `collections` may be repeated."""

    q: QueryText
    mode: SearchMode = SearchMode.HYBRID
    limit: int = Field(10, ge=1, le=MAX_LIMIT, description=_LIMIT)
    offset: int = Field(0, ge=0, le=MAX_OFFSET)
    collections: Collections = ()
    filter: str | None = Field(None, max_length=20_000, description="the filter as JSON")
    group_by: Literal["document"] | None = Field(None, description=_GROUP)
    highlight: bool = True
    rerank: bool | None = Field(None, description=_RERANK)

    def query_of(self) -> SearchQuery:
        """Raises: InvalidRequest for a filter that is not one."""
        return SearchQuery(
            text=self.q,
            mode=self.mode,
            limit=self.limit,
            offset=self.offset,
            selection=Selection(self.collections, None if self.filter is None else filter_of(self.filter)),
            group_by_document=self.group_by is not None,
            highlight=self.highlight,
            rerank=self.rerank,
        )


def filter_of(text: str) -> Filter:
    """The filter that a query parameter states as JSON. Raises: InvalidRequest."""
    try:
        data = from_json(text)
    except ValueError as error:
        raise InvalidRequest("the filter is not JSON", pointer="/filter") from error
    return filters.parse(data)


class ScoresModel(Reply):
    """Raw scores per leg; null: that leg did not find it."""

    dense: float | None
    sparse: float | None
    rerank: float | None


class HitModel(Reply):
    """A passage that was found."""

    chunk_id: str
    score: float = Field(description="calibrated relevance in 0-1, comparable across queries")
    scores: ScoresModel
    document: HitDocument
    text: str
    heading_path: list[str]
    page: int | None
    span: SpanModel = Field(description="where `text` stands in the document's content")
    highlights: list[SpanModel] = Field(description="what matched, as spans of the document's content")

    @classmethod
    def of(cls, passage: Passage) -> HitModel:
        chunk, scores = passage.indexed.chunk, passage.scores
        return cls(
            chunk_id=passage.indexed.id,
            score=round(passage.score, 4),
            scores=ScoresModel(dense=scores.dense, sparse=scores.sparse, rerank=scores.rerank),
            document=HitDocument.of(passage.indexed.document),
            text=chunk.text,
            heading_path=list(chunk.heading_path),
            page=chunk.page,
            span=SpanModel.of(chunk.span),
            highlights=[SpanModel.of(span) for span in passage.highlights],
        )


class FacetValue(Reply):
    value: str
    count: int


class RerankModel(Reply):
    """Whether the best candidates were looked at again; without it the order is that of the first ranking."""

    applied: bool
    scored: int = Field(description="candidates that have a score; they stand before all others")
    reason: RerankSkip | None = Field(description="why none, or no more of them, were scored")

    @classmethod
    def of(cls, outcome: RerankOutcome) -> RerankModel:
        return cls(applied=outcome.applied, scored=len(outcome.scores), reason=outcome.skipped)


class SearchResponse(Reply):
    """Passages, best first, and how relevant the whole result is."""

    query_id: str
    index_version: str
    total: int
    relevance: RelevanceModel
    hits: list[HitModel]
    facets: dict[str, list[FacetValue]]
    rerank: RerankModel
    timings_ms: dict[str, float]

    @classmethod
    def of(cls, result: SearchResult, *, query_id: str, index_version: str) -> SearchResponse:
        return cls(
            query_id=query_id,
            index_version=index_version,
            total=result.total,
            relevance=RelevanceModel.of(result.relevance),
            hits=[HitModel.of(passage) for passage in result.passages],
            facets={
                name: [FacetValue(value=value, count=count) for value, count in values]
                for name, values in result.facets.items()
            },
            rerank=RerankModel.of(result.rerank),
            timings_ms=rounded(result.timings_ms),
        )
