"""Spans of every operation for OpenTelemetry, made of what was recorded, once it is over; sending is left to `sending`.

Names and attributes follow its conventions for generative AI (status
Development; docs/quality/tracing.md names the version). Nothing here runs in the path of a request: spans are made in
the ledger's thread, wait in a bounded queue and are sent by a thread of their own. No words of questions, answers or
documents leave unless the settings say so.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.ledger.metrics import Metrics
from service.ledger.model_calls import ModelCall
from service.ledger.traces import Outcome, Trace
from service.retrieval.results import SearchResult, Segment
from service.settings import TracingSettings
from service.tracking.spans.sending import Sending, Waiting, exporter_for
from service.tracking.tracker import Asked, Timeline

RecordCall = Callable[[Callable[[], ModelCall]], None]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLOSING_S = 5.0
_REMEMBERED = 1_000
"""Operations whose calls to models may still come, and calls whose operation may."""
_ENDED_WELL = (Outcome.OK, Outcome.REFUSED, Outcome.CLOSED)
_CALL_ENDED_WELL = ("ok", "closed")
_ENDPOINT_PROVIDER = "openai"
"""Of chat endpoints: they speak the API of OpenAI, whoever runs them."""
_OWN_PROVIDER = "plumbline"
_NAMES = {"retrieve": "retrieval", "embed": "embeddings"}

Attributes = Mapping[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class _Stage:
    """A stage of one operation with its span; times in nanoseconds since 1970."""

    span: Span
    began: int
    ended: int


class Spans:
    """Makes spans of operations and of calls to models. All of it in one thread, but for `close`."""

    def __init__(self, settings: TracingSettings, sending: Sending) -> None:
        self._settings = settings
        self._sending = sending
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.sample)),
            # Not Resource.create: that reads further settings out of the environment.
            resource=Resource({"service.name": settings.service_name, "service.version": version("plumbline")}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(Waiting(sending, settings))
        self._tracer = self._provider.get_tracer("plumbline", version("plumbline"))
        self._calls: OrderedDict[str, list[ModelCall]] = OrderedDict()
        self._done: OrderedDict[str, SpanContext] = OrderedDict()

    def operation(self, asked: Asked, trace: Trace, timeline: Timeline) -> None:
        """Spans of an operation that is over: itself, its stages, and the calls to models that were made for it."""
        calls = self._calls.pop(asked.id, [])
        if not self._sending.takes():
            return
        clock = _Clock(asked)
        root = self._tracer.start_span(
            trace.operation,
            _caller(asked.traceparent),
            SpanKind.SERVER,
            self._of_operation(trace),
            start_time=clock.at_ns,
        )
        if trace.outcome not in _ENDED_WELL:
            _fail(root, trace.outcome)
        if root.is_recording():
            stages = self._stages(root, timeline.segments, clock, trace)
            for result in timeline.searches:
                self._search(root, stages, result, clock, trace)
            for several in _attempts(calls):
                self._chat(several, _around(stages, _began_ns(several[0]), root))
            for stage in stages:
                stage.span.end(stage.ended)
        root.end(clock.at_ns + round(trace.total_ms * 1e6))
        _remember(self._done, asked.id, root.get_span_context())

    def call(self, call: ModelCall) -> None:
        """A call to a model; it waits for its operation, or joins one that is over already."""
        if call.answer_id is None:
            return
        context = self._done.get(call.answer_id)
        if context is None:
            self._calls.setdefault(call.answer_id, []).append(call)
            _trim(self._calls)
        elif self._sending.takes():
            self._chat([call], NonRecordingSpan(context))

    def watching(self, record: RecordCall) -> RecordCall:
        """`record`, with a span made of each call that it keeps."""

        def watched(tell: Callable[[], ModelCall]) -> None:
            def told() -> ModelCall:
                call = tell()
                self.call(call)
                return call

            record(told)

        return watched

    def close(self) -> None:
        """Send what waits, for some seconds at most."""
        # A receiver that does not answer must not hold up the end of the process: the thread dies with it.
        closing = threading.Thread(target=self._provider.shutdown, name="spans-closing", daemon=True)
        closing.start()
        closing.join(_CLOSING_S)

    def _stages(self, root: Span, segments: Sequence[Segment], clock: _Clock, trace: Trace) -> list[_Stage]:
        """Open spans of the stages, outer ones first; one within another is its child."""
        stages: list[_Stage] = []
        for segment in sorted(segments, key=lambda one: (one.began, -one.ended)):
            began, ended = clock(segment.began), clock(segment.ended)
            parent = _around(stages, began, root)
            stages.append(_Stage(self._stage(segment.stage, parent, began, trace), began, ended))
        return stages

    def _search(self, root: Span, stages: Sequence[_Stage], result: SearchResult, clock: _Clock, trace: Trace) -> None:
        """The stages of one search below a span of the whole of it."""
        segments = result.trail.segments if result.trail is not None else ()
        if not segments:
            return
        began, ended = clock(segments[0].began), clock(segments[-1].ended)
        outer = _around(stages, began, root)
        whole = outer if outer is not root else self._stage("retrieve", root, began, trace)
        whole.set_attribute("plumbline.hits", len(result.passages))
        for segment in segments:
            self._stage(segment.stage, whole, clock(segment.began), trace).end(clock(segment.ended))
        if whole is not outer:
            whole.end(ended)

    def _stage(self, stage: str, parent: Span, began: int, trace: Trace) -> Span:
        attributes: dict[str, str | int | float | bool] = {"plumbline.stage": stage}
        operation, about = _NAMES.get(stage), None
        if stage == "retrieve":
            about = trace.collection
            if about is not None:
                attributes["gen_ai.data_source.id"] = about
            if self._settings.content and trace.query is not None:
                attributes["gen_ai.retrieval.query.text"] = _plain(trace.query)
        elif stage == "embed":
            about = trace.embedder
            if about is not None:
                attributes["gen_ai.request.model"] = about
        if operation is not None:
            attributes |= {"gen_ai.operation.name": operation, "gen_ai.provider.name": _OWN_PROVIDER}
        name = stage if operation is None else f"{operation} {about}" if about else operation
        return self._tracer.start_span(
            name, set_span_in_context(parent), SpanKind.INTERNAL, attributes, start_time=began
        )

    def _chat(self, attempts: Sequence[ModelCall], parent: Span) -> None:
        """One call with all its attempts: those that failed are events."""
        last = attempts[-1]
        attributes: dict[str, str | int | float | bool] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": _ENDPOINT_PROVIDER,
            "gen_ai.request.model": last.model,
            "gen_ai.request.stream": True,
            "plumbline.purpose": last.purpose,
            "plumbline.tier": last.tier,
            "plumbline.attempts": len(attempts),
            "plumbline.outcome": last.outcome,
            "plumbline.usage.estimated": any(one.estimated for one in attempts),
            **_known("gen_ai.prompt.version", last.prompt_version),
            **_known("gen_ai.usage.input_tokens", _sum(one.prompt_tokens for one in attempts)),
            **_known("gen_ai.usage.output_tokens", _sum(one.completion_tokens for one in attempts)),
            **_known("plumbline.cost_usd", _sum(one.cost_usd for one in attempts)),
        }
        span = self._tracer.start_span(
            f"chat {last.model}",
            set_span_in_context(parent),
            SpanKind.CLIENT,
            attributes,
            start_time=_began_ns(attempts[0]),
        )
        for failed in attempts[:-1]:
            span.add_event("plumbline.attempt_failed", {"error.type": failed.outcome}, _ns(failed.at))
        if last.outcome not in _CALL_ENDED_WELL:
            _fail(span, last.outcome)
        span.end(_ns(last.at))

    def _of_operation(self, trace: Trace) -> Attributes:
        told: dict[str, Any] = {
            "plumbline.id": trace.id,
            "plumbline.query_id": trace.query_id,
            "plumbline.request_id": trace.request_id,
            "plumbline.tenant": trace.tenant,
            "plumbline.outcome": trace.outcome,
            "plumbline.hits": trace.hits,
            "plumbline.relevance": trace.relevance,
            "plumbline.relevance.confidence": trace.confidence,
            "plumbline.index_version": trace.index_version,
            "plumbline.refusal": trace.refusal,
            "plumbline.degraded": trace.degraded,
            "plumbline.grounding": trace.grounding,
            "plumbline.grounding.score": trace.grounding_score,
            "plumbline.sentences": trace.sentences,
            "plumbline.sentences.unsupported": trace.unsupported,
            "gen_ai.request.model": trace.model,
            "gen_ai.prompt.version": trace.prompt_version,
        }
        if self._settings.content:
            told |= {"plumbline.question": trace.query, "plumbline.answer": trace.body.get("text")}
        return {
            name: _plain(value) if isinstance(value, str) else value
            for name, value in told.items()
            if value is not None
        }


class _Clock:
    """Readings of `perf_counter` as nanoseconds since 1970, by the moment that an operation began at."""

    def __init__(self, asked: Asked) -> None:
        self.at_ns = _ns(asked.at)
        self._began = asked.began

    def __call__(self, reading: float) -> int:
        return self.at_ns + round((reading - self._began) * 1e9)


@contextmanager
def open_spans(settings: TracingSettings, metrics: Metrics) -> Iterator[Spans]:
    """Spans that go to the endpoint of the settings until the context ends."""
    assert settings.endpoint is not None
    spans = Spans(settings, Sending(exporter_for(settings, settings.endpoint), metrics, settings.max_pending))
    try:
        yield spans
    finally:
        spans.close()


def _caller(traceparent: str | None) -> Context | None:
    """The caller's span as a context; None: there is none, or its header is malformed."""
    if traceparent is None:
        return Context()
    return TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())


