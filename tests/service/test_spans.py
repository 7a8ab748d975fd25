"""Spans: what a real receiver gets of searches and answers, whose children they are, and what never leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pydantic import SecretStr, ValidationError

from service.app import app_for
from service.ledger.metrics import Metrics
from service.ledger.model_calls import ModelCall
from service.ledger.traces import Trace
from service.retrieval.results import Segment
from service.runtime import open_runtime
from service.settings import LedgerSettings, LLMOutput, LLMSettings, ServiceSettings, TracingSettings
from service.tracking.spans.making import Spans, open_spans
from service.tracking.tracker import Asked, Timeline
from tests.chat_endpoint import failing, running_endpoint, saying
from tests.otlp_receiver import Receiver, attributes, receiving
from tests.service.http_parts import RUNBOOK, settings_for

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
CALLER, CALLERS_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{CALLER}-{CALLERS_SPAN}-01"
ASKED = Asked("a1", "q1", "acme", None, "r1", TRACEPARENT, AT, 100.0)
TRACE = Trace("a1", "q1", "acme", AT, "answer", "ok", 500.0, query="who is zebulon?", model="m", collection="docs")
CALL = ModelCall(
    "acme", "a1", "answer", "fast", "m", "answer@3", "ok", 10, 4, False, 0.25, 100.0, at=AT + timedelta(seconds=0.4)
)
TIMELINE = Timeline(
    (Segment("retrieve", 100.0, 100.1), Segment("generate", 100.2, 100.45), Segment("verify", 100.41, 100.42))
)
QUESTION = "How do I restart the zebulon gateway when it answers 502?"
SENTENCE = "Error code GH-5021 means that no upstream is healthy [1]."


@contextmanager
def spanning(receiver: Receiver, **changes: Any) -> Iterator[tuple[Spans, Metrics]]:
    metrics = Metrics()
    with open_spans(TracingSettings(endpoint=receiver.url, **changes), metrics) as spans:
        yield spans, metrics


def by_name(spans: Sequence[Span]) -> dict[str, Span]:
    found = {span.name: span for span in spans}
    assert len(found) == len(spans)
    return found


def assert_nested(spans: Sequence[Span]) -> None:
    """Every span lies within its parent, to the millisecond that two clocks may differ by."""
    known = {span.span_id: span for span in spans}
    for span in spans:
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        parent = known.get(span.parent_span_id)
        if parent is not None:
            assert span.start_time_unix_nano >= parent.start_time_unix_nano - 1_000_000
            assert span.end_time_unix_nano <= parent.end_time_unix_nano + 1_000_000


def test_an_answer_has_its_stages_and_calls_below_the_callers_span() -> None:
    with receiving() as receiver:
        with spanning(receiver, headers={"Authorization": SecretStr("Bearer t")}) as (spans, metrics):
            failed = replace(CALL, outcome="model_timeout", duration_ms=50.0, at=AT + timedelta(seconds=0.3), id="0")
            spans.call(failed)
            spans.call(CALL)
            spans.operation(ASKED, TRACE, TIMELINE)
            spans.call(replace(CALL, purpose="judge", model="late", at=AT + timedelta(seconds=0.6)))
        found = by_name(receiver.spans())
    assert set(found) == {"answer", "retrieval docs", "generate", "verify", "chat m", "chat late"}
    root = found["answer"]
    assert {span.trace_id.hex() for span in found.values()} == {CALLER}
    assert root.parent_span_id.hex() == CALLERS_SPAN
    assert root.kind == Span.SPAN_KIND_SERVER
    assert found["retrieval docs"].parent_span_id == found["generate"].parent_span_id == root.span_id
    assert found["verify"].parent_span_id == found["chat m"].parent_span_id == found["generate"].span_id
    assert found["chat late"].parent_span_id == root.span_id
    start = int(AT.timestamp()) * 10**9
    assert (root.start_time_unix_nano, root.end_time_unix_nano) == (start, start + 500_000_000)
    assert found["verify"].start_time_unix_nano - start == pytest.approx(410_000_000, abs=1000)
    chat = found["chat m"]
    assert (chat.start_time_unix_nano, chat.end_time_unix_nano) == (start + 250_000_000, start + 400_000_000)
    assert [(event.name, event.time_unix_nano - start) for event in chat.events] == [
        ("plumbline.attempt_failed", 300_000_000)
    ]
    told = attributes(chat)
    assert {name: value for name, value in told.items() if name.startswith("gen_ai.")} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.request.stream": True,
        "gen_ai.prompt.version": "answer@3",
        "gen_ai.usage.input_tokens": 20,
        "gen_ai.usage.output_tokens": 8,
    }
    assert told["plumbline.attempts"] == 2
    assert chat.status.code == 0
    assert receiver.service() == "plumbline"
    assert receiver.paths[0] == "/v1/traces"
    assert receiver.headers[0]["Authorization".lower()] == "Bearer t"
    assert b'plumbline_spans_total{outcome="sent"} 6.0' in metrics.exposition()


def test_no_word_leaves_unless_the_settings_say_so() -> None:
    trace = replace(TRACE, body={"text": "zebulon is a horse"})
    with receiving() as receiver:
        with spanning(receiver) as (spans, _):
            spans.operation(ASKED, trace, TIMELINE)
        assert receiver.bodies
        assert not any(b"zebulon" in body for body in receiver.bodies)
    with receiving() as receiver:
        with spanning(receiver, content=True) as (spans, _):
            spans.operation(ASKED, trace, TIMELINE)
        found = by_name(receiver.spans())
    assert attributes(found["answer"])["plumbline.question"] == "who is zebulon?"
    assert attributes(found["answer"])["plumbline.answer"] == "zebulon is a horse"
    assert attributes(found["retrieval docs"])["gen_ai.retrieval.query.text"] == "who is zebulon?"


def test_errors_have_their_type() -> None:
    with receiving() as receiver:
        with spanning(receiver) as (spans, _):
            spans.call(replace(CALL, outcome="model_unreachable"))
            spans.operation(ASKED, replace(TRACE, outcome="backend_unavailable"), TIMELINE)
        found = by_name(receiver.spans())
    assert {name: attributes(span)["error.type"] for name, span in found.items() if span.status.code == 2} == {
        "answer": "backend_unavailable",
        "chat m": "model_unreachable",
    }


@pytest.mark.parametrize("header", [None, "nonsense", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "ü" * 500])
def test_without_a_caller_an_operation_has_a_trace_of_its_own(header: str | None) -> None:
    with receiving() as receiver:
        with spanning(receiver) as (spans, _):
            spans.operation(replace(ASKED, traceparent=header), TRACE, TIMELINE)
        roots = [span for span in receiver.spans() if not span.parent_span_id]
    assert [span.name for span in roots] == ["answer"]


def test_the_caller_decides_what_is_sampled_and_else_the_setting() -> None:
    with receiving() as receiver:
        with spanning(receiver, sample=0.0) as (spans, _):
            spans.operation(ASKED, replace(TRACE, operation="wanted"), TIMELINE)
            spans.operation(replace(ASKED, traceparent=None), replace(TRACE, operation="ours"), TIMELINE)
            spans.operation(replace(ASKED, traceparent=TRACEPARENT[:-1] + "0"), TRACE, TIMELINE)
        names = {span.name for span in receiver.spans()}
    assert "wanted" in names
    assert not names & {"ours", "answer"}


def test_a_receiver_that_fails_costs_nothing_but_a_count() -> None:
    with receiving(status=400) as receiver:
        with spanning(receiver) as (spans, metrics):
            spans.operation(ASKED, TRACE, TIMELINE)
        assert b'plumbline_spans_total{outcome="failed"} 4.0' in metrics.exposition()


def test_a_receiver_that_says_nothing_fills_a_queue_that_is_bounded() -> None:
    few = {"max_pending": 512, "flush_ms": 10, "timeout_s": 1}
    with receiving(silent=True) as receiver, spanning(receiver, **few) as (spans, metrics):
        for _ in range(400):
            spans.operation(ASKED, TRACE, TIMELINE)
        told = metrics.exposition()
    assert b'plumbline_spans_total{outcome="dropped"}' in told


def test_spans_need_the_ledger() -> None:
    with pytest.raises(ValidationError, match="PLUMBLINE_LEDGER__ENABLED"):
        ServiceSettings(tracing=TracingSettings(endpoint="http://x"), ledger=LedgerSettings(enabled=False))


def test_a_service_sends_spans_of_a_search_and_of_an_answer(tmp_path: Path, models_dir: Path) -> None:
    async def use(settings: ServiceSettings) -> list[int]:
        async with open_runtime(settings) as runtime:
            app = app_for(runtime)

            async def serve(scope: Any, receive: Any, send: Any) -> None:
                await app({**scope, "state": {"runtime": runtime}}, receive, send)

            transport = httpx.ASGITransport(serve, client=("127.0.0.1", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                document = {"id": "g", "title": "Gateway", "text": RUNBOOK}
                done = [await client.post("/v1/documents", params={"wait_s": 30}, json=document)]
                headers = {"traceparent": TRACEPARENT}
                done.append(await client.post("/v1/search", json={"query": QUESTION}, headers=headers))
                done.append(await client.post("/v1/context", json={"text": QUESTION, "budget_tokens": 200}))
                done.append(await client.post("/v1/answers", json={"question": QUESTION}))
                return [one.status_code for one in done]

    with running_endpoint(failing(500), saying(SENTENCE)) as endpoint, receiving() as receiver:
        settings = settings_for(
            tmp_path,
            models_dir,
            llm=LLMSettings(base_url=endpoint.url, model="writer", output=LLMOutput.TEXT),
            tracing=TracingSettings(endpoint=receiver.url),
        )
        assert asyncio.run(use(settings)) == [200, 200, 200, 200]
        spans = receiver.spans()
        assert not any(b"zebulon" in body or b"upstream is healthy" in body for body in receiver.bodies)
    assert_nested(spans)
    roots = {span.name: span for span in spans if span.parent_span_id.hex() in ("", CALLERS_SPAN)}
    assert set(roots) == {"search", "context", "answer"}
    assert roots["search"].trace_id.hex() == CALLER
    below = {
        name: [span for span in spans if span.trace_id == root.trace_id and span is not root]
        for name, root in roots.items()
    }
    search = {span.name.split()[0] for span in below["search"]}
    assert {"retrieval", "embeddings", "search", "rerank"} <= search
    assert any(span.name == "retrieval default" for span in below["context"])
    answer = {span.name: span for span in below["answer"]}
    assert {"retrieval default", "generate", "verify", "chat writer"} <= set(answer)
    assert answer["chat writer"].parent_span_id == answer["generate"].span_id
    assert attributes(answer["chat writer"])["plumbline.attempts"] == 2
    embeddings = next(span for span in below["search"] if span.name.startswith("embeddings "))
    assert attributes(embeddings)["gen_ai.operation.name"] == "embeddings"
