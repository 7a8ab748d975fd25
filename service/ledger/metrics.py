"""Every metric of the service, its names in one table; each runtime has a registry of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """Name, meaning and labels of one metric. A histogram if its name ends in `_seconds`, else a counter."""

    name: str
    help: str
    labels: tuple[str, ...]


HTTP_REQUESTS: Final = Metric(
    "plumbline_http_requests_total", "Requests answered, by route template", ("method", "route", "status")
)
HTTP_SECONDS: Final = Metric("plumbline_http_request_seconds", "Time to the last byte", ("method", "route"))
STAGE_SECONDS: Final = Metric("plumbline_stage_seconds", "Time per stage of a query or answer", ("operation", "stage"))
RELEVANCE: Final = Metric("plumbline_relevance_total", "Queries by how relevant the result was", ("operation", "label"))
ANSWERS: Final = Metric("plumbline_answers_total", "Answers by outcome and why degraded", ("outcome", "degraded"))
DOCUMENTS: Final = Metric("plumbline_documents_total", "Documents handed in over HTTP, by outcome", ("outcome",))

METRICS: Final = (HTTP_REQUESTS, HTTP_SECONDS, STAGE_SECONDS, RELEVANCE, ANSWERS, DOCUMENTS)


class Metrics:
    """The counters and histograms of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        for metric in METRICS:
            if metric.name.endswith("_seconds"):
                self._histograms[metric.name] = Histogram(
                    metric.name, metric.help, metric.labels, buckets=_SECONDS, registry=self._registry
                )
            else:
                self._counters[metric.name] = Counter(metric.name, metric.help, metric.labels, registry=self._registry)

    def count(self, metric: Metric, *labels: str, by: int = 1) -> None:
        self._counters[metric.name].labels(*labels).inc(by)

    def observe(self, metric: Metric, seconds: float, *labels: str) -> None:
        self._histograms[metric.name].labels(*labels).observe(seconds)

    def observe_stages(self, operation: str, timings_ms: Mapping[str, float]) -> None:
        """The stages of one query or answer, as its `timings_ms` tells them."""
        for stage, milliseconds in timings_ms.items():
            self.observe(STAGE_SECONDS, milliseconds / 1000, operation, stage)

    def exposition(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self._registry)
