"""Every call is billed, whoever ended it and how; what is not known is never 0."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.errors import InvalidRequest
from service.errors import ModelFailure
from service.errors import ModelFailureReason as Reason
from service.generation.models.llm import CallContext, ChatDelta, ChatModel, Usage, complete
from service.generation.models.metering import Meter, Metered
from service.generation.models.pricing import Price
from service.generation.models.resilience import resilient
from service.ledger.model_calls import ModelCall
from service.retrieval.tokens import TokenCounter
from tests.chat_endpoint import SCENARIOS
from tests.chat_endpoint import running_endpoint as running
from tests.fakes import ScriptedModel, Step
from tests.service.model_parts import (
    MESSAGES,
    QUICK,
    REQUEST,
    STRUCTURED,
    Said,
    drain,
    failure_of,
    run,
    settings_for,
    with_model,
)

PRICE = Price(model="m", input_usd=1, cached_input_usd=0.1, output_usd=10, source="a test", date=date(2026, 11, 1))
CONTEXT = CallContext("acme", "answer-1", "answer", "fast", "answer@3")
COUNTER = TokenCounter()
PROMPT_TOKENS = 3 + sum(3 + COUNTER.count(message.content) for message in MESSAGES)


class Kept(list[ModelCall]):
    """Keeps calls at once."""

    def record(self, tell: Callable[[], ModelCall]) -> None:
        self.append(tell())


def metered(model: ChatModel, kept: Kept | None = None, price: Price | None = PRICE) -> Metered:
    return Metered(model, Meter("m", "strong", price, COUNTER.count), None if kept is None else kept.record)


def scripted(*script: Step) -> ScriptedModel:
    return ScriptedModel([script])


def test_what_the_endpoint_told_is_priced_and_kept() -> None:
    kept = Kept()
    model = metered(scripted("Hello", Usage(1000, 20, cached_prompt_tokens=400)), kept)
    said = run(drain(model, replace(REQUEST, context=CONTEXT)))

    cost = (600 * 1 + 400 * 0.1 + 20 * 10) / 1_000_000
    assert said.usages == [Usage(1000, 20, cost, cached_prompt_tokens=400)]
    (call,) = kept
    assert (call.tenant, call.answer_id, call.purpose, call.tier) == ("acme", "answer-1", "answer", "fast")
    assert (call.model, call.prompt_version, call.outcome, call.estimated) == ("m", "answer@3", "ok", False)
    assert (call.prompt_tokens, call.completion_tokens, call.cost_usd) == (1000, 20, cost)
    assert call.duration_ms > 0


def test_what_was_not_told_is_counted_here() -> None:
    kept = Kept()
    said = run(drain(metered(scripted("Hello", " there"), kept)))
    tokens = COUNTER.count("Hello there")
    assert said.usages == [Usage(PROMPT_TOKENS, tokens, (PROMPT_TOKENS + tokens * 10) / 1_000_000, estimated=True)]
    assert kept[0].estimated
    assert (kept[0].tenant, kept[0].tier) == ("unknown", "strong")


def test_usage_with_every_piece_is_told_once() -> None:
    piece = [ChatDelta("Hel", Usage(12, 1)), ChatDelta("lo", Usage(12, 2)), Usage(12, 2)]
    said = run(drain(metered(scripted(*piece))))
    assert (said.text, said.usages) == ("Hello", [Usage(12, 2, PRICE.cost_usd(Usage(12, 2)))])


@pytest.mark.parametrize("told", [Usage(0, 0), Usage(None, 2), Usage(5, None), Usage(5, 0)])
def test_half_of_it_or_nothing_is_not_told(told: Usage) -> None:
    (usage,) = run(drain(metered(scripted("Hello there", told)))).usages
    assert usage.prompt_tokens == (told.prompt_tokens or PROMPT_TOKENS)
    assert usage.completion_tokens == max(told.completion_tokens or 0, COUNTER.count("Hello there"))
    assert usage.estimated


def test_a_model_without_a_price_costs_nobody_knows_what() -> None:
    kept = Kept()
    (usage,) = run(drain(metered(scripted("Hello", Usage(5, 2)), kept, None))).usages
    assert (usage.cost_usd, kept[0].cost_usd) == (None, None)


@pytest.mark.parametrize("how", ["closed", "cancelled"])
def test_who_leaves_is_billed_for_what_came(how: str) -> None:
    async def work() -> tuple[Kept, int]:
        kept, model = Kept(), scripted("Hello", asyncio.Event())
        limited = resilient(model, QUICK, lambda paced: metered(paced, kept))
        if how == "closed":
            stream = limited.stream(REQUEST)
            await anext(stream)
            await stream.aclose()
        else:
            seen = asyncio.Event()

            async def read() -> None:
                async for _ in limited.stream(REQUEST):
                    seen.set()

            task = asyncio.create_task(read())
            await seen.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return kept, model.closed

    kept, closed = run(work())
    (call,) = kept
    assert (call.outcome, call.estimated, closed) == ("closed", True, 1)
    assert (call.prompt_tokens, call.completion_tokens) == (PROMPT_TOKENS, COUNTER.count("Hello"))


def test_who_leaves_before_the_first_word_is_billed_for_the_question() -> None:
    async def work() -> Kept:
        kept = Kept()
        task = asyncio.create_task(drain(metered(model := scripted(asyncio.Event()), kept)))
        while not model.running:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return kept

    (call,) = run(work())
    assert (call.outcome, call.prompt_tokens, call.completion_tokens) == ("closed", PROMPT_TOKENS, 0)


def test_a_call_cut_at_the_deadline_says_so() -> None:
    kept = Kept()
    policy = replace(QUICK, total_timeout_s=0.05)

    async def work() -> None:
        model = scripted("Hello", asyncio.Event())
        await failure_of(drain(resilient(model, policy, lambda paced: metered(paced, kept))))

    run(work())
    assert [(call.outcome, call.completion_tokens) for call in kept] == [("model_timeout", COUNTER.count("Hello"))]


def test_each_attempt_is_billed() -> None:
    kept = Kept()
    stalled = ModelFailure(Reason.TIMEOUT, "slow", retryable=True)
    refused = ModelFailure(Reason.RATE_LIMITED, "no", retryable=True)
    model = ScriptedModel([[stalled], [refused], ["Hello", Usage(5, 2)]])
    said = run(drain(resilient(model, QUICK, lambda paced: metered(paced, kept))))

    assert [call.outcome for call in kept] == ["model_timeout", "model_rate_limited", "ok"]
    # the one that timed out had been sent; the one that was refused is not billed by anyone
    assert [(call.prompt_tokens, call.completion_tokens) for call in kept] == [(PROMPT_TOKENS, 0), (0, 0), (5, 2)]
    assert [(usage.prompt_tokens, usage.completion_tokens) for usage in said.usages] == [(PROMPT_TOKENS, 0), (5, 2)]


@pytest.mark.parametrize("reason", [Reason.UNREACHABLE, Reason.RATE_LIMITED, Reason.REJECTED, Reason.SERVER_ERROR])
def test_an_error_in_place_of_text_costs_nothing(reason: Reason) -> None:
    kept = Kept()
    run(failure_of(drain(metered(scripted(ModelFailure(reason, "no")), kept))))
    (call,) = kept
    assert (call.outcome, call.prompt_tokens, call.completion_tokens, call.cost_usd) == (reason, 0, 0, 0)
    run(failure_of(drain(metered(scripted(ModelFailure(reason, "no")), kept, None))))
    assert kept[1].cost_usd is None


def test_a_failure_after_some_text_tells_what_it_cost_before_it_fails() -> None:
    said = Said()
    model = metered(scripted("Half", ModelFailure(Reason.INTERRUPTED, "gone")))
    run(failure_of(drain(model, REQUEST, said)))
    (usage,) = said.usages
    assert (usage.prompt_tokens, usage.completion_tokens) == (PROMPT_TOKENS, COUNTER.count("Half"))


def test_the_wording_that_was_sent_is_what_is_counted() -> None:
    assert STRUCTURED.structured is not None
    (usage,) = run(drain(metered(scripted(ChatDelta("{}", structured=True))), STRUCTURED)).usages
    assert usage.prompt_tokens == 3 + 3 + COUNTER.count(STRUCTURED.structured.messages[0].content)


def test_what_can_not_be_counted_is_not_known() -> None:
    def uncountable(text: str) -> int:
        raise InvalidRequest("no word break")

    kept = Kept()
    model = Metered(scripted("Hello"), Meter("m", "fast", PRICE, uncountable), kept.record)
    assert run(drain(model)).text == "Hello"
    assert (kept[0].prompt_tokens, kept[0].completion_tokens, kept[0].cost_usd) == (None, None, None)


def test_a_disconnect_over_http_is_closed_and_billed() -> None:
    kept = Kept()

    async def work(endpoint: ChatModel) -> None:
        stream = resilient(endpoint, QUICK, lambda paced: metered(paced, kept)).stream(REQUEST)
        await anext(stream)
        await stream.aclose()

    with running(SCENARIOS["stalls"]) as endpoint:
        with_model(settings_for(endpoint.url), work)
        assert endpoint.left.wait(10)
    assert [(call.outcome, call.completion_tokens) for call in kept] == [("closed", COUNTER.count("Once"))]


tokens = st.none() | st.integers(0, 10_000)
usages = st.builds(Usage, tokens, tokens, st.none() | st.integers(0, 100).map(float), st.booleans())


@given(usages, usages, usages)
def test_usages_add_up_in_any_order(a: Usage, b: Usage, c: Usage) -> None:
    assert a.plus(b) == b.plus(a)
    assert a.plus(b).plus(c) == a.plus(b.plus(c))
    assert (a.plus(b).cost_usd is None) == (a.cost_usd is None or b.cost_usd is None)
    assert Usage(0, 0, 0.0).plus(a) == a


def test_a_whole_answer_tells_what_all_its_attempts_took() -> None:
    stalled = ModelFailure(Reason.TIMEOUT, "slow", retryable=True)
    model = ScriptedModel([[stalled], ["Hello", Usage(5, 2)]])
    completed = run(complete(resilient(model, QUICK, metered), REQUEST))
    assert (completed.text, completed.usage.prompt_tokens, completed.usage.estimated) == (
        "Hello",
        PROMPT_TOKENS + 5,
        True,
    )
    assert run(complete(scripted("Hello"), REQUEST)).usage == Usage()
