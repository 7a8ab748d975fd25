"""Why a hit stands where it does, and how a query was read: numbers under stable names, for people and programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.retrieval.preferences import Effect


@dataclass(frozen=True, slots=True)
class LegExplanation:
    """What one leg says of a passage: its rank from 1, its raw score, and what that added to the fused score."""

    rank: int
    score: float
    contribution: float


@dataclass(frozen=True, slots=True)
class RerankExplanation:
    """The reranker's score of a passage, and its rank from 1 before."""

    score: float
    rank_before: int


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What the score was computed from: the cosine, the weighted share of the query's terms, whether the passage holds
    the whole query literally, and the score before neighbours out of order shared their mean.
    """

    dense: float | None
    coverage: float
    literal: bool
    score: float


@dataclass(frozen=True, slots=True)
class HitExplanation:
    """Why a hit stands where it does.

    rank         its place in the result list, from 1
    fused        its score in the fused ranking, with what exact hits and preferences added; None: found further down
    dense        the semantic leg; None: that leg did not return it
    sparse       the keyword leg
    title        what a title that the query names added to the fused score
    exact        the needles that it holds
    preference   what preferences did
    superseded   whether it waits for the document that took its place
    rerank       what the reranker did
    terms        the query's terms that it has, and `missing` those that it has not
    """

    rank: int
    fused: float | None
    dense: LegExplanation | None
    sparse: LegExplanation | None
    title: float
    exact: tuple[str, ...]
    preference: Effect | None
    superseded: bool
    rerank: RerankExplanation | None
    terms: tuple[str, ...]
    missing: tuple[str, ...]
    calibrated: Calibrated


@dataclass(frozen=True, slots=True)
class QueryExplanation:
    """How a query was read.

    kind         the class of the query by its form: `identifier`, `keywords`, `question`, `ticket`
    weights      what each leg counts in fusion, and a title that the query names
    fitted       the collection whose weights these are ("" for all); None if they hold anywhere
    needles      what was looked for literally
    terms        the terms of the keyword leg with what each weighs in `score`; the weights sum to 1
    corrections  misspelt words and what they were taken for
    synonyms     words and what was looked for beside them
    candidates   how many chunks the semantic leg, the keyword leg and exact search found, and how many were ranked
    signals      what `relevance.confidence` was computed from
    """

    kind: str
    weights: Mapping[str, float]
    fitted: str | None
    needles: tuple[str, ...]
    terms: Mapping[str, float]
    corrections: Mapping[str, str]
    synonyms: Mapping[str, Sequence[str]]
    candidates: Mapping[str, int]
    signals: Mapping[str, float]
