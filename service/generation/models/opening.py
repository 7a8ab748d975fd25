"""The models that answers are written with: opened from the settings, each behind limits of its own, and closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from service.generation.answers import Tier
from service.generation.models.llm import ChatModel, Models
from service.generation.models.metering import Meter, Metered, RecordCall
from service.generation.models.pricing import PriceTable, load_prices
from service.generation.models.providers import DEFAULT_BASE_URL, OpenAIChatModel
from service.generation.models.resilience import ResiliencePolicy, resilient
from service.retrieval.tokens import TokenCounter
from service.settings import LLMSettings, ServiceSettings


@asynccontextmanager
async def open_chat_models(
    settings: ServiceSettings, record: RecordCall | None = None, counter: TokenCounter | None = None
) -> AsyncIterator[Models]:
    """The configured models, metered; their connections close with the context. `record` keeps each call.

    Raises: ConfigurationError for a price table that can't be read.
    """
    fast = settings.llm if settings.llm.is_configured else None
    strong = settings.llm_strong.beside(settings.llm)
    if fast is None and strong is None:
        yield Models()
        return
    prices = await asyncio.to_thread(load_prices, settings.llm.prices)
    counter = counter or TokenCounter()
    async with AsyncExitStack() as stack:

        async def opened(tier: Tier, llm: LLMSettings | None) -> ChatModel | None:
            if llm is None:
                return None
            endpoint = await asyncio.to_thread(OpenAIChatModel, llm)
            stack.push_async_callback(endpoint.close)
            meter = _meter(llm, tier, prices, counter)
            return resilient(endpoint, ResiliencePolicy.of(llm), lambda paced: Metered(paced, meter, record))

        yield Models(fast=await opened(Tier.FAST, fast), strong=await opened(Tier.STRONG, strong))


def _meter(llm: LLMSettings, tier: Tier, prices: PriceTable, counter: TokenCounter) -> Meter:
    return Meter(llm.model, tier, prices.find(llm.model, llm.base_url or DEFAULT_BASE_URL), counter.count)
