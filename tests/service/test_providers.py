"""The chat model against a real HTTP endpoint that behaves well, badly and not at all."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace

import pytest
import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from service.errors import ModelFailure, ModelFailureReason
from service.generation.llm import ChatMessage, ChatModel, ChatRequest, Usage
from service.generation.providers import OpenAIChatModel, open_chat_model
from service.generation.resilience import Breaker, ResiliencePolicy, Retries, Slots, resilient
from service.settings import LLMSettings
from tests.fakes import ScriptedModel, saying

MESSAGES = (ChatMessage("system", "Be brief."), ChatMessage("user", "Hello?"))
USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
Reply = Callable[[dict[str, object]], Response]


def line(content: str | None = None, *, usage: object = None, choices: bool = True) -> str:
    delta = {"index": 0, "delta": {} if content is None else {"content": content}, "finish_reason": None}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return f"data: {json.dumps({**chunk, 'choices': [delta] if choices else [], 'usage': usage})}\n\n"


def streaming(*lines: str) -> Reply:
    return lambda _: StreamingResponse(iter(lines), media_type="text/event-stream")


GOOD = streaming(line(""), line("Hel"), line("lo"), line(None), line(usage=USAGE, choices=False), "data: [DONE]\n\n")


def failing(status: int, headers: dict[str, str] | None = None, code: str = "x") -> Reply:
    return lambda _: JSONResponse({"error": {"message": "no", "code": code}}, status, headers)


@dataclass
class Endpoint:
    """Answers each call with the next reply, the last one again and again."""

    replies: list[Reply] = field(default_factory=list)
    bodies: list[dict[str, object]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)
    """Set when a client left in the middle of a stream."""
    url: str = ""

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        self.bodies.append(body)
        self.keys.append(request.headers.get("authorization"))
        return self.replies[min(len(self.bodies), len(self.replies)) - 1](body)

    def endless(self, pause_s: float, *first: str) -> Reply:
        async def lines() -> AsyncIterator[str]:
            try:
                for known in first:
                    yield known
                while True:
                    await asyncio.sleep(pause_s)
                    yield line("x ")
            finally:
                self.left.set()

        return lambda _: StreamingResponse(lines(), media_type="text/event-stream")


@contextmanager
def serving(app: Starlette) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            for _ in range(500):
                if server.started:
                    break
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            thread.join(10)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    fake = Endpoint()
    with serving(Starlette(routes=[Route("/v1/chat/completions", fake.chat, methods=["POST"])])) as url:
        fake.url = url
        yield fake


def settings_for(endpoint: Endpoint, **changes: float) -> LLMSettings:
    values = {"connect_timeout_s": 2.0, "first_token_timeout_s": 5.0, "total_timeout_s": 10.0, **changes}
    return LLMSettings.model_validate({"base_url": endpoint.url, "api_key": SecretStr("k"), "model": "m", **values})


async def drain(model: ChatModel) -> tuple[str, Usage | None]:
    text, usage = "", None
    async with aclosing(model.stream(ChatRequest(MESSAGES, 50))) as deltas:
        async for delta in deltas:
            text += delta.text
            usage = delta.usage or usage
    return text, usage


def call(settings: LLMSettings, policy: ResiliencePolicy | None = None) -> tuple[str, Usage | None]:
    """One call; resilient where a policy is given."""

    async def run() -> tuple[str, Usage | None]:
        endpoint = OpenAIChatModel(settings)
        try:
            return await drain(endpoint if policy is None else resilient(endpoint, policy))
        finally:
            await endpoint.close()

    return asyncio.run(asyncio.wait_for(run(), 20))


def reason_of(settings: LLMSettings, policy: ResiliencePolicy | None = None) -> ModelFailureReason:
    with pytest.raises(ModelFailure) as caught:
        call(settings, policy)
    return caught.value.reason


QUICK = ResiliencePolicy(first_token_timeout_s=5, total_timeout_s=10, backoff_s=0.01, max_backoff_s=0.2)


def test_a_stream_is_read_with_its_usage(endpoint: Endpoint) -> None:
    endpoint.replies = [GOOD]
    assert call(settings_for(endpoint)) == ("Hello", Usage(12, 3))
    (body,) = endpoint.bodies
    assert (body["model"], body["max_tokens"], body["stream"]) == ("m", 50, True)
    assert body["stream_options"] == {"include_usage": True}
    assert endpoint.keys == ["Bearer k"]


@pytest.mark.parametrize(("finish", "cut_off"), [("stop", False), ("length", True), (None, False)])
def test_a_stream_that_ends_at_the_limit_says_so(endpoint: Endpoint, finish: str | None, cut_off: bool) -> None:
    last = json.loads(line()[len("data: ") :])
    last["choices"][0]["finish_reason"] = finish
    endpoint.replies = [streaming(line("Hel"), f"data: {json.dumps(last)}\n\n", "data: [DONE]\n\n")]

    async def run() -> list[bool]:
        model = OpenAIChatModel(settings_for(endpoint))
        try:
            stream = resilient(model, QUICK).stream(ChatRequest(MESSAGES, 2))
            return [delta.cut_off async for delta in stream]
        finally:
            await model.close()

    assert any(asyncio.run(asyncio.wait_for(run(), 20))) is cut_off


def test_an_endpoint_without_stream_options_is_asked_again_without(endpoint: Endpoint) -> None:
    def picky(body: dict[str, object]) -> Response:
        if "stream_options" in body:
            return JSONResponse({"error": {"message": "unknown field stream_options"}}, 400)
        return StreamingResponse(iter([line("Hi"), "data: [DONE]\n\n"]), media_type="text/event-stream")

    endpoint.replies = [picky]
    assert call(settings_for(endpoint)) == ("Hi", None)
    assert len(endpoint.bodies) == 2


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (failing(500), ModelFailureReason.SERVER_ERROR),
        (failing(503), ModelFailureReason.SERVER_ERROR),
        (failing(429), ModelFailureReason.RATE_LIMITED),
        (failing(408), ModelFailureReason.TIMEOUT),
        (failing(400), ModelFailureReason.REJECTED),
        (failing(401), ModelFailureReason.REJECTED),
        (failing(404), ModelFailureReason.REJECTED),
        (streaming("data: {not json\n\n"), ModelFailureReason.SERVER_ERROR),
        (streaming('data: {"error": {"message": "boom"}}\n\n'), ModelFailureReason.SERVER_ERROR),
        (streaming("data: [1, 2]\n\n"), ModelFailureReason.SERVER_ERROR),
        (streaming('data: {"choices": [{"delta": 7}]}\n\n'), ModelFailureReason.SERVER_ERROR),
        (streaming('data: {"choices": 7}\n\n'), ModelFailureReason.SERVER_ERROR),
    ],
)
def test_every_bad_reply_is_a_model_failure(endpoint: Endpoint, reply: Reply, reason: ModelFailureReason) -> None:
    endpoint.replies = [reply]
    assert reason_of(settings_for(endpoint)) is reason


@pytest.mark.parametrize("reply", [lambda _: PlainTextResponse(""), lambda _: PlainTextResponse("<html>hi</html>")])
def test_an_empty_or_foreign_body_is_no_text(endpoint: Endpoint, reply: Reply) -> None:
    endpoint.replies = [reply]
    assert call(settings_for(endpoint))[0] == ""


def test_nobody_listening_is_unreachable(endpoint: Endpoint) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        assert reason_of(LLMSettings(base_url=url, connect_timeout_s=1)) is ModelFailureReason.UNREACHABLE


def test_a_retry_follows_a_server_error(endpoint: Endpoint) -> None:
    endpoint.replies = [failing(500), GOOD]
    assert call(settings_for(endpoint), QUICK)[0] == "Hello"
    assert len(endpoint.bodies) == 2


def test_retries_are_bounded(endpoint: Endpoint) -> None:
    endpoint.replies = [failing(500)]
    assert reason_of(settings_for(endpoint), QUICK) is ModelFailureReason.SERVER_ERROR
    assert len(endpoint.bodies) == 3


def test_retry_after_is_honoured(endpoint: Endpoint) -> None:
    endpoint.replies = [failing(429, {"Retry-After": "0.15"}), GOOD]
    started = time.monotonic()
    assert call(settings_for(endpoint), QUICK)[0] == "Hello"
    assert time.monotonic() - started >= 0.15


def test_a_retry_after_that_is_too_long_fails_at_once(endpoint: Endpoint) -> None:
    endpoint.replies = [failing(429, {"Retry-After": "3600"})]
    assert reason_of(settings_for(endpoint), QUICK) is ModelFailureReason.RATE_LIMITED
    assert len(endpoint.bodies) == 1


@pytest.mark.parametrize("reply", [failing(400), failing(429, code="insufficient_quota")])
def test_what_will_not_mend_is_not_retried(endpoint: Endpoint, reply: Reply) -> None:
    endpoint.replies = [reply]
    reason_of(settings_for(endpoint), QUICK)
    assert len(endpoint.bodies) == 1


def test_a_slow_first_token_is_a_time_out_and_closes_the_call(endpoint: Endpoint) -> None:
    endpoint.replies = [endpoint.endless(60)]
    policy = replace(QUICK, first_token_timeout_s=0.2, max_retries=0)
    assert reason_of(settings_for(endpoint), policy) is ModelFailureReason.TIMEOUT
    assert endpoint.left.wait(5)


def test_an_endless_answer_ends_at_the_deadline(endpoint: Endpoint) -> None:
    endpoint.replies = [endpoint.endless(0.01, line("Once"))]
    policy = replace(QUICK, total_timeout_s=0.4)
    assert reason_of(settings_for(endpoint), policy) is ModelFailureReason.TIMEOUT
    assert len(endpoint.bodies) == 1
    assert endpoint.left.wait(5)


def test_a_reader_that_leaves_closes_the_connection(endpoint: Endpoint) -> None:
    endpoint.replies = [endpoint.endless(0.01, line("Once"))]

    async def run() -> None:
        client = OpenAIChatModel(settings_for(endpoint))
        stream = resilient(client, QUICK).stream(ChatRequest(MESSAGES, 50))
        async for delta in stream:
            assert delta.text == "Once"
            break
        await stream.aclose()
        await client.close()

    asyncio.run(asyncio.wait_for(run(), 10))
    assert endpoint.left.wait(5)


def test_nothing_configured_is_no_model(endpoint: Endpoint) -> None:
    assert open_chat_model(LLMSettings()) is None
    opened = open_chat_model(settings_for(endpoint))
    assert opened is not None
    model, client = opened
    assert model.name == "m"
    asyncio.run(client.close())


FAILURE = ModelFailure(ModelFailureReason.SERVER_ERROR, "broken", retryable=True)


def test_there_is_no_retry_after_the_first_text() -> None:
    model = ScriptedModel([["Half", FAILURE], ["Whole"]])
    with pytest.raises(ModelFailure):
        asyncio.run(drain(Retries(model, QUICK)))
    assert len(model.calls) == 1


def test_at_most_so_many_calls_run_at_one_time() -> None:
    async def run() -> ScriptedModel:
        gate = asyncio.Event()
        model = ScriptedModel([["a", gate, "b"]])
        limited = Slots(model, 2)
        calls = [asyncio.create_task(drain(limited)) for _ in range(5)]
        while model.running < 2:
            await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*calls)
        return model

    model = asyncio.run(asyncio.wait_for(run(), 10))
    assert (model.most_running, len(model.calls)) == (2, 5)


def test_the_breaker_opens_and_lets_one_call_try() -> None:
    now = [0.0]
    model = ScriptedModel([[FAILURE], [FAILURE], [FAILURE], ["well"]])
    breaker = Breaker(model, 2, 30.0, clock=lambda: now[0])

    async def failing_call() -> None:
        with pytest.raises(ModelFailure) as caught:
            await drain(breaker)
        assert caught.value.reason is ModelFailureReason.SERVER_ERROR

    async def run() -> None:
        await failing_call()
        assert not breaker.is_open
        await failing_call()
        assert breaker.is_open
        await failing_call()
        assert len(model.calls) == 2  # the third never reached the endpoint
        now[0] = 31.0
        await failing_call()  # the probe fails and the pause begins anew
        assert len(model.calls) == 3
        assert breaker.is_open
        now[0] = 62.0
        assert (await drain(breaker))[0] == "well"
        assert not breaker.is_open

    asyncio.run(run())


def test_a_rejected_request_does_not_open_the_breaker() -> None:
    model = ScriptedModel([[ModelFailure(ModelFailureReason.REJECTED, "too long")]])
    breaker = Breaker(model, 1, 30.0)
    for _ in range(3):
        with pytest.raises(ModelFailure):
            asyncio.run(drain(breaker))
    assert not breaker.is_open


def test_a_healthy_model_passes_through_all_wrappers() -> None:
    assert asyncio.run(drain(resilient(saying("a", "b"), QUICK)))[0] == "ab"
