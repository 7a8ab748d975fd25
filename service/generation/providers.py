"""Chat models behind an OpenAI-compatible endpoint. Leaves time limits and retries to `resilience`."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Any, cast

from service.errors import ModelFailure, ModelFailureReason
from service.generation.llm import ChatDelta, ChatModel, ChatRequest, Usage
from service.generation.resilience import ResiliencePolicy, resilient
from service.settings import LLMSettings

if TYPE_CHECKING:
    from openai import AsyncStream
    from openai.types.chat import ChatCompletionChunk

_NO_KEY = "none"
"""Sent where no key is set: local endpoints want some value, and it keeps the SDK from reading the environment."""

_BY_STATUS: Mapping[int, tuple[ModelFailureReason, bool]] = {
    408: (ModelFailureReason.TIMEOUT, True),
    409: (ModelFailureReason.SERVER_ERROR, True),
    425: (ModelFailureReason.SERVER_ERROR, True),
    429: (ModelFailureReason.RATE_LIMITED, True),
}
"""HTTP status -> (reason, worth a retry); other 4xx are rejections, 5xx server errors worth a retry."""


class OpenAIChatModel:
    """`chat.completions` of one endpoint; safe for any number of concurrent calls on one event loop."""

    def __init__(self, settings: LLMSettings) -> None:
        import openai

        self._errors = openai
        self._model = settings.model
        self._usage_option = True
        self._client = openai.AsyncOpenAI(
            base_url=settings.base_url or "https://api.openai.com/v1",
            api_key=settings.api_key.get_secret_value() if settings.api_key else _NO_KEY,
            organization="",
            project="",
            max_retries=0,  # `resilience` retries, where the back-off is bounded and seen
            timeout=openai.Timeout(settings.total_timeout_s, connect=settings.connect_timeout_s),
        )

    @property
    def name(self) -> str:
        return self._model

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """See `ChatModel.stream`. Vendor errors come out as `ModelFailure`."""
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            "max_tokens": request.max_output_tokens,
            "temperature": request.temperature,
        }
        try:
            async with await self._open(body) as chunks:
                async for chunk in chunks:
                    delta = _delta(chunk)
                    if delta.text or delta.usage or delta.cut_off:
                        yield delta
        except self._errors.OpenAIError as error:
            raise self._failure(error) from error
        except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError, LookupError) as error:
            # a body that is not the protocol: the SDK parses leniently, so it surfaces as any of these
            raise ModelFailure(
                ModelFailureReason.SERVER_ERROR, "the endpoint sent something that is not a chat stream", retryable=True
            ) from error

    async def _open(self, body: dict[str, Any]) -> AsyncStream[ChatCompletionChunk]:
        """The response stream. An endpoint that rejects `stream_options` is asked once without and remembered."""
        if self._usage_option:
            try:
                return await self._create({**body, "stream_options": {"include_usage": True}})
            except (self._errors.BadRequestError, self._errors.UnprocessableEntityError) as error:
                if "stream_options" not in str(error):
                    raise
                self._usage_option = False
        return await self._create(body)

    async def _create(self, body: dict[str, Any]) -> AsyncStream[ChatCompletionChunk]:
        stream = await self._client.chat.completions.create(**body, stream=True)
        return cast("AsyncStream[ChatCompletionChunk]", stream)

    def _failure(self, error: Exception) -> ModelFailure:
        """Our error for one of the SDK's. The endpoint's own words stay in the cause: they may quote the prompt."""
        if isinstance(error, self._errors.APITimeoutError):
            return ModelFailure(ModelFailureReason.TIMEOUT, "the endpoint did not answer in time", retryable=True)
        if isinstance(error, self._errors.APIConnectionError):
            return ModelFailure(ModelFailureReason.UNREACHABLE, "no connection to the endpoint", retryable=True)
        if isinstance(error, self._errors.APIStatusError):
            fallback = (
                (ModelFailureReason.SERVER_ERROR, True)
                if error.status_code >= 500
                else (ModelFailureReason.REJECTED, False)
            )
            reason, retryable = _BY_STATUS.get(error.status_code, fallback)
            if error.code == "insufficient_quota":
                retryable = False  # an empty purse is a 429 too, and waiting does not fill it
            return ModelFailure(
                reason,
                f"the endpoint answered {error.status_code}",
                retryable=retryable,
                retry_after_s=_retry_after_s(error.response.headers.get("retry-after")),
            )
        return ModelFailure(ModelFailureReason.SERVER_ERROR, "the endpoint reported an error", retryable=True)


def open_chat_model(settings: LLMSettings) -> tuple[ChatModel, OpenAIChatModel] | None:
    """The configured model made resilient, and the endpoint to close at the end; None where none is configured."""
    if settings.base_url is None and settings.api_key is None:
        return None
    endpoint = OpenAIChatModel(settings)
    return resilient(endpoint, ResiliencePolicy.of(settings)), endpoint


def _delta(chunk: ChatCompletionChunk) -> ChatDelta:
    # endpoints send chunks without choices, choices without delta and null content; all are just silence
    choices = chunk.choices or []
    text = (choices[0].delta.content or "") if choices and choices[0].delta else ""
    usage = Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens) if chunk.usage is not None else None
    return ChatDelta(text, usage, cut_off=bool(choices) and choices[0].finish_reason == "length")


def _retry_after_s(header: str | None) -> float | None:
    """Seconds to wait from `Retry-After` in either of its two forms (RFC 9110, 10.2.3); None if absent or not one."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time())
    except ValueError:
        return None
