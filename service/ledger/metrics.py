"""Every metric of the service, its names in one table; each runtime has a registry of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """Name, meaning and labels of one metric."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Literal["counter", "histogram", "gauge"] = "counter"


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
)
LEDGER_WRITTEN: Final = Metric("plumbline_ledger_written_total", "Records written to the ledger")
LEDGER_DROPPED: Final = Metric(
    "plumbline_ledger_dropped_total",
    "Records that the ledger could not keep: `queue_full`, `database`, `invalid`, `bug` or `closed`",
    ("reason",),
)
DUTIES: Final = Metric(
    "plumbline_duties_total",
    "Times that a duty beside the requests was done: `ok`, `failed` (tried again the next time) or `ended` by a bug",
    ("duty", "outcome"),
)

METRICS: Final = (
    HTTP_REQUESTS,
    HTTP_SECONDS,
    STAGE_SECONDS,
    RELEVANCE,
    ANSWERS,
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
    DUTIES,
)


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        self._gauges: dict[str, Gauge] = {}
        for metric in METRICS:
            about = (metric.name, metric.help, metric.labels)
            match metric.kind:
                case "histogram":
                    self._histograms[metric.name] = Histogram(*about, buckets=_SECONDS, registry=self._registry)
                case "gauge":
                    self._gauges[metric.name] = Gauge(*about, registry=self._registry)
                case "counter":
                    self._counters[metric.name] = Counter(*about, registry=self._registry)

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        counter = self._counters[metric.name]
        (counter.labels(*labels) if labels else counter).inc(by)

    def observe(self, metric: Metric, seconds: float, *labels: str) -> None:
        self._histograms[metric.name].labels(*labels).observe(seconds)

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        gauge = self._gauges[metric.name]
        (gauge.labels(*labels) if labels else gauge).set(value)

    def observe_stages(self, operation: str, timings_ms: Mapping[str, float]) -> None:
        """The stages of one query or answer, as its `timings_ms` tells them."""
        for stage, milliseconds in timings_ms.items():
            self.observe(STAGE_SECONDS, milliseconds / 1000, operation, stage)

    def exposition(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self._registry)
