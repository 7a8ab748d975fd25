"""Two models from the settings: what the second inherits, what it never does, and that each stands alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from ingestion.errors import ConfigurationError
from service.errors import ModelFailureReason as Reason
from service.generation.models.llm import Models
from service.generation.models.opening import open_chat_models
from service.ledger.model_calls import ModelCall
from service.settings import LLMOutput, LLMSettings, LLMStrongSettings, ServiceSettings
from tests.chat_endpoint import SCENARIOS, saying
from tests.chat_endpoint import running_endpoint as running
from tests.service.model_parts import REQUEST, drain, failure_of, run


def settings(llm: dict[str, Any], strong: dict[str, Any] | None = None) -> ServiceSettings:
    return ServiceSettings(llm=LLMSettings(**llm), llm_strong=LLMStrongSettings(**strong or {}))


def test_nothing_configured_is_no_model() -> None:
    async def work() -> Models:
        async with open_chat_models(settings({})) as models:
            return models

    assert run(work()) == Models()


def test_both_models_are_asked_at_their_endpoints_and_recorded_by_tier() -> None:
    kept: list[ModelCall] = []

    def record(tell: Callable[[], ModelCall]) -> None:
        kept.append(tell())

    async def work(configured: ServiceSettings) -> list[str]:
        async with open_chat_models(configured, record) as models:
            assert models.fast is not None
            assert models.strong is not None
            return [(await drain(model)).text for model in (models.fast, models.strong)]

    with running(saying("quick")) as one, running(saying("wise")) as other:
        configured = settings(
            {"base_url": one.url, "api_key": "one", "model": "small"}, {"base_url": other.url, "model": "large"}
        )
        assert run(work(configured)) == ["quick", "wise"]
        assert (one.bodies[0]["model"], other.bodies[0]["model"]) == ("small", "large")
        assert (one.keys, other.keys) == (["Bearer one"], ["Bearer none"])
    assert [(call.model, call.tier, call.cost_usd) for call in kept] == [
        ("small", "fast", None),
        ("large", "strong", None),
    ]


def test_one_that_is_down_leaves_the_other_alone() -> None:
    async def work(configured: ServiceSettings) -> tuple[Reason, str]:
        async with open_chat_models(configured) as models:
            assert models.fast is not None
            assert models.strong is not None
            for _ in range(2):
                reason = (await failure_of(drain(models.fast))).reason
            return reason, (await drain(models.strong)).text

    def picky(body: dict[str, Any]) -> Any:
        return SCENARIOS["server-error"] if body["model"] == "small" else saying("wise")

    with running(picky) as endpoint:
        values = {"base_url": endpoint.url, "model": "small", "max_retries": 0, "breaker_failures": 1}
        assert run(work(settings(values, {"model": "large"}))) == (Reason.SERVER_ERROR, "wise")
        assert len(endpoint.bodies) == 2  # the breaker of the first kept its second call off


def test_prices_come_from_the_table_that_the_settings_name(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text('[[price]]\nmodel = "m"\ninput_usd = 1\noutput_usd = 2\nsource = "own"\ndate = 2026-11-20\n')

    async def work(configured: ServiceSettings) -> float | None:
        async with open_chat_models(configured) as models:
            assert models.fast is not None
            (usage,) = (await drain(models.fast)).usages
            return usage.cost_usd

    with running() as endpoint:
        values = {"base_url": endpoint.url, "model": "m"}
        assert run(work(settings({**values, "prices": path}))) == pytest.approx((12 * 1 + 3 * 2) / 1e6)
        assert run(work(settings(values))) is None
        with pytest.raises(ConfigurationError, match="PLUMBLINE_LLM__PRICES"):
            run(work(settings({**values, "prices": tmp_path / "none.toml"})))


def test_connections_are_closed_with_the_context() -> None:
    async def work(configured: ServiceSettings) -> None:
        async with open_chat_models(configured) as models:
            assert models.fast is not None
            stream = models.fast.stream(REQUEST)
            await anext(stream)
            await stream.aclose()
        assert (await failure_of(drain(models.fast))).reason is Reason.UNREACHABLE

    with running(SCENARIOS["stalls"]) as endpoint:
        run(work(settings({"base_url": endpoint.url, "max_retries": 0})))
        assert endpoint.left.wait(10)


def test_the_strong_model_inherits_what_it_does_not_set() -> None:
    llm = LLMSettings(base_url="http://a/v1", api_key=SecretStr("k"), model="small", temperature=0.5, max_retries=4)
    strong = LLMStrongSettings(model="large", temperature=0.0, output=LLMOutput.TEXT).beside(llm)
    assert strong is not None
    assert (strong.model, strong.temperature, strong.output) == ("large", 0.0, LLMOutput.TEXT)
    assert (strong.base_url, strong.max_retries) == ("http://a/v1", 4)
    assert strong.api_key == SecretStr("k")
    assert LLMStrongSettings().beside(llm) is None


def test_a_key_never_goes_to_another_address() -> None:
    llm = LLMSettings(base_url="http://a/v1", api_key=SecretStr("k"))
    elsewhere = LLMStrongSettings(model="large", base_url="http://b/v1").beside(llm)
    own = LLMStrongSettings(model="large", base_url="http://b/v1", api_key=SecretStr("own")).beside(llm)
    same = LLMStrongSettings(model="large", base_url="http://a/v1").beside(llm)
    assert elsewhere is not None
    assert elsewhere.api_key is None
    assert own is not None
    assert own.api_key == SecretStr("own")
    assert same is not None
    assert same.api_key == SecretStr("k")


@pytest.mark.parametrize(
    ("llm", "strong", "says"),
    [
        ({}, {"temperature": 0.1}, "PLUMBLINE_LLM_STRONG__MODEL"),
        ({}, {"model": "large"}, "PLUMBLINE_LLM_STRONG__BASE_URL"),
        ({"base_url": "localhost:8091"}, {}, "http://"),
        ({}, {"model": "large", "base_url": "ftp://b"}, "PLUMBLINE_LLM_STRONG__BASE_URL"),
        ({"output": "json"}, {}, "output"),
    ],
)
def test_settings_that_can_not_work_are_named(llm: dict[str, Any], strong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        settings(llm, strong)
