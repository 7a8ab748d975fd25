"""The way of spans to a receiver of OTLP/HTTP: a bounded queue, a thread that sends, and counts of what was lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from time import monotonic
from urllib.parse import urlsplit, urlunsplit

import structlog
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from service.ledger.metrics import SPANS, Metrics
from service.settings import TracingSettings

log = structlog.get_logger(__name__)

_BATCH = 256
_SPANS_OF_ONE = 64
"""Room that one operation may need."""
_TOLD_EVERY_S = 60.0


class Sending(SpanExporter):
    """Counts what is sent and what is not, and says so now and then."""

    def __init__(self, exporter: SpanExporter, metrics: Metrics, most: int) -> None:
        self._exporter = exporter
        self._metrics = metrics
        self._most = most
        self._lock = threading.Lock()
        self._told_at = float("-inf")
        self._waiting = 0

    def takes(self) -> bool:
        """Whether there is room for the spans of one more operation; one that there is none for is counted."""
        with self._lock:
            full = self._waiting > self._most - _SPANS_OF_ONE
        if full:
            self._lost("dropped", 1)
        return not full

    def begun(self) -> None:
        with self._lock:
            self._waiting += 1

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        with self._lock:
            # A batch that is not full was all that waited.
            self._waiting = max(0, self._waiting - len(spans)) if len(spans) == _BATCH else 0
        if result is SpanExportResult.SUCCESS:
            self._metrics.count(SPANS, "sent", by=len(spans))
        else:
            self._lost("failed", len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def _lost(self, outcome: str, number: int) -> None:
        self._metrics.count(SPANS, outcome, by=number)
        now = monotonic()
        if now - self._told_at >= _TOLD_EVERY_S:
            self._told_at = now
            log.warning("spans_not_sent", outcome=outcome, spans=number)


class Waiting(BatchSpanProcessor):
    """The queue before the thread that sends; bounded by itself, and counted so that nothing need be lost in it."""

    def __init__(self, sending: Sending, settings: TracingSettings) -> None:
        super().__init__(
            sending,
            max_queue_size=settings.max_pending,
            schedule_delay_millis=settings.flush_ms,
            max_export_batch_size=_BATCH,
        )
        self._sending = sending

    def on_end(self, span: ReadableSpan) -> None:
        self._sending.begun()
        super().on_end(span)


def exporter_for(settings: TracingSettings, endpoint: str) -> SpanExporter:
    """What sends to the endpoint. Its own words about a receiver that is down come with every try, so they are off."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    return OTLPSpanExporter(
        endpoint=_address(endpoint),
        headers={name.lower(): value.get_secret_value() for name, value in settings.headers.items()},
        timeout=settings.timeout_s,
        compression=Compression.Gzip,
    )


def _address(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    return urlunsplit(parts._replace(path="/v1/traces")) if parts.path in ("", "/") else endpoint
