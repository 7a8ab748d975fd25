"""The wrappers around a model, each alone and all together, on a scripted model."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import ModelFailure
from service.errors import ModelFailureReason as Reason
from service.generation.models.llm import ChatDelta, ChatModel, ChatRequest, Usage
from service.generation.models.resilience import Breaker, Deadline, Pace, ResiliencePolicy, Retries, Slots, resilient
from tests.fakes import ScriptedModel, Step, saying
from tests.service.model_parts import MESSAGES, QUICK, REQUEST, drain, failure_of, run

BROKEN = ModelFailure(Reason.SERVER_ERROR, "broken", retryable=True)


async def until(condition: object) -> None:
    """Let other tasks run until it holds."""
    while not condition():  # type: ignore[operator]
        await asyncio.sleep(0)


def forever() -> asyncio.Event:
    return asyncio.Event()


def test_there_is_no_retry_after_the_first_text() -> None:
    model = ScriptedModel([["Half", BROKEN], ["Whole"]])
    run(failure_of(drain(Retries(model, QUICK))))
    assert len(model.calls) == 1


def test_the_usage_of_a_failed_attempt_is_no_text() -> None:
    model = ScriptedModel([[Usage(5, 0), BROKEN], ["Whole", Usage(5, 2)]])
    said = run(drain(Retries(model, QUICK)))
    assert (said.text, said.usages) == ("Whole", [Usage(5, 0), Usage(5, 2)])


def test_a_back_off_never_outlasts_the_deadline() -> None:
    model = ScriptedModel([[ModelFailure(Reason.RATE_LIMITED, "later", retryable=True, retry_after_s=5)]])
    patient = replace(QUICK, max_backoff_s=60)
    assert run(failure_of(drain(Deadline(Retries(model, patient), 1)))).reason is Reason.RATE_LIMITED
    assert len(model.calls) == 1


def test_a_cancelled_back_off_makes_no_further_call() -> None:
    model = ScriptedModel([[ModelFailure(Reason.RATE_LIMITED, "later", retryable=True, retry_after_s=60)]])

    async def work() -> None:
        task = asyncio.create_task(drain(Retries(model, replace(QUICK, max_backoff_s=60))))
        await until(lambda: model.closed)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(work())
    assert len(model.calls) == 1


@given(st.integers(1, 12), st.none() | st.floats(0, 8))
def test_a_back_off_is_what_was_asked_for_or_jitter_below_a_bound(attempt: int, asked_s: float | None) -> None:
    policy = ResiliencePolicy()
    failure = ModelFailure(Reason.RATE_LIMITED, "later", retryable=True, retry_after_s=asked_s)
    wait_s = Retries(saying(), policy)._wait_s(attempt, failure)
    if asked_s is not None:
        assert wait_s == asked_s
    else:
        assert 0 <= wait_s <= min(policy.max_backoff_s, policy.backoff_s * 2 ** (attempt - 1))


def test_who_asks_for_more_patience_than_a_user_has_gets_none() -> None:
    failure = ModelFailure(Reason.RATE_LIMITED, "later", retryable=True, retry_after_s=9)
    with pytest.raises(ModelFailure) as caught:
        Retries(saying(), ResiliencePolicy())._wait_s(1, failure)
    assert caught.value is failure


def test_at_most_so_many_calls_run_at_one_time() -> None:
    async def work() -> ScriptedModel:
        gate = asyncio.Event()
        model = ScriptedModel([["a", gate, "b"]])
        limited = Slots(model, 2, 10, 10)
        calls = [asyncio.create_task(drain(limited)) for _ in range(5)]
        await until(lambda: model.running == 2)
        gate.set()
        await asyncio.gather(*calls)
        return model

    model = run(work())
    assert (model.most_running, len(model.calls)) == (2, 5)


def test_a_full_queue_fails_at_once() -> None:
    async def work() -> tuple[ModelFailure, str]:
        gate = asyncio.Event()
        model = ScriptedModel([[gate, "b"]])
        limited = Slots(model, 1, 1, 60)
        running, waiting = asyncio.create_task(drain(limited)), asyncio.create_task(drain(limited))
        await until(lambda: model.running == 1 and limited._waiting == 1)
        failure = await failure_of(drain(limited))
        gate.set()
        await running
        return failure, (await waiting).text

    failure, text = run(work())
    assert (failure.reason, failure.may_retry, text) == (Reason.BUSY, False, "b")


def test_waiting_for_a_slot_is_bounded_by_its_limit_and_by_the_call() -> None:
    async def work() -> list[Reason]:
        model = ScriptedModel([[forever()]])
        impatient, patient = Slots(model, 1, 5, 0.01), Slots(model, 1, 5, 60)
        holding = [asyncio.create_task(drain(slots)) for slots in (impatient, patient)]
        await until(lambda: model.running == 2)
        reasons = [
            (await failure_of(drain(impatient))).reason,
            (await failure_of(drain(patient, replace(REQUEST, ends_at_s=monotonic() + 0.01)))).reason,
        ]
        for task in holding:
            task.cancel()
        await asyncio.gather(*holding, return_exceptions=True)
        return reasons

    assert run(work()) == [Reason.BUSY, Reason.BUSY]


def test_a_cancelled_wait_takes_no_slot_and_no_place_in_the_queue() -> None:
    async def work() -> int:
        gate = asyncio.Event()
        model = ScriptedModel([[gate, "b"]])
        limited = Slots(model, 1, 2, 60)
        first, second, third = (asyncio.create_task(drain(limited)) for _ in range(3))
        await until(lambda: limited._waiting == 2)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        fourth = asyncio.create_task(drain(limited))
        await until(lambda: limited._waiting == 2 or fourth.done())
        gate.set()
        await asyncio.gather(first, third, fourth)
        return len(model.calls)

    assert run(work()) == 3


def test_a_slot_is_free_again_however_its_call_ends() -> None:
    async def work() -> str:
        model = ScriptedModel([[BROKEN], ["left"], [forever()], ["well"]])
        limited = Slots(model, 1, 0, 60)
        await failure_of(drain(limited))
        stream = limited.stream(REQUEST)
        await anext(stream)
        await stream.aclose()
        task = asyncio.create_task(drain(limited))
        await until(lambda: model.running)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return (await drain(limited)).text

    assert run(work()) == "well"


@pytest.mark.parametrize("script", [[], ["a"], ["a", ChatDelta(), "b"]], ids=["first", "between", "later"])
def test_silence_is_noticed_wherever_it_is(script: list[Step]) -> None:
    async def work() -> ModelFailure:
        model = ScriptedModel([[*script, forever()]])
        failure = await failure_of(drain(Pace(model, 0.05, 0.05)))
        assert model.closed == 1
        return failure

    failure = run(work())
    assert failure.reason is Reason.TIMEOUT
    assert ("first token" in failure.detail) is (not script)


def test_pieces_without_text_are_no_sign_of_life() -> None:
    class Murmuring(ScriptedModel):
        async def stream(self, request: ChatRequest):  # type: ignore[no-untyped-def, override]
            yield ChatDelta("Once")
            while True:
                await asyncio.sleep(0)
                yield ChatDelta()

    assert run(failure_of(drain(Pace(Murmuring([]), 5, 0.05)))).reason is Reason.TIMEOUT


@pytest.mark.parametrize(("piece", "fits"), [("word " * 8, True), ("word " * 200, False), ("\n" * 9000, False)])
def test_an_answer_without_end_is_cut_short(piece: str, fits: bool) -> None:
    paced = Pace(saying(piece), 5, 5)
    if fits:
        assert run(drain(paced)).text == piece
    else:
        assert run(failure_of(drain(paced))).reason is Reason.SERVER_ERROR


def test_the_deadline_is_the_nearer_of_two() -> None:
    async def work(ends_in_s: float | None, timeout_s: float) -> Reason:
        request = replace(REQUEST, ends_at_s=None if ends_in_s is None else monotonic() + ends_in_s)
        return (await failure_of(drain(Deadline(ScriptedModel([[forever()]]), timeout_s), request))).reason

    assert run(work(None, 0.02)) is Reason.TIMEOUT
    assert run(work(0.02, 60)) is Reason.TIMEOUT
    assert run(work(60, 0.02)) is Reason.TIMEOUT


def test_those_below_are_told_when_the_call_ends() -> None:
    model = saying("a")
    run(drain(Deadline(model, 60)))
    (request,) = model.requests
    assert request.ends_at_s is not None
    assert request.messages == MESSAGES


class Clocked:
    """A breaker on a clock that the test sets."""

    def __init__(self, *scripts: list[Step], failures: int = 2) -> None:
        self.now = 0.0
        self.model = ScriptedModel(scripts)
        self.breaker = Breaker(self.model, failures, 30.0, clock=lambda: self.now)


def test_the_breaker_opens_and_lets_one_call_try() -> None:
    clocked = Clocked([BROKEN], [BROKEN], [BROKEN], ["well"])
    breaker, model = clocked.breaker, clocked.model

    async def work() -> None:
        await failure_of(drain(breaker))
        assert not breaker.is_open
        await failure_of(drain(breaker))
        assert breaker.is_open
        assert (await failure_of(drain(breaker))).reason is Reason.SERVER_ERROR
        assert len(model.calls) == 2  # the third never reached the endpoint
        clocked.now = 31.0
        await failure_of(drain(breaker))  # the probe fails and the pause begins anew
        assert len(model.calls) == 3
        assert breaker.is_open
        clocked.now = 62.0
        assert (await drain(breaker)).text == "well"
        assert not breaker.is_open

    run(work())


def test_while_one_call_tries_others_fail_at_once() -> None:
    gate = asyncio.Event()
    clocked = Clocked([BROKEN], [gate, "well"], failures=1)

    async def work() -> None:
        await failure_of(drain(clocked.breaker))
        clocked.now = 31.0
        probe = asyncio.create_task(drain(clocked.breaker))
        await until(lambda: clocked.model.running)
        for _ in range(3):
            await failure_of(drain(clocked.breaker))
        gate.set()
        assert (await probe).text == "well"
        assert len(clocked.model.calls) == 2

    run(work())


@pytest.mark.parametrize("how", ["cancelled", "closed"])
def test_a_probe_that_is_given_up_wedges_nothing(how: str) -> None:
    clocked = Clocked([BROKEN], [ChatDelta(), forever()], ["well"], failures=1)

    async def work() -> None:
        await failure_of(drain(clocked.breaker))
        clocked.now = 31.0
        if how == "cancelled":
            probe = asyncio.create_task(drain(clocked.breaker))
            await until(lambda: clocked.model.running)
            probe.cancel()
            await asyncio.gather(probe, return_exceptions=True)
        else:
            stream = clocked.breaker.stream(REQUEST)
            await anext(stream)
            await stream.aclose()
        assert not clocked.breaker.is_open
        assert (await drain(clocked.breaker)).text == "well"

    run(work())


def test_a_probe_whose_reader_left_after_some_text_is_proof_enough() -> None:
    clocked = Clocked([BROKEN], [BROKEN], ["some", "more"], [BROKEN], ["well"])

    async def work() -> None:
        await failure_of(drain(clocked.breaker))
        await failure_of(drain(clocked.breaker))
        clocked.now = 31.0
        stream = clocked.breaker.stream(REQUEST)
        await anext(stream)
        await stream.aclose()
        await failure_of(drain(clocked.breaker))  # one failure, not the third in a row
        assert not clocked.breaker.is_open

    run(work())


STEPS = st.lists(st.sampled_from(["well", "broken", "rejected", "left", "left early", "wait"]), max_size=30)


@given(STEPS)
def test_no_history_wedges_the_breaker(steps: list[str]) -> None:
    """Open, it lets nothing through; its pause over, one call tries; whatever came before."""
    clocked = Clocked(failures=2)
    endings: dict[str, list[Step]] = {
        "well": ["text"],
        "broken": [BROKEN],
        "rejected": [ModelFailure(Reason.REJECTED, "no")],
        "left": ["text", forever()],
        "left early": [ChatDelta(), forever()],
    }

    async def one(step: str) -> None:
        was_open, calls = clocked.breaker.is_open, len(clocked.model.calls)
        clocked.model.scripts = [endings[step]]
        stream = clocked.breaker.stream(REQUEST)
        try:
            if step.startswith("left"):
                await anext(stream)
            else:
                async for _ in stream:
                    pass
        except ModelFailure:
            pass
        finally:
            await stream.aclose()
        assert (len(clocked.model.calls) == calls) is was_open
        assert clocked.model.running == 0

    async def work() -> None:
        for step in steps:
            if step == "wait":
                clocked.now += 31
                assert not clocked.breaker.is_open
            else:
                await one(step)
        clocked.now += 31
        await one("well")
        assert not clocked.breaker.is_open
        await one("broken")
        assert not clocked.breaker.is_open  # healthy again: it takes two in a row

    run(work())


@pytest.mark.parametrize("reason", [Reason.REJECTED, Reason.BUSY, Reason.EMPTY, Reason.DECLINED])
def test_what_says_nothing_about_the_endpoint_opens_no_breaker(reason: Reason) -> None:
    breaker = Breaker(ScriptedModel([[ModelFailure(reason, "x")]]), 1, 30.0)
    for _ in range(3):
        run(failure_of(drain(breaker)))
    assert not breaker.is_open


def test_a_callers_own_haste_opens_no_breaker() -> None:
    async def work() -> bool:
        breaker = Breaker(Deadline(ScriptedModel([[forever()]]), 60), 1, 30.0)
        await failure_of(drain(breaker, replace(REQUEST, ends_at_s=monotonic() + 0.01)))
        return breaker.is_open

    assert run(work()) is False


@pytest.mark.parametrize("how", ["closed", "cancelled", "failed", "done"])
def test_every_wrapper_closes_the_one_inside(how: str) -> None:
    async def work() -> ScriptedModel:
        ends: list[Step] = [BROKEN] if how == "failed" else [] if how == "done" else [forever()]
        model = ScriptedModel([["a", *ends]])
        wrapped: ChatModel = resilient(model, QUICK)
        if how == "closed":
            stream = wrapped.stream(REQUEST)
            await anext(stream)
            await stream.aclose()
        elif how == "cancelled":
            task = asyncio.create_task(drain(wrapped))
            await until(lambda: model.running)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        elif how == "failed":
            await failure_of(drain(wrapped))
        else:
            assert (await drain(wrapped)).text == "a"
        return model

    model = run(work())
    assert (model.running, model.closed) == (0, 1)
