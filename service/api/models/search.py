"""`/v1/search`: request and response."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, PlainValidator, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError, from_json

from ingestion.corpus import filters
from ingestion.corpus.corpus import Selection
from ingestion.corpus.filters import Filter
from ingestion.corpus.records import IndexedChunk
from ingestion.errors import InvalidRequest
from service.api.models.common import DocumentRef, HitDocument, RelevanceModel, SpanModel, rounded
from service.api.models.explanations import HitExplanationModel, QueryExplanationModel, explained, read_as
from service.api.models.fields import CollectionName, Collections, Reply, Request, ShortText, text_of
from service.retrieval.query import (
    MAX_FACETS,
    MAX_HALF_LIFE_DAYS,
    MAX_LIMIT,
    MAX_OFFSET,
    MAX_PREFERRED,
    MAX_QUERY_BYTES,
    NO_PREFERENCE,
    Highlighting,
    Preference,
    SearchMode,
    SearchQuery,
    SortOrder,
)
from service.retrieval.reranking.reranker import RerankOutcome, RerankSkip
from service.retrieval.results import Passage, SearchResult

QueryText = Annotated[
    str, AfterValidator(text_of(MAX_QUERY_BYTES)), Field(description=f"at most {MAX_QUERY_BYTES} bytes of UTF-8")
]
_LIMIT = f"hits to return, at most {MAX_LIMIT}"
_OFFSET = "hits to pass over: pages of one `limit` follow each other without holes and repeats"
_GROUP = "`document` returns the best passage of each document only"
_SORT = "`newest` and `oldest` put the relevant hits, and only these, in the order of `updated_at`"
_FOLD = "join passages of different documents that say the same; in every mode but `exact`, if it is not said"
_RERANK = "look at the best candidates again with the reranker that the service has, if any; unset: as the settings say"
_HIGHLIGHT = "`meaning`: the best sentence is found by its meaning, too (embeds sentences of the page)"
_EXPLAIN = "say of each hit why it stands where it does, and how the query was read"

Facets = Annotated[
    tuple[ShortText, ...],
    Field(
        max_length=MAX_FACETS,
        description="count documents by `collection`, `source`, `label` or `metadata.<name>`",
        examples=[["source", "metadata.team"]],
    ),
]


def _highlight(value: object) -> bool | str:
    named = {"true": True, "1": True, "false": False, "0": False}
    if isinstance(value, str):
        value = named.get(value.lower(), value)
    if isinstance(value, bool) or value == Highlighting.MEANING:
        return bool(value) if isinstance(value, bool) else Highlighting.MEANING.value
    raise PydanticCustomError("highlight", "must be true, false or meaning")


Highlight = Annotated[
    bool | str,
    PlainValidator(_highlight),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"const": "meaning"}]}),
    Field(description=_HIGHLIGHT),
]
_Weight = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False, strict=True)]


class PreferModel(Request):
    """What to show first among hits that are about as relevant; no clearly better hit is ever passed."""

    freshness_half_life_days: float | None = Field(
        None,
        gt=0,
        le=MAX_HALF_LIFE_DAYS,
        allow_inf_nan=False,
        strict=True,
        description="a document so much older than the newest candidate has half of its advantage",
    )
    sources: dict[ShortText, _Weight] = Field(
        default_factory=dict, max_length=MAX_PREFERRED, description="weights from -1 (last) to 1 (first)"
    )
    collections: dict[CollectionName, _Weight] = Field(default_factory=dict, max_length=MAX_PREFERRED)

    def preference(self) -> Preference:
        return Preference(self.freshness_half_life_days, self.sources, self.collections)


class _Asked(Request):
    """What both ways of asking have."""

    mode: SearchMode = Field(SearchMode.HYBRID, description="`exact` finds what SQL `LIKE '%x%'` would")
    limit: int = Field(10, ge=1, le=MAX_LIMIT, description=_LIMIT)
    offset: int = Field(0, ge=0, le=MAX_OFFSET, description=_OFFSET)
    collections: Collections = ()
    facets: Facets = ()
    group_by: Literal["document"] | None = Field(None, description=_GROUP)
    sort: SortOrder = Field(SortOrder.RELEVANCE, description=_SORT)
    fold: bool | None = Field(None, description=_FOLD)
    rerank: bool | None = Field(None, description=_RERANK)
    highlight: Highlight = True
    explain: bool = Field(False, description=_EXPLAIN)

    def _query(self, text: str, filter_: Filter | None, prefer: PreferModel | None) -> SearchQuery:
        return SearchQuery(
            text=text,
            mode=self.mode,
            limit=self.limit,
            offset=self.offset,
            selection=Selection(self.collections, filter_),
            group_by_document=self.group_by is not None,
            highlight=self.highlight if isinstance(self.highlight, bool) else Highlighting.MEANING,
            sort=self.sort,
            fold=self.fold,
            facets=self.facets,
            prefer=NO_PREFERENCE if prefer is None else prefer.preference(),
            rerank=self.rerank,
            explain=self.explain,
        )


class SearchRequest(_Asked):
    """What to look for. No language model is involved, ever."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"query": "gateway answers 502 after a deployment", "limit": 5},
                {
                    "query": "restart the ledger",
                    "facets": ["source", "metadata.team"],
                    "group_by": "document",
                    "prefer": {"freshness_half_life_days": 90, "sources": {"runbooks": 1}},
                    "filter": {"must": [{"key": "updated_at", "gte": "2025-01-01"}]},
                },
            ]
        }
    )

    query: QueryText
    limit: int = Field(10, ge=1, le=MAX_LIMIT, strict=True, description=_LIMIT)
    offset: int = Field(0, ge=0, le=MAX_OFFSET, strict=True, description=_OFFSET)
    filter: Filter | None = None
    fold: bool | None = Field(None, strict=True, description=_FOLD)
    rerank: bool | None = Field(None, strict=True, description=_RERANK)
    explain: bool = Field(False, strict=True, description=_EXPLAIN)
    prefer: PreferModel | None = None

    def query_of(self) -> SearchQuery:
        return self._query(self.query, self.filter, self.prefer)


