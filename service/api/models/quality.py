"""`/v1/quality`: the signals of a window of all traffic."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field

from service.api.models.fields import CollectionName, Reply, Request
from service.ledger.tallies import Slice
from service.quality.online.report import Quality
from service.quality.online.series import MOST_BUCKETS, Point, Series
from service.quality.windows import WINDOW_FORM

_ONE_COLLECTION = "only what was searched in this collection, or whose best hit is from it"


class _Read(Reply):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class Period(_Read):
    """From `since` on, before `until`."""

    since: datetime
    until: datetime


class Count(_Read):
    """How many now, and in the window before."""

    now: int
    before: int


class Amount(_Read):
    """How much now, and in the window before; null where nothing is known."""

    now: float | None
    before: float | None


class FigureModel(_Read):
    """A rate in 0-1, a mean or an index, now and in the window before; null where there is nothing to divide by."""

    now: float | None
    before: float | None
    now_over: int = Field(description="how many it is over: queries, answers, sentences")
    before_over: int


class LatencyModel(_Read):
    """How long one stage of one operation took; the stage `total` is the whole of it."""

    operation: str
    stage: str
    p50_ms: Amount
    p95_ms: Amount
    now_over: int
    before_over: int


class UsageModel(_Read):
    """What a model did with a prompt: all its calls, repairs and judgements among them, and the answers it wrote."""

    calls: int
    failed_calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None = Field(description="of calls with a known price; null if there is none")
    unpriced_calls: int
    answers: int
    grounded_rate: float | None
    unsupported_sentence_rate: float | None
    citation_precision: float | None


class ModelUsageModel(_Read):
    """One model with one prompt; both null for answers that no model wrote."""

    model: str | None
    prompt_version: str | None
    now: UsageModel
    before: UsageModel


class FeedbackCountModel(_Read):
    """Feedback of one kind; `value` is a rating or an outcome."""

    kind: str
    value: str | None
    now: int
    before: int


class FindingModel(_Read):
    """A signal that is worth a look."""

    signal: str
    detail: str


class QualityParameters(Request):
    """Which window, and of what."""

    window: str = Field("24h", max_length=10, description=WINDOW_FORM, examples=["24h"])
    collection: CollectionName | None = Field(None, description=_ONE_COLLECTION)


class SeriesParameters(QualityParameters):
    """Which window, and in how many parts."""

    buckets: int = Field(48, ge=1, le=MOST_BUCKETS, description="equal parts of the window")


class QualityResponse(Reply):
    """Every figure now and in the window before, and the number it is over."""

    window: str
    collection: str | None
    now: Period
    before: Period
    queries: Count = Field(description="searches, context packs and answers, those that failed among them")
    operations: dict[str, Count] = Field(description="queries by operation")
    failed: Count
    failed_rate: FigureModel
    zero_result_rate: FigureModel
    weak_relevance_rate: FigureModel
    no_relevance_rate: FigureModel
    legs_disagree_rate: FigureModel = Field(description="of queries for which both legs found something")
    confidence_drift: FigureModel = Field(
        description="population stability index of the confidence of searches against the days before each window; "
        "null with too few searches"
    )
    top_score_drift: FigureModel
    clicks: Count
    click_mrr: FigureModel
    click_ndcg: FigureModel
    answers: Count = Field(description="answers and refusals")
    refusal_rate: FigureModel
    refusals: dict[str, FigureModel] = Field(description="of all answers, by reason")
    grounded_rate: FigureModel
    unsupported_sentence_rate: FigureModel = Field(description="of the sentences of answers with a verdict")
    citation_precision: FigureModel
    degraded_rate: FigureModel
    degraded: dict[str, FigureModel] = Field(description="of all answers, by reason")
    feedback: list[FeedbackCountModel]
    latency: list[LatencyModel]
    latency_sampled: bool = Field(description="percentiles are those of a random sample of the operations")
    model_calls: Count
    unpriced_calls: Count = Field(description="calls whose price is not known, and so not in any cost")
    prompt_tokens: Count
    completion_tokens: Count
    cost_usd: Amount
    models: list[ModelUsageModel]
    findings: list[FindingModel] = Field(description="what is worth a look: worse by more than chance, or bad")

    @classmethod
    def of(cls, found: Quality, window: str) -> QualityResponse:
        told: dict[str, Any] = {
            "window": window,
            "collection": found.now.collection,
            "latency_sampled": found.sampled,
            **found.counts,
            **found.rates,
        }
        told |= {name: getattr(found, name) for name in cls.model_fields if name not in told}
        return cls.model_validate(told, from_attributes=True)


class PointLatency(_Read):
    """Milliseconds of whole operations, of `over` of them."""

    p50_ms: float
    p95_ms: float
    over: int


class PointSpent(_Read):
    """Calls of one model with one prompt."""

    model: str
    prompt_version: str | None
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None


class PointModel(Reply):
    """What happened from `at` until the next point. Counts, so that points can be added up."""

    at: datetime
    queries: int
    operations: dict[str, int]
    failed: int
    zero_results: int
    weak: int
    none: int
    judged: int = Field(description="queries whose relevance was judged: what the three before are parts of")
    disagree: int
    legs: int = Field(description="queries for which both legs found something")
    answers: int = Field(description="answers and refusals")
    refused: int
    refusals: dict[str, int] = Field(description="refused answers by reason")
    degraded: int
    degradations: dict[str, int] = Field(description="degraded answers by reason")
    graded: int = Field(description="answers with a verdict")
    grounded: int
    sentences: int
    unsupported: int
    citation_precision: float | None
    latency: dict[str, PointLatency] = Field(description="by operation")
    model_calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    models: list[PointSpent] = Field(description="calls, tokens and cost by model and prompt version")

    @classmethod
    def of(cls, point: Point) -> PointModel:
        every, answers = point.all, point.operations.get("answer")
        return cls(
            at=point.at,
            queries=every.queries,
            operations={name: tally.queries for name, tally in point.operations.items()},
            failed=every.failed,
            zero_results=every.zero,
            weak=every.weak,
            none=every.none,
            judged=every.judged,
            disagree=every.disagree,
            legs=every.legs,
            answers=every.complete,
            refused=every.refused,
            refusals=point.reasons.refusals,
            degraded=every.degraded,
            degradations=point.reasons.degraded,
            graded=every.graded,
            grounded=every.grounded,
            sentences=every.sentences,
            unsupported=every.unsupported,
            citation_precision=answers.precision / answers.precise if answers and answers.precise else None,
            latency={name: PointLatency.model_validate(found) for name, found in point.latency.items()},
            model_calls=sum(one.calls for one in point.spent),
            prompt_tokens=sum(one.prompt_tokens for one in point.spent),
            completion_tokens=sum(one.completion_tokens for one in point.spent),
            cost_usd=point.cost_usd,
            models=[PointSpent.model_validate(one) for one in point.spent],
        )


class SeriesResponse(Reply):
    """The window in equal parts, in the order of time; parts in which nothing happened are there too."""

    window: str
    collection: str | None
    since: datetime
    until: datetime
    bucket_s: float
    latency_sampled: bool
    points: list[PointModel]

    @classmethod
    def of(cls, found: Series, window: str) -> SeriesResponse:
        about: Slice = found.about
        return cls(
            window=window,
            collection=about.collection,
            since=about.since,
            until=about.until,
            bucket_s=found.bucket_s,
            latency_sampled=found.sampled,
            points=[PointModel.of(point) for point in found.points],
        )