def _around(stages: Sequence[_Stage], at: int, root: Span) -> Span:
    """The innermost stage that was under way then."""
    holding = [stage for stage in stages if stage.began <= at < stage.ended]
    return holding[-1].span if holding else root


def _attempts(calls: Sequence[ModelCall]) -> Iterator[list[ModelCall]]:
    """Calls in the order in which they began, those together that repeat one that failed."""
    several: list[ModelCall] = []
    for call in sorted(calls, key=_began_ns):
        last = several[-1] if several else None
        if last is not None and (last.outcome in _CALL_ENDED_WELL or _kind(last) != _kind(call)):
            yield several
            several = []
        several.append(call)
    if several:
        yield several


def _kind(call: ModelCall) -> tuple[str, str, str]:
    return call.purpose, call.model, call.tier


def _began_ns(call: ModelCall) -> int:
    return _ns(call.at) - round(call.duration_ms * 1e6)


def _ns(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1) * 1_000


def _fail(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))


def _known(name: str, value: str | int | float | None) -> dict[str, str | int | float]:
    return {} if value is None else {name: value}


def _sum(values: Iterator[Any]) -> Any:
    found = [value for value in values if value is not None]
    return sum(found) if found else None


def _plain(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _remember(known: OrderedDict[str, SpanContext], id_: str, context: SpanContext) -> None:
    known[id_] = context
    _trim(known)


def _trim(known: OrderedDict[str, Any]) -> None:
    while len(known) > _REMEMBERED:
        known.popitem(last=False)
