"""Every metric of the service, its names in one table; each runtime has a registry of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

T = TypeVar("T", Counter, Gauge, Histogram)

_OPERATIONS: Final = ("search", "context", "answer")
_UNIT: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """Name, meaning and labels of one metric."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Literal["counter", "histogram", "gauge"] = "counter"
    buckets: tuple[float, ...] = _SECONDS
    known: tuple[tuple[str, ...], ...] = ()
    """Labels that are there with 0 from the start: Prometheus sees no increase in a series that begins with 1."""


HTTP_REQUESTS: Final = Metric(
    "plumbline_http_requests_total", "Requests answered, by route template", ("method", "route", "status")
)
HTTP_SECONDS: Final = Metric(
    "plumbline_http_request_seconds", "Time to the last byte", ("method", "route"), "histogram"
)
STAGE_SECONDS: Final = Metric(
    "plumbline_stage_seconds", "Time per stage of a query or answer", ("operation", "stage"), "histogram"
)
RELEVANCE: Final = Metric("plumbline_relevance_total", "Queries by how relevant the result was", ("operation", "label"))
ANSWERS: Final = Metric("plumbline_answers_total", "Answers by outcome and why degraded", ("outcome", "degraded"))
LLM_CALLS: Final = Metric(
    "plumbline_llm_calls_total",
    "Calls to language models, each attempt one: `ok`, `closed` by who asked, or why it failed",
    ("model", "outcome"),
)
LLM_TOKENS: Final = Metric(
    "plumbline_llm_tokens_total", "Tokens of those calls, `prompt` and `completion`", ("model", "kind")
)
LLM_COST: Final = Metric("plumbline_llm_cost_usd_total", "What those calls cost, of models with a price", ("model",))
ZERO_RESULTS: Final = Metric(
    "plumbline_zero_results_total",
    "Queries that found nothing at all",
    ("operation",),
    known=tuple((operation,) for operation in _OPERATIONS),
)
LEGS: Final = Metric(
    "plumbline_legs_total",
    "Queries for which both legs found something, by whether they put the same document first: `yes` or `no`",
    ("operation", "agree"),
    known=tuple(product(_OPERATIONS, ("yes", "no"))),
)
CONFIDENCE: Final = Metric(
    "plumbline_relevance_confidence",
    "Estimated probability that a query has an answer here",
    ("operation",),
    "histogram",
    _UNIT,
)
TOP_SCORE: Final = Metric(
    "plumbline_top_score", "Score of the best hit, of queries that found one", ("operation",), "histogram", _UNIT
)
REFUSALS: Final = Metric(
    "plumbline_refusals_total",
    "Questions that were refused, by why",
    ("reason",),
    known=(("nothing_relevant",), ("not_in_sources",), ("unsafe",)),
)
SENTENCES: Final = Metric(
    "plumbline_sentences_total",
    "Sentences of answers by their verdict, and by what wrote them; `none` without a model",
    ("verdict", "model", "prompt_version"),
)
GROUNDING: Final = Metric(
    "plumbline_grounding_total",
    "Answers by how well their sources support them, and by what wrote them; `none` without a model",
    ("label", "model", "prompt_version"),
)
CITATION_PRECISION: Final = Metric(
    "plumbline_citation_precision", "Share of an answer's citations that support their sentence", (), "histogram", _UNIT
)
WITHHELD: Final = Metric(
    "plumbline_withheld_sentences_total", "Sentences left out of answers because no source supports them"
)
SCORE_DRIFT: Final = Metric(
    "plumbline_score_drift",
    "Population stability index of the scores of searches against the days before, of the tenant where it is greatest; "
    "absent while there are too few searches",
    ("score",),
    "gauge",
)
WINDOW: Final = Metric(
    "plumbline_window_signal",
    "Signals of all tenants over the last day, out of the ledger, so the same in every process; "
    "absent where there is nothing to divide by",
    ("signal",),
    "gauge",
)
JUDGED: Final = Metric(
    "plumbline_judged_sentences_total",
    "Sentences that a chat model was asked about for comparison: the verdict, and its `yes` or `no`",
    ("label", "opinion"),
)
DOCUMENTS: Final = Metric("plumbline_documents_total", "Documents handed in over HTTP, by outcome", ("outcome",))
SOURCES: Final = Metric("plumbline_sources", "Sources of all tenants, by health", ("health",), "gauge")
SOURCE_FAILURES: Final = Metric(
    "plumbline_source_failures", "Failed syncs in a row, of the source with the most", kind="gauge"
)
SOURCE_AGE: Final = Metric(
    "plumbline_source_age_seconds", "Time since the last good sync, of the source where it is longest", kind="gauge"
)
FEEDBACK: Final = Metric(
    "plumbline_feedback_total",
    "Feedback by kind, and by `up`, `down` or `none` for what is no rating",
    ("kind", "rating"),
    known=(("rating", "up"), ("rating", "down"), ("click", "none")),
)
LEDGER_WRITTEN: Final = Metric("plumbline_ledger_written_total", "Records written to the ledger")
LEDGER_DROPPED: Final = Metric(
    "plumbline_ledger_dropped_total",
    "Records that the ledger could not keep: `queue_full`, `database`, `invalid`, `bug` or `closed`",
    ("reason",),
    known=(("queue_full",), ("database",), ("invalid",), ("bug",), ("closed",)),
)
DUTIES: Final = Metric(
    "plumbline_duties_total",
    "Times that a duty beside the requests was done: `ok`, `failed` (tried again the next time) or `ended` by a bug",
    ("duty", "outcome"),
)
ROLLBACKS: Final = Metric("plumbline_rollbacks_total", "Releases that went back by themselves", ("kind",))
SPANS: Final = Metric(
    "plumbline_spans_total",
    "Spans for OpenTelemetry: `sent`, `failed` (the receiver did not take them) or `dropped` (too many waited)",
    ("outcome",),
)

