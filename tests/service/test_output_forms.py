"""JSON output, found out once per endpoint: what is tried, what is remembered, and what is never concluded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from service.errors import ModelFailureReason as Reason
from service.generation.models.llm import ChatModel
from service.generation.models.output_forms import OutputForm, OutputForms
from service.settings import LLMOutput
from tests.chat_endpoint import DONE, Endpoint, Reply, failing, line, saying, streaming, structured_only
from tests.chat_endpoint import running_endpoint as running
from tests.service.model_parts import REQUEST, SCHEMA, STRUCTURED, Said, drain, failure_of, settings_for, with_model

JSON = '{"a": "Hello"}'


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with running() as endpoint:
        yield endpoint


def asked(endpoint: Endpoint) -> list[str]:
    """The forms that reached the endpoint, in order."""
    return [body.get("response_format", {"type": "text"})["type"] for body in endpoint.bodies]


def calls(endpoint: Endpoint, times: int, output: LLMOutput = LLMOutput.AUTO) -> list[Said]:
    async def work(model: ChatModel) -> list[Said]:
        return [await drain(model, STRUCTURED) for _ in range(times)]

    return with_model(settings_for(endpoint.url, output=output), work)


def test_a_schema_is_sent_strictly_with_its_own_wording(endpoint: Endpoint) -> None:
    endpoint.replies = [structured_only("json_schema", JSON)]
    (said,) = calls(endpoint, 1)
    assert (said.text, said.structured) == (JSON, {True})
    (body,) = endpoint.bodies
    assert body["messages"] == [{"role": "user", "content": "JSON, please."}]
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "a", "strict": True, "schema": SCHEMA},
    }


def test_the_form_of_llama_cpp_is_tried_next(endpoint: Endpoint) -> None:
    endpoint.replies = [structured_only("json_object", JSON)]
    assert [said.text for said in calls(endpoint, 4)] == [JSON] * 4
    assert endpoint.bodies[1]["response_format"] == {"type": "json_object", "schema": SCHEMA}
    # a server error may have been an accident: it takes two
    assert asked(endpoint) == ["json_schema", "json_object"] * 2 + ["json_object"] * 2


@pytest.mark.parametrize("status", [400, 404, 415, 422])
def test_an_endpoint_without_schemas_is_asked_plainly_from_then_on(endpoint: Endpoint, status: int) -> None:
    endpoint.replies = [structured_only("nothing", JSON, otherwise=status)]
    said = calls(endpoint, 2)
    assert [(one.text, one.structured) for one in said] == [("plain [1].", {False})] * 2
    assert asked(endpoint) == ["json_schema", "json_object", "text", "text"]
    assert endpoint.bodies[-1]["messages"][0]["content"] == "Be brief."


@pytest.mark.parametrize("status", [500, 501])
def test_server_errors_count_when_they_come_again(endpoint: Endpoint, status: int) -> None:
    endpoint.replies = [structured_only("nothing", JSON, otherwise=status)]
    calls(endpoint, 3)
    assert asked(endpoint) == ["json_schema", "json_object", "text"] * 2 + ["text"]


def test_an_error_inside_the_stream_is_a_rejection_too(endpoint: Endpoint) -> None:
    broken = streaming('data: {"error": {"message": "no grammar", "code": 500}}\n\n')
    endpoint.replies = [broken, saying(JSON)]
    (said,) = calls(endpoint, 1)
    assert (said.text, said.structured) == (JSON, {True})
    assert asked(endpoint) == ["json_schema", "json_object"]


@pytest.mark.parametrize("status", [401, 403, 408, 429, 502, 503])
def test_other_faults_are_no_rejections_of_the_form(endpoint: Endpoint, status: int) -> None:
    endpoint.replies = [failing(status), saying(JSON)]

    async def work(model: ChatModel) -> Said:
        await failure_of(drain(model, STRUCTURED))
        return await drain(model, STRUCTURED)

    assert with_model(settings_for(endpoint.url), work).structured == {True}
    assert asked(endpoint) == ["json_schema", "json_schema"]


@pytest.mark.parametrize("status", [400, 500])
def test_where_everything_fails_nothing_is_learnt(endpoint: Endpoint, status: int) -> None:
    endpoint.replies = [failing(status)] * 6 + [structured_only("json_schema", JSON)]

    async def work(model: ChatModel) -> Said:
        for _ in range(2):
            reason = (await failure_of(drain(model, STRUCTURED))).reason
            assert reason is (Reason.SERVER_ERROR if status == 500 else Reason.REJECTED)
        return await drain(model, STRUCTURED)

    assert with_model(settings_for(endpoint.url), work).structured == {True}
    assert asked(endpoint) == ["json_schema", "json_object", "text"] * 2 + ["json_schema"]


@pytest.mark.parametrize("text", ["Hello [1].", "\n  Hello", "```json\n{}```", "[1, 2]"])
def test_a_form_that_is_ignored_is_seen(endpoint: Endpoint, text: str) -> None:
    endpoint.replies = [saying(*text)]  # a character at a time
    said = calls(endpoint, 2)
    assert [(one.text, one.structured) for one in said] == [(text, {False})] * 2
    assert asked(endpoint) == ["json_schema", "text"]


def test_blanks_before_the_json_are_no_text(endpoint: Endpoint) -> None:
    endpoint.replies = [saying(" ", "\n", JSON)]
    said = calls(endpoint, 2)
    assert [one.structured for one in said] == [{True}] * 2
    assert asked(endpoint) == ["json_schema"] * 2


def test_an_answer_of_blanks_alone_teaches_nothing(endpoint: Endpoint) -> None:
    endpoint.replies = [streaming(line(" \n"), line(finish="length"), DONE), saying(JSON)]
    assert [one.structured for one in calls(endpoint, 2)] == [{False}, {True}]


def test_text_never_asks_for_a_schema(endpoint: Endpoint) -> None:
    calls(endpoint, 2, LLMOutput.TEXT)
    assert asked(endpoint) == ["text", "text"]


def test_schema_never_asks_for_text(endpoint: Endpoint) -> None:
    endpoint.replies = [failing(400)]

    async def work(model: ChatModel) -> Reason:
        return (await failure_of(drain(model, STRUCTURED))).reason

    assert with_model(settings_for(endpoint.url, output=LLMOutput.SCHEMA), work) is Reason.REJECTED
    assert asked(endpoint) == ["json_schema", "json_object"]


def test_schema_goes_on_asking_where_it_is_ignored(endpoint: Endpoint) -> None:
    endpoint.replies = [saying("plain")]
    assert [one.structured for one in calls(endpoint, 2, LLMOutput.SCHEMA)] == [{False}] * 2
    assert asked(endpoint) == ["json_schema"] * 2


def test_a_request_without_a_schema_is_plain_and_teaches_nothing(endpoint: Endpoint) -> None:
    endpoint.replies = [saying("plain"), saying(JSON)]

    async def work(model: ChatModel) -> list[Said]:
        return [await drain(model, REQUEST), await drain(model, STRUCTURED)]

    assert [one.structured for one in with_model(settings_for(endpoint.url), work)] == [{False}, {True}]
    assert asked(endpoint) == ["text", "json_schema"]


def test_calls_at_one_time_all_end_well_and_agree(endpoint: Endpoint) -> None:
    endpoint.replies = [structured_only("json_object", JSON, otherwise=400)]

    async def work(model: ChatModel) -> tuple[list[Said], int]:
        said = await asyncio.gather(*(drain(model, STRUCTURED) for _ in range(8)))
        before = len(endpoint.bodies)
        await drain(model, STRUCTURED)
        return said, len(endpoint.bodies) - before

    said, more = with_model(settings_for(endpoint.url), work)
    assert [one.text for one in said] == [JSON] * 8
    assert more == 1


def test_two_endpoints_are_learnt_apart(endpoint: Endpoint) -> None:
    endpoint.replies = [structured_only("nothing", JSON, otherwise=400)]
    with running(structured_only("json_schema", JSON)) as other:
        assert calls(endpoint, 1)[0].structured == {False}
        assert calls(other, 1)[0].structured == {True}
    assert asked(other) == ["json_schema"]


@pytest.mark.parametrize(
    ("told", "known"),
    [
        ([("json_schema", ())], OutputForm.JSON_SCHEMA),
        ([("text", (400, 400))], OutputForm.TEXT),
        ([("text", (500, 500))], None),
        ([("text", (500, 500)), ("json_schema", ())], OutputForm.JSON_SCHEMA),
        ([("text", (400, 400)), ("json_schema", ())], OutputForm.JSON_SCHEMA),  # a call that had begun before
    ],
)
def test_proof_counts_more_than_inference(told: Sequence[tuple[str, Sequence[int]]], known: OutputForm | None) -> None:
    forms = OutputForms(LLMOutput.AUTO)
    for form, rejections in told:
        forms.worked(OutputForm(form), rejections)
    first = forms.to_try(STRUCTURED.structured)[0]
    assert first is (known or OutputForm.JSON_SCHEMA)


def test_a_server_that_loses_a_form_is_followed(endpoint: Endpoint) -> None:
    """Another model behind the same address: what is known is where to begin, not where to end."""

    def now_without(body: dict[str, Any]) -> Reply:
        return failing(400) if "response_format" in body else saying("plain")

    endpoint.replies = [saying(JSON), now_without]
    assert [one.structured for one in calls(endpoint, 2)] == [{True}, {False}]