class SearchParameters(_Asked):
    """The same as query parameters of a GET; `collections` and `facets` may be repeated."""

    q: QueryText
    filter: str | None = Field(None, max_length=20_000, description="the filter as JSON")
    prefer: str | None = Field(None, max_length=20_000, description="the preferences as JSON")

    def query_of(self) -> SearchQuery:
        """Raises: InvalidRequest for a filter, or preferences, that are none."""
        filter_ = None if self.filter is None else filter_of(self.filter)
        return self._query(self.q, filter_, None if self.prefer is None else preferences_of(self.prefer))


def filter_of(text: str) -> Filter:
    """The filter that a query parameter states as JSON. Raises: InvalidRequest."""
    return filters.parse(_json(text, "the filter is not JSON", "/filter"))


def preferences_of(text: str) -> PreferModel:
    """The preferences that a query parameter states as JSON. Raises: InvalidRequest."""
    try:
        return PreferModel.model_validate(_json(text, "the preferences are not JSON", "/prefer"))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "".join(f"/{part}" for part in first["loc"])
        raise InvalidRequest(f"prefer: {first['msg']}", pointer=f"/prefer{where}") from error


def _json(text: str, detail: str, pointer: str) -> Any:
    try:
        return from_json(text)
    except ValueError as error:
        raise InvalidRequest(detail, pointer=pointer) from error


class ScoresModel(Reply):
    """Raw scores per leg; null: that leg did not find it."""

    dense: float | None
    sparse: float | None
    rerank: float | None


class DuplicateModel(Reply):
    """A passage of another document that says the same."""

    chunk_id: str
    document: DocumentRef

    @classmethod
    def of(cls, passage: IndexedChunk) -> DuplicateModel:
        return cls(chunk_id=passage.id, document=DocumentRef.of(passage.document))


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
    best_sentence: SpanModel | None = Field(
        description="the sentence, list item, table row or line of code that matched best; null: none has a word of it"
    )
    duplicates: list[DuplicateModel] = Field(description="passages of other documents that say the same, folded in")
    more_passages: int = Field(description="further passages of this document that were found, if hits are grouped")
    explanation: HitExplanationModel | None = Field(description="with `explain`")

    @classmethod
    def of(cls, passage: Passage) -> HitModel:
        chunk, scores, sentence = passage.indexed.chunk, passage.scores, passage.best_sentence
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
            best_sentence=None if sentence is None else SpanModel.of(sentence),
            duplicates=[DuplicateModel.of(folded) for folded in passage.duplicates],
            more_passages=passage.others,
            explanation=explained(passage.explanation),
        )


class FacetValue(Reply):
    value: str
    count: int = Field(description="documents that have it")


class RerankModel(Reply):
    """Whether the best candidates were looked at again; without it the order is that of the first ranking."""

    applied: bool
    scored: int = Field(description="candidates that have a score; they stand before all others")
    reason: RerankSkip | None = Field(description="why none, or no more of them, were scored")

    @classmethod
    def of(cls, outcome: RerankOutcome) -> RerankModel:
        return cls(applied=outcome.applied, scored=len(outcome.scores), reason=outcome.skipped)


class CorrectionModel(Reply):
    """A word that no document has, and one of a hit that it is taken for."""

    written: str
    meant: str


class SearchResponse(Reply):
    """Passages, best first, and how relevant the whole result is."""

    query_id: str
    index_version: str
    total: int = Field(description="passages that were found, the folded among them; documents, if hits are grouped")
    total_is: Literal["exact", "at_least"] = Field(description="whether there may be more than `total`")
    relevance: RelevanceModel
    hits: list[HitModel]
    facets: dict[str, list[FacetValue]] = Field(description="per facet its values, the most frequent first")
    rerank: RerankModel
    corrections: list[CorrectionModel] = Field(description="misspelt words, and what was looked for as well")
    explanation: QueryExplanationModel | None = Field(description="with `explain`")
    timings_ms: dict[str, float]

    @classmethod
    def of(cls, result: SearchResult, *, query_id: str, index_version: str) -> SearchResponse:
        return cls(
            query_id=query_id,
            index_version=index_version,
            total=result.total,
            total_is="exact" if result.complete else "at_least",
            relevance=RelevanceModel.of(result.relevance),
            hits=[HitModel.of(passage) for passage in result.passages],
            facets={
                name: [FacetValue(value=value, count=count) for value, count in values]
                for name, values in result.facets.items()
            },
            rerank=RerankModel.of(result.rerank),
            corrections=[CorrectionModel(written=written, meant=meant) for written, meant in result.corrections],
            explanation=read_as(result.explanation),
            timings_ms=rounded(result.timings_ms),
        )