METRICS: Final = (
    HTTP_REQUESTS,
    HTTP_SECONDS,
    STAGE_SECONDS,
    RELEVANCE,
    ANSWERS,
    ZERO_RESULTS,
    LEGS,
    CONFIDENCE,
    TOP_SCORE,
    REFUSALS,
    SENTENCES,
    GROUNDING,
    CITATION_PRECISION,
    WITHHELD,
    SCORE_DRIFT,
    WINDOW,
    LLM_CALLS,
    LLM_TOKENS,
    LLM_COST,
    JUDGED,
    DOCUMENTS,
    SOURCES,
    SOURCE_FAILURES,
    SOURCE_AGE,
    FEEDBACK,
    LEDGER_WRITTEN,
    LEDGER_DROPPED,
    SPANS,
    DUTIES,
    ROLLBACKS,
)


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        self._gauges: dict[str, Gauge] = {}
        # What `labels()` of the client finds anew, with a lock, at every call.
        self._children: dict[tuple[str, tuple[str, ...]], Any] = {}
        for metric in METRICS:
            about = (metric.name, metric.help, metric.labels)
            match metric.kind:
                case "histogram":
                    self._histograms[metric.name] = Histogram(*about, buckets=metric.buckets, registry=self._registry)
                case "gauge":
                    self._gauges[metric.name] = Gauge(*about, registry=self._registry)
                case "counter":
                    self._counters[metric.name] = Counter(*about, registry=self._registry)
            for labels in metric.known:
                self.count(metric, *labels, by=0)

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        self._child(self._counters, metric, labels).inc(by)

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """`value` is in the unit of the metric: seconds, or a share in [0, 1]."""
        self._child(self._histograms, metric, labels).observe(value)

    def set(self, metric: Metric, value: float | None, *labels: str) -> None:
        """Of a metric with labels, None takes the value away: there is none to show."""
        if value is not None:
            self._child(self._gauges, metric, labels).set(value)
        elif self._children.pop((metric.name, labels), None) is not None:
            self._gauges[metric.name].remove(*labels)

    def _child(self, family: Mapping[str, T], metric: Metric, labels: tuple[str, ...]) -> T:
        key = (metric.name, labels)
        child: T | None = self._children.get(key)
        if child is None:
            whole: Any = family[metric.name]
            child = self._children[key] = whole.labels(*labels) if labels else whole
        return child

    def observe_stages(self, operation: str, timings_ms: Mapping[str, float]) -> None:
        """The stages of one query or answer, as its `timings_ms` tells them."""
        for stage, milliseconds in timings_ms.items():
            self.observe(STAGE_SECONDS, milliseconds / 1000, operation, stage)

    def exposition(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self._registry)
