"""Why a hit stands where it does, and how a query was read: what `explain` adds to a search."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from service.retrieval.explanations import HitExplanation, QueryExplanation
from service.retrieval.traits import QueryClass


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class LegModel(_Told):
    """What one leg says of a passage."""

    rank: int = Field(description="from 1, among what the leg returned")
    score: float = Field(description="raw: a cosine, or BM25")
    contribution: float = Field(description="what it added to the fused score")


class RerankedModel(_Told):
    """What the reranker says of a passage."""

    score: float = Field(description="raw, in the reranker's own scale")
    rank_before: int


class PreferenceModel(_Told):
    """What the caller's preferences did to a passage."""

    freshness: float = Field(description="1 for the newest candidate, half of it with each half-life")
    source: float
    collection: float
    change: float = Field(description="what was added to the fused score")


class CalibratedModel(_Told):
    """What `score` was computed from."""

    dense: float | None = Field(description="the cosine; null: the semantic leg did not return it")
    coverage: float = Field(description="weighted share of the query's terms")
    literal: bool = Field(description="whether the passage holds the whole query as it was written")
    score: float = Field(description="before neighbours out of order shared their mean")


class HitExplanationModel(_Told):
    """Why a hit stands where it does."""

    rank: int = Field(description="place in the result list, from 1")
    fused: float | None = Field(
        description="score that it is ranked by, with what exact hits and preferences added; null: found further down"
    )
    dense: LegModel | None = Field(description="the semantic leg")
    sparse: LegModel | None = Field(description="the keyword leg")
    title: float = Field(description="what a title that the query names added to the fused score")
    exact: tuple[str, ...] = Field(description="identifiers and phrases of the query that it holds literally")
    preference: PreferenceModel | None
    superseded: bool = Field(description="whether it gave way to the document that took the place of its own")
    rerank: RerankedModel | None
    terms: tuple[str, ...] = Field(description="terms of the query that it has")
    missing: tuple[str, ...] = Field(description="terms that it has not")
    calibrated: CalibratedModel


class QueryExplanationModel(_Told):
    """How the query was read."""

    kind: QueryClass = Field(description="what the query is by its form")
    weights: dict[str, float] = Field(description="what each leg counts in fusion, and a title that the query names")
    fitted: str | None = Field(
        description="collection that the weights were fitted to, empty for all; null: they hold anywhere"
    )
    needles: tuple[str, ...] = Field(description="identifiers and phrases that were looked for literally")
    terms: dict[str, float] = Field(description="terms with what each weighs in the scores; the weights sum to 1")
    corrections: dict[str, str] = Field(description="misspelt words and what they were taken for")
    synonyms: dict[str, tuple[str, ...]] = Field(description="words and what was looked for beside them")
    candidates: dict[str, int] = Field(description="chunks that the legs and exact search found, and that were ranked")
    signals: dict[str, float] = Field(description="what the confidence was computed from")


def explained(explanation: HitExplanation | None) -> HitExplanationModel | None:
    return None if explanation is None else HitExplanationModel.model_validate(explanation)


def read_as(explanation: QueryExplanation | None) -> QueryExplanationModel | None:
    return None if explanation is None else QueryExplanationModel.model_validate(explanation)
