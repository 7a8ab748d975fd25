"""The runtime opens in order, closes in reverse, and the application around it is cheap to import."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from ingestion.corpus.corpus import open_corpus
from ingestion.corpus.records import DocumentId, DocumentSource
from ingestion.corpus.scope import Scope
from ingestion.errors import ConfigurationError, CorpusInUse
from service.access.principals import DEFAULT_TENANT
from service.app import app_for
from service.errors import ModelFailure, ModelFailureReason
from service.generation.answering import Answerer
from service.generation.models.llm import Models
from service.runtime import Runtime, open_runtime, retriever
from service.settings import ServiceSettings
from tests.fakes import ScriptedModel
from tests.service.http_parts import RUNBOOK, events_of, settings_for

SCOPE = Scope(DEFAULT_TENANT)
QUESTION = {"question": "How do I restart the gateway?"}


@pytest.fixture
def settings(tmp_path: Path, models_dir: Path) -> ServiceSettings:
    return settings_for(tmp_path / "data", models_dir)


async def ingest(runtime: Runtime) -> None:
    source = DocumentSource(DocumentId("gateway"), "gateway.md", "gateway.md", RUNBOOK.encode())
    job = runtime.jobs.submit(SCOPE, [source])
    assert (await asyncio.to_thread(runtime.jobs.wait, SCOPE, job.id, 60)).state == "succeeded"


async def call(runtime: Runtime, path: str, body: dict[str, object]) -> httpx.Response:
    """One request to an application around the runtime, without a network between."""
    app = app_for(runtime)

    async def with_state(scope, receive, send):  # type: ignore[no-untyped-def]
        await app({**scope, "state": {"runtime": runtime}}, receive, send)

    transport = httpx.ASGITransport(with_state, client=("127.0.0.1", 1), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.post(path, json=body)


def test_what_was_opened_is_closed(settings: ServiceSettings) -> None:
    threads = set(threading.enumerate())

    async def use() -> None:
        async with open_runtime(settings) as runtime:
            await ingest(runtime)
            with pytest.raises(CorpusInUse), open_corpus(settings):
                pass

    asyncio.run(use())

    with open_corpus(settings) as corpus:
        assert corpus.count_documents(SCOPE) == 1
    left = [thread.name for thread in set(threading.enumerate()) - threads if not thread.daemon and thread.is_alive()]
    assert left == []


def test_an_open_address_without_a_key_does_not_start(settings: ServiceSettings) -> None:
    opened = settings.model_copy(update={"server": settings.server.model_copy(update={"host": "0.0.0.0"})})

    async def use() -> None:
        async with open_runtime(opened):
            pytest.fail("it started")

    with pytest.raises(ConfigurationError, match="without an API key"):
        asyncio.run(use())
    with open_corpus(settings):
        pass


def test_a_model_writes_and_a_failing_one_degrades(settings: ServiceSettings) -> None:
    """One runtime, several models: the only fake of the suite, at the boundary where a vendor would be."""
    failure = ModelFailure(ModelFailureReason.TIMEOUT, "too slow")
    writing = ScriptedModel([["Drain the host and restart the deployment [1]."]])
    failing = ScriptedModel([[failure]])

    async def use() -> list[httpx.Response]:
        async with open_runtime(settings) as runtime:
            await ingest(runtime)
            found = []
            for model in (writing, failing):
                answerer = Answerer(retriever(runtime.searcher, settings), Models(model), settings)
                with_model = replace(runtime, answerer=answerer)
                found.append(await call(with_model, "/v1/answers", dict(QUESTION)))
                found.append(await call(with_model, "/v1/answers", {**QUESTION, "stream": True}))
            return found

    written, streamed, degraded, streamed_degraded = asyncio.run(use())

    assert written.json()["model"] == "scripted"
    assert written.json()["degraded"] is None
    assert [name for name, _ in events_of(streamed.text)][-1] == "done"
    assert degraded.status_code == 200
    assert degraded.json()["degraded"] == {"reason": "model_timeout", "mode": "extractive"}
    assert degraded.json()["citations"]
    assert json.loads(events_of(streamed_degraded.text)[-1][1])["degraded"]["reason"] == "model_timeout"


class _Broken(Answerer):
    """Fails as no answerer should, after its first event or before it."""

    def __init__(self, inner: Answerer, *, after_first: bool) -> None:
        self._inner, self._after_first = inner, after_first

    async def answer(self, scope, query, answer_id=None) -> AsyncIterator[object]:  # type: ignore[no-untyped-def, override]
        if self._after_first:
            async for event in self._inner.answer(scope, query):
                yield event
                break
        raise RuntimeError("a secret of the inside")


def test_faults_are_told_without_their_details(settings: ServiceSettings) -> None:
    async def use() -> tuple[httpx.Response, httpx.Response, httpx.Response]:
        async with open_runtime(settings) as runtime:
            early = replace(runtime, answerer=_Broken(runtime.answerer, after_first=False))
            late = replace(runtime, answerer=_Broken(runtime.answerer, after_first=True))
            return (
                await call(early, "/v1/answers", dict(QUESTION)),
                await call(early, "/v1/answers", {**QUESTION, "stream": True}),
                await call(late, "/v1/answers", {**QUESTION, "stream": True}),
            )

    whole, early, late = asyncio.run(use())

    for response in (whole, early):
        assert response.status_code == 500
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["code"] == "internal"
    assert late.status_code == 200
    name, data = events_of(late.text)[-1]
    assert name == "error"
    assert json.loads(data)["code"] == "internal"
    assert "secret" not in whole.text + early.text + late.text


def test_a_reader_who_leaves_ends_the_models_call(settings: ServiceSettings) -> None:
    async def use() -> None:
        async with open_runtime(settings) as runtime:
            await ingest(runtime)
            never = asyncio.Event()
            model = ScriptedModel([["Drain the host [1]. ", never]])
            app = app_for(
                replace(runtime, answerer=Answerer(retriever(runtime.searcher, settings), Models(model), settings))
            )
            left = asyncio.Event()
            sent: list[bytes] = []
            body = json.dumps({**QUESTION, "stream": True}).encode()
            messages = iter([{"type": "http.request", "body": body, "more_body": False}])

            async def receive() -> dict[str, object]:
                for message in messages:
                    return message
                await left.wait()
                return {"type": "http.disconnect"}

            async def send(message: dict[str, object]) -> None:
                sent.append(bytes(message.get("body", b"")))  # type: ignore[call-overload]
                if b"event: retrieval" in sent[-1]:
                    left.set()

            scope = {
                **{"type": "http", "method": "POST", "path": "/v1/answers", "query_string": b"", "http_version": "1.1"},
                **{"raw_path": b"/v1/answers", "root_path": "", "scheme": "http", "asgi": {"version": "3.0"}},
                **{"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {"runtime": runtime}},
                "headers": [(b"content-type", b"application/json"), (b"host", b"127.0.0.1")],
            }
            await asyncio.wait_for(app(scope, receive, send), 30)  # type: ignore[arg-type]
            for _ in range(100):
                if model.closed == len(model.calls):
                    break
                await asyncio.sleep(0.02)
            assert model.running == 0
            assert model.closed == len(model.calls)

    asyncio.run(use())


def test_importing_the_application_loads_no_model() -> None:
    heavy = ("torch", "openai", "sentence_transformers", "transformers", "qdrant_client", "qdrant_edge", "unstructured")
    script = f"import service.app, sys; print([name for name in {heavy!r} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "[]"
