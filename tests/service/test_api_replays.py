"""A request that is sent again is answered again, and its model is neither asked nor paid for twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from ingestion.corpus.records import DocumentId, DocumentSource
from ingestion.corpus.scope import Scope
from service.access.principals import DEFAULT_TENANT
from service.app import app_for
from service.ledger.tables import model_calls
from service.runtime import Runtime, open_runtime
from service.settings import LLMSettings
from tests.chat_endpoint import DONE, SCENARIOS, USAGE, Do, Endpoint, line, saying, streaming
from tests.chat_endpoint import running_endpoint as running
from tests.service.http_parts import RUNBOOK, problem, settings_for

SCOPE = Scope(DEFAULT_TENANT)
BODY = {"question": "How do I restart the gateway?"}
SENTENCE = "When the gateway answers 502, drain the host and restart the deployment [1]."
ANSWER = saying(SENTENCE)


class _Broken:
    """An answerer with a fault of its own, the first time only."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._fails = True

    def answer(self, *asked: Any, **more: Any) -> Any:
        if self._fails:
            self._fails = False
            raise RuntimeError("a fault of the service")
        return self._inner.answer(*asked, **more)


@dataclass
class Service:
    """A service in this process with one document in it, and the endpoint that it asks."""

    runner: asyncio.Runner
    runtime: Runtime
    endpoint: Endpoint

    def run(self, work: Callable[[httpx.AsyncClient], Awaitable[None]], **changes: Any) -> None:
        """Run `work` with a client of the service, or of one with parts replaced."""

        async def with_client() -> None:
            async with _client(replace(self.runtime, **changes)) as client:
                await asyncio.wait_for(work(client), 60)

        self.runner.run(with_client())


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Service]:
    with running(ANSWER) as endpoint, asyncio.Runner() as runner:
        llm = LLMSettings(base_url=endpoint.url, model="m", max_retries=0, breaker_failures=100)
        context = open_runtime(settings_for(tmp_path_factory.mktemp("replays"), models_dir, llm=llm))
        runtime = runner.run(context.__aenter__())
        try:
            source = DocumentSource(DocumentId("gateway"), "gateway.md", "gateway.md", RUNBOOK.encode())
            job = runtime.jobs.submit(SCOPE, [source])
            assert runtime.jobs.wait(SCOPE, job.id, 60).state == "succeeded"
            yield Service(runner, runtime, endpoint)
        finally:
            runner.run(context.__aexit__(None, None, None))


@pytest.fixture
def service(opened: Service) -> Service:
    """The service with an endpoint that answers well and was asked nothing yet."""
    endpoint = opened.endpoint
    endpoint.replies = [ANSWER]
    endpoint.bodies.clear()
    for event in (endpoint.begun, endpoint.left, endpoint.over):
        event.clear()
    return opened


def _client(runtime: Runtime) -> httpx.AsyncClient:
    app = app_for(runtime)

    async def with_state(scope, receive, send):  # type: ignore[no-untyped-def]
        await app({**scope, "state": {"runtime": runtime}}, receive, send)

    transport = httpx.ASGITransport(with_state, client=("127.0.0.1", 1), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60)


async def _ask(client: httpx.AsyncClient, key: str, body: dict[str, Any] = BODY) -> httpx.Response:
    return await client.post("/v1/answers", json=body, headers={"Idempotency-Key": key})


def test_a_replay_makes_no_second_call_and_costs_nothing(service: Service) -> None:
    endpoint = service.endpoint

    async def work(client: httpx.AsyncClient) -> None:
        first = await _ask(client, "one")
        calls = len(endpoint.bodies)
        again = await _ask(client, "one")
        assert (first.status_code, again.status_code) == (200, 200)
        assert first.json()["model"] == "m"
        assert first.content == again.content
        assert again.headers["idempotency-replayed"] == "true"
        assert calls > 0
        assert len(endpoint.bodies) == calls
        await _ask(client, "two")
        assert len(endpoint.bodies) > calls

    service.run(work)


def test_while_the_first_runs_a_second_is_told_so(service: Service) -> None:
    endpoint = service.endpoint
    endpoint.replies = [streaming(Do.HOLD, line(SENTENCE), line(finish="stop"), line(usage=USAGE, choices=False), DONE)]

    async def work(client: httpx.AsyncClient) -> None:
        first = asyncio.create_task(_ask(client, "three"))
        assert await asyncio.to_thread(endpoint.begun.wait, 30)
        problem(await _ask(client, "three"), 409, "request_in_progress")
        endpoint.over.set()
        assert (await first).status_code == 200
        calls = len(endpoint.bodies)
        assert (await _ask(client, "three")).content == (await first).content
        assert len(endpoint.bodies) == calls

    service.run(work)


def test_a_request_that_failed_may_be_tried_again(service: Service) -> None:
    async def work(client: httpx.AsyncClient) -> None:
        problem(await _ask(client, "four"), 500, "internal")
        assert service.endpoint.bodies == []
        second = await _ask(client, "four")
        assert second.status_code == 200
        assert "idempotency-replayed" not in second.headers
        assert second.json()["model"] == "m"

    service.run(work, answerer=_Broken(service.runtime.answerer))


def test_what_a_call_cost_is_on_record(service: Service) -> None:
    async def work(client: httpx.AsyncClient) -> None:
        answer_id = (await _ask(client, "five")).json()["answer_id"]
        assert await asyncio.to_thread(service.runtime.recorder.flush)
        with service.runtime.corpus.database.connect() as connection:
            wanted = select(model_calls).where(model_calls.c.answer_id == answer_id)
            last = connection.execute(wanted).one()
        assert (last.tenant, last.purpose) == (DEFAULT_TENANT, "answer")
        assert (last.model, last.tier, last.outcome, last.estimated) == ("m", "fast", "ok", False)
        assert (last.prompt_tokens, last.completion_tokens) == (USAGE["prompt_tokens"], USAGE["completion_tokens"])
        shown = (await client.get("/metrics")).text
        assert 'plumbline_llm_calls_total{model="m",outcome="ok"}' in shown

    service.run(work)


@pytest.mark.parametrize(
    ("scenario", "reason"),
    [
        ("server-error", "model_server_error"),
        ("rate-limited", "model_rate_limited"),
        ("web-page", "model_server_error"),
        ("nothing", "model_empty_answer"),
        ("cut-early", "model_interrupted"),
    ],
)
def test_a_model_that_fails_fails_no_request(service: Service, scenario: str, reason: str) -> None:
    service.endpoint.replies = [SCENARIOS[scenario]]

    async def work(client: httpx.AsyncClient) -> None:
        answer = await _ask(client, scenario, {"question": "What does error code GH-5021 mean?"})
        assert answer.status_code == 200
        assert answer.json()["degraded"] == {"reason": reason, "mode": "extractive"}

    service.run(work)
