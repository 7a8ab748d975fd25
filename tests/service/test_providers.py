"""The chat model against a real HTTP endpoint that behaves well, badly and not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from service.errors import ModelFailureReason as Reason
from service.generation.models.llm import ChatModel, Usage
from service.settings import LLMSettings
from tests.chat_endpoint import DONE, GOOD, SCENARIOS, Do, Endpoint, Reply, deaf, failing, line, nobody, streaming
from tests.chat_endpoint import running_endpoint as running
from tests.service.model_parts import ONCE, QUICK, REQUEST, call, drain, failure, failure_of, settings_for, with_model

HASTY = replace(ONCE, first_token_timeout_s=0.3, stall_timeout_s=0.3, total_timeout_s=1.0)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with running() as endpoint:
        yield endpoint


def test_a_stream_is_read_with_its_usage(endpoint: Endpoint) -> None:
    said = call(settings_for(endpoint.url))
    assert (said.text, said.usages) == ("Hello", [Usage(12, 3)])
    (body,) = endpoint.bodies
    assert (body["model"], body["max_tokens"], body["stream"]) == ("m", 50, True)
    assert body["stream_options"] == {"include_usage": True}
    assert "response_format" not in body
    assert endpoint.keys == ["Bearer k"]


@pytest.mark.parametrize(("finish", "cut_off"), [("stop", False), ("length", True)])
def test_a_stream_that_ends_at_the_limit_says_so(endpoint: Endpoint, finish: str, cut_off: bool) -> None:
    endpoint.replies = [streaming(line("Hel"), line(finish=finish), DONE)]
    assert call(settings_for(endpoint.url), QUICK).cut_off is cut_off


# Every row of the table of failures in docs/models.md: a scenario of the endpoint and where a call to it ends.
FAILURES = {
    "slow-first-token": Reason.TIMEOUT,
    "silent": Reason.TIMEOUT,
    "stalls": Reason.TIMEOUT,
    "murmurs": Reason.TIMEOUT,
    "endless": Reason.SERVER_ERROR,
    "blank-endless": Reason.SERVER_ERROR,
    "cut": Reason.INTERRUPTED,
    "cut-early": Reason.INTERRUPTED,
    "ends-early": Reason.INTERRUPTED,
    "ends-at-once": Reason.INTERRUPTED,
    "empty": Reason.EMPTY,
    "nothing": Reason.EMPTY,
    "bad-json": Reason.SERVER_ERROR,
    "bad-shape": Reason.SERVER_ERROR,
    "no-object": Reason.SERVER_ERROR,
    "bad-delta": Reason.SERVER_ERROR,
    "error-event": Reason.SERVER_ERROR,
    "web-page": Reason.SERVER_ERROR,
    "error-page": Reason.SERVER_ERROR,
    "not-streamed": Reason.SERVER_ERROR,
    "filtered": Reason.DECLINED,
    "rate-limited": Reason.RATE_LIMITED,
    "rate-limited-long": Reason.RATE_LIMITED,
    "no-quota": Reason.RATE_LIMITED,
    "server-error": Reason.SERVER_ERROR,
    "unavailable": Reason.SERVER_ERROR,
    "too-slow": Reason.TIMEOUT,
    "wrong-request": Reason.REJECTED,
    "wrong-key": Reason.REJECTED,
    "no-such-model": Reason.REJECTED,
}
HEALTHY = {"good": "Hello", "plain-type": "Hello", "no-usage": "Hello", "usage-always": "Hello", "cut-off": "Hel"}


@pytest.mark.parametrize(("scenario", "reason"), FAILURES.items(), ids=FAILURES)
def test_every_fault_ends_in_its_reason(endpoint: Endpoint, scenario: str, reason: Reason) -> None:
    endpoint.replies = [SCENARIOS[scenario]]
    assert failure(settings_for(endpoint.url), HASTY).reason is reason
    assert len(endpoint.bodies) == 1


@pytest.mark.parametrize(("scenario", "text"), HEALTHY.items(), ids=HEALTHY)
def test_what_is_odd_but_whole_is_an_answer(endpoint: Endpoint, scenario: str, text: str) -> None:
    endpoint.replies = [SCENARIOS[scenario]]
    assert call(settings_for(endpoint.url), HASTY).text == text


def test_no_scenario_is_left_untold() -> None:
    assert set(SCENARIOS) == {*FAILURES, *HEALTHY}


@pytest.mark.parametrize("scenario", ["slow-first-token", "silent", "stalls", "murmurs", "endless"])
def test_a_call_that_is_given_up_is_closed(endpoint: Endpoint, scenario: str) -> None:
    endpoint.replies = [SCENARIOS[scenario]]
    failure(settings_for(endpoint.url), HASTY)
    assert endpoint.left.wait(10)


def test_the_deadline_ends_an_answer_that_keeps_coming(endpoint: Endpoint) -> None:
    endpoint.replies = [SCENARIOS["endless"]]
    patient = replace(HASTY, first_token_timeout_s=9, stall_timeout_s=9, total_timeout_s=0.3)

    async def work(model: ChatModel) -> Reason:
        return (await failure_of(drain(model, replace(REQUEST, max_output_tokens=100_000)))).reason

    assert with_model(settings_for(endpoint.url), work, patient) is Reason.TIMEOUT
    assert endpoint.left.wait(10)


def test_nobody_listening_is_unreachable() -> None:
    assert failure(LLMSettings(base_url=nobody(), connect_timeout_s=1)).reason is Reason.UNREACHABLE


def test_a_connection_that_is_never_made_is_unreachable() -> None:
    with deaf() as url:
        settings = LLMSettings(base_url=url, connect_timeout_s=0.3)
        assert failure(settings, replace(ONCE, first_token_timeout_s=5)).reason is Reason.UNREACHABLE


def test_a_reader_that_leaves_closes_the_connection(endpoint: Endpoint) -> None:
    endpoint.replies = [SCENARIOS["stalls"]]

    async def work(model: ChatModel) -> None:
        stream = model.stream(REQUEST)
        assert (await anext(stream)).text == "Once"
        await stream.aclose()

    with_model(settings_for(endpoint.url), work, QUICK)
    assert endpoint.left.wait(10)


def test_a_task_that_is_cancelled_closes_the_connection(endpoint: Endpoint) -> None:
    endpoint.replies = [SCENARIOS["silent"]]

    async def work(model: ChatModel) -> None:
        task = asyncio.create_task(drain(model))
        await asyncio.to_thread(endpoint.begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with_model(settings_for(endpoint.url), work, QUICK)
    assert endpoint.left.wait(10)


@pytest.mark.parametrize("first", ["server-error", "unavailable", "rate-limited", "empty", "bad-json", "cut-early"])
def test_a_retry_follows_what_may_pass(endpoint: Endpoint, first: str) -> None:
    endpoint.replies = [SCENARIOS[first], GOOD]
    assert call(settings_for(endpoint.url), QUICK).text == "Hello"
    assert len(endpoint.bodies) == 2


@pytest.mark.parametrize("first", ["wrong-request", "wrong-key", "no-quota", "rate-limited-long", "filtered", "cut"])
def test_no_retry_follows_what_will_not_or_was_shown(endpoint: Endpoint, first: str) -> None:
    endpoint.replies = [SCENARIOS[first], GOOD]
    failure(settings_for(endpoint.url), QUICK)
    assert len(endpoint.bodies) == 1


def test_retries_are_bounded(endpoint: Endpoint) -> None:
    endpoint.replies = [SCENARIOS["server-error"]]
    assert failure(settings_for(endpoint.url), QUICK).reason is Reason.SERVER_ERROR
    assert len(endpoint.bodies) == 3


def test_retry_after_is_read_in_both_forms(endpoint: Endpoint) -> None:
    def told(header: str) -> float | None:
        endpoint.replies = [failing(503, {"Retry-After": header})]
        return failure(settings_for(endpoint.url)).retry_after_s

    assert told("1.5") == 1.5
    assert told("-3") == 0
    assert told("soon") is None
    later = told(format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True))
    assert later is not None
    assert 3500 < later <= 3600
    assert told("Wed, 21 Oct 2015 07:28:00 GMT") == 0


@pytest.mark.parametrize(
    ("option", "rejection", "instead"),
    [
        ("stream_options", failing(400, message="unknown field stream_options"), None),
        ("temperature", failing(400, code="unsupported_value", message="'temperature' does not support 0.0"), None),
        (
            "max_tokens",
            failing(400, code="unsupported_parameter", message="'max_tokens': use 'max_completion_tokens' instead"),
            "max_completion_tokens",
        ),
    ],
)
def test_an_option_that_is_not_known_is_left_out_from_then_on(
    endpoint: Endpoint, option: str, rejection: Reply, instead: str | None
) -> None:
    def picky(body: dict[str, Any]) -> Reply:
        return rejection if option in body else GOOD

    endpoint.replies = [picky]

    async def twice(model: ChatModel) -> list[str]:
        return [(await drain(model)).text for _ in range(2)]

    assert with_model(settings_for(endpoint.url), twice) == ["Hello", "Hello"]
    assert [option in body for body in endpoint.bodies] == [True, False, False]
    assert instead is None or endpoint.bodies[-1][instead] == 50


def test_a_limit_that_is_too_high_is_a_rejection(endpoint: Endpoint) -> None:
    endpoint.replies = [failing(400, message="max_tokens is too large: 50")]
    assert failure(settings_for(endpoint.url)).reason is Reason.REJECTED
    assert len(endpoint.bodies) == 1


def test_a_refusal_of_the_model_is_told(endpoint: Endpoint) -> None:
    said = line("x").replace('"content": "x"', '"refusal": "I cannot help with that."')
    endpoint.replies = [streaming(said, line(finish="stop"), DONE)]
    assert failure(settings_for(endpoint.url)).reason is Reason.DECLINED


def test_a_failure_never_repeats_what_the_endpoint_said(endpoint: Endpoint) -> None:
    endpoint.replies = [failing(400, message="the prompt was: SECRET")]
    assert "SECRET" not in failure(settings_for(endpoint.url)).detail


def test_many_calls_share_one_client(endpoint: Endpoint) -> None:
    async def work(model: ChatModel) -> list[str]:
        return [said.text for said in await asyncio.gather(*(drain(model) for _ in range(20)))]

    assert with_model(settings_for(endpoint.url), work, QUICK) == ["Hello"] * 20


def test_the_limits_are_on_silence() -> None:
    with running(streaming(*(line("a ") for _ in range(30)), line(finish="stop"), DONE)) as endpoint:
        assert call(settings_for(endpoint.url), HASTY).text == "a " * 30


def test_holding_after_the_last_text_is_a_stall(endpoint: Endpoint) -> None:
    endpoint.replies = [streaming(line("All."), line(finish="stop"), Do.HOLD)]
    assert failure(settings_for(endpoint.url), HASTY).reason is Reason.TIMEOUT


@pytest.mark.parametrize("said", ["All of it. [1]", '{"a": []}', "```\nls\n```\n"])
def test_a_server_that_never_tells_why_it_stopped_is_taken_at_its_last_character(endpoint: Endpoint, said: str) -> None:
    endpoint.replies = [streaming(line(said), DONE)]
    assert call(settings_for(endpoint.url)).text == said
    endpoint.replies = [streaming(line(said), line("Then do not re"), DONE)]
    assert failure(settings_for(endpoint.url), ONCE).reason is Reason.INTERRUPTED
