"""What the tests of the model client share: calling a model, and the settings that point it at a scripted endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from pydantic import SecretStr

from service.errors import ModelFailure
from service.generation.models.llm import ChatMessage, ChatModel, ChatRequest, Structured, Usage
from service.generation.models.providers import OpenAIChatModel
from service.generation.models.resilience import ResiliencePolicy, resilient
from service.settings import LLMSettings

T = TypeVar("T")

MESSAGES = (ChatMessage("system", "Be brief."), ChatMessage("user", "Hello?"))
REQUEST = ChatRequest(MESSAGES, 50)
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
STRUCTURED = ChatRequest(MESSAGES, 50, structured=Structured((ChatMessage("user", "JSON, please."),), "a", SCHEMA))
QUICK = ResiliencePolicy(
    first_token_timeout_s=5, stall_timeout_s=5, total_timeout_s=10, backoff_s=0.01, max_backoff_s=0.2
)
ONCE = ResiliencePolicy(first_token_timeout_s=5, stall_timeout_s=5, total_timeout_s=10, max_retries=0)


@dataclass
class Said:
    """All that came of one call."""

    text: str = ""
    usages: list[Usage] = field(default_factory=list)
    structured: set[bool] = field(default_factory=set)
    cut_off: bool = False

    @property
    def usage(self) -> Usage | None:
        return self.usages[-1] if self.usages else None


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, 30))


async def drain(model: ChatModel, request: ChatRequest = REQUEST, said: Said | None = None) -> Said:
    said = said or Said()
    async with aclosing(model.stream(request)) as deltas:
        async for delta in deltas:
            said.text += delta.text
            said.cut_off = said.cut_off or delta.cut_off
            if delta.text:
                said.structured.add(delta.structured)
            if delta.usage:
                said.usages.append(delta.usage)
    return said


async def failure_of(work: Coroutine[Any, Any, object]) -> ModelFailure:
    with pytest.raises(ModelFailure) as caught:
        await work
    return caught.value


def settings_for(url: str, **changes: Any) -> LLMSettings:
    values = {"connect_timeout_s": 2.0, "first_token_timeout_s": 5.0, "total_timeout_s": 10.0, **changes}
    return LLMSettings.model_validate({"base_url": url, "api_key": SecretStr("k"), "model": "m", **values})


def with_model(
    settings: LLMSettings,
    work: Callable[[ChatModel], Coroutine[Any, Any, T]],
    policy: ResiliencePolicy | None = None,
) -> T:
    """What `work` gives with one open endpoint; resilient where a policy is given."""

    async def opened() -> T:
        endpoint = OpenAIChatModel(settings)
        try:
            return await work(endpoint if policy is None else resilient(endpoint, policy))
        finally:
            await endpoint.close()

    return run(opened())


def call(settings: LLMSettings, policy: ResiliencePolicy | None = None, request: ChatRequest = REQUEST) -> Said:
    return with_model(settings, lambda model: drain(model, request), policy)


def failure(settings: LLMSettings, policy: ResiliencePolicy | None = None) -> ModelFailure:
    return with_model(settings, lambda model: failure_of(drain(model)), policy)
