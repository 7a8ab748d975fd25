"""Chat models behind an OpenAI-compatible endpoint. Leaves time limits and retries to `resilience`."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Any, cast

from service.errors import ModelFailure, ModelFailureReason
from service.generation.models.llm import ChatDelta, ChatRequest, Usage
from service.generation.models.output_forms import OutputForm, OutputForms, is_rejection
from service.settings import LLMSettings

if TYPE_CHECKING:
    from openai import APIError, APIStatusError, AsyncStream
    from openai.types.chat import ChatCompletionChunk
    from openai.types.completion_usage import CompletionUsage

DEFAULT_BASE_URL = "https://api.openai.com/v1"

_NO_KEY = "none"
"""Sent where no key is set: local endpoints want some value, and it keeps the SDK from reading the environment."""

_BY_STATUS: Mapping[int, tuple[ModelFailureReason, bool]] = {
    408: (ModelFailureReason.TIMEOUT, True),
    409: (ModelFailureReason.SERVER_ERROR, True),
    425: (ModelFailureReason.SERVER_ERROR, True),
    429: (ModelFailureReason.RATE_LIMITED, True),
}
"""HTTP status -> (reason, worth a retry); other 4xx are rejections, 5xx server errors worth a retry."""

_NEVER_CONNECTED = frozenset({"ConnectTimeout", "PoolTimeout"})
_NO_STREAM = ("text/html", "application/json")
_UNSUPPORTED = frozenset({"unsupported_parameter", "unsupported_value"})


_TAIL = 40
_WHOLE = re.compile(r"[.!?\u2026\u3002\])}|`\"'\u201d]\s*\Z")
"""How a whole answer ends. Some servers never tell a `finish_reason`: theirs are taken at their last character."""


class OpenAIChatModel:
    """`chat.completions` of one endpoint; safe for any number of concurrent calls on one event loop."""

    def __init__(self, settings: LLMSettings) -> None:
        import openai

        self._errors = openai
        self._model = settings.model
        self._forms = OutputForms(settings.output)
        self._unknown_options: set[str] = set()
        self._client = openai.AsyncOpenAI(
            base_url=settings.base_url or DEFAULT_BASE_URL,
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
        try:
            async with aclosing(self._answer(request)) as deltas:
                async for delta in deltas:
                    yield delta
        except self._errors.OpenAIError as error:
            raise self._failure(error) from error
        except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError, LookupError) as error:
            # a body that is not the protocol: the SDK parses leniently, so it surfaces as any of these
            raise ModelFailure(
                ModelFailureReason.SERVER_ERROR, "the endpoint sent something that is not a chat stream", retryable=True
            ) from error

    async def _answer(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """The answer in the first form that the endpoint does not reject, which is remembered."""
        forms = self._forms.to_try(request.structured)
        rejections: list[int] = []
        for form in forms:
            async with aclosing(self._deltas(request, form)) as deltas:
                try:
                    head = await _until_visible(deltas)
                except self._errors.APIError as error:
                    status = _status(error)
                    if form is forms[-1] or not is_rejection(status):
                        raise
                    rejections.append(status)
                    continue
                is_json = self._learn(form, head, rejections)
                for delta in head:
                    yield replace(delta, structured=is_json)
                async for delta in deltas:
                    yield replace(delta, structured=is_json)
                return

    def _learn(self, form: OutputForm, head: list[ChatDelta], rejections: list[int]) -> bool:
        """Whether the answer is the JSON that was asked for, as its first visible character tells."""
        begins = "".join(delta.text for delta in head).lstrip()[:1]
        if form is OutputForm.TEXT or begins == "{":
            if rejections or form is not OutputForm.TEXT:
                self._forms.worked(form, rejections)
            return form is not OutputForm.TEXT
        if begins:
            self._forms.ignored(form)
        return False

    async def _deltas(self, request: ChatRequest, form: OutputForm) -> AsyncGenerator[ChatDelta, None]:
        """The stream of one HTTP call.

        Raises:
            ModelFailure: the endpoint declined, wrote nothing, or broke off. An error of the SDK for the rest.
        """
        began = spoke = False
        finish: str | None = None
        tail = ""
        async with await self._create(_body(self._model, request, form)) as chunks:
            _check_type(chunks.response.headers.get("content-type", ""))
            try:
                async for chunk in chunks:
                    began = True
                    finish = _finish(chunk) or finish
                    delta = _delta(chunk)
                    spoke = spoke or bool(delta.text)
                    tail = (tail + delta.text)[-_TAIL:]
                    if delta.text or delta.usage or delta.cut_off:
                        yield delta
            except self._errors.APITimeoutError:
                raise
            except self._errors.APIConnectionError as error:
                raise _broke_off() from error
        if finish == "content_filter":
            raise ModelFailure(ModelFailureReason.DECLINED, "the endpoint's filter withheld the answer")
        if began and finish is None and not _WHOLE.search(tail):
            raise _broke_off()
        if not spoke and finish != "length":
            raise ModelFailure(ModelFailureReason.EMPTY, "the endpoint answered with nothing", retryable=True)

    async def _create(self, body: dict[str, Any]) -> AsyncStream[ChatCompletionChunk]:
        """The response stream. Options that an endpoint does not know are left out from then on."""
        if self._client.is_closed():
            raise ModelFailure(ModelFailureReason.UNREACHABLE, "the connections are closed: the service is stopping")
        while True:
            known = frozenset(self._unknown_options)
            try:
                stream = await self._client.chat.completions.create(**_reworded(body, known), stream=True)
                return cast("AsyncStream[ChatCompletionChunk]", stream)
            except (self._errors.BadRequestError, self._errors.UnprocessableEntityError) as error:
                option = _unknown_option(error)
                if option is None or option in known:
                    raise
                self._unknown_options.add(option)

    def _failure(self, error: Exception) -> ModelFailure:
        """Our error for one of the SDK's. The endpoint's own words stay in the cause: they may quote the prompt."""
        if isinstance(error, self._errors.APITimeoutError) and type(error.__cause__).__name__ not in _NEVER_CONNECTED:
            return ModelFailure(ModelFailureReason.TIMEOUT, "the endpoint did not answer in time", retryable=True)
        if isinstance(error, self._errors.APIConnectionError):
            return ModelFailure(ModelFailureReason.UNREACHABLE, "no connection to the endpoint", retryable=True)
        if isinstance(error, self._errors.APIStatusError):
            return _of_status(error)
        return ModelFailure(ModelFailureReason.SERVER_ERROR, "the endpoint reported an error", retryable=True)


def _of_status(error: APIStatusError) -> ModelFailure:
    status = error.status_code
    fallback = (ModelFailureReason.SERVER_ERROR, True) if status >= 500 else (ModelFailureReason.REJECTED, False)
    reason, retryable = _BY_STATUS.get(status, fallback)
    if "insufficient_quota" in (error.code, error.type):
        retryable = False  # an empty purse is a 429 too, and waiting does not fill it
    return ModelFailure(
        reason,
        f"the endpoint answered {status}",
        retryable=retryable,
        retry_after_s=_retry_after_s(error.response.headers),
    )


def _body(model: str, request: ChatRequest, form: OutputForm) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "max_tokens": request.max_output_tokens,
        "temperature": request.temperature,
        "stream_options": {"include_usage": True},
    }
    if request.structured is not None and form is not OutputForm.TEXT:
        messages = request.structured.messages
        body["messages"] = [{"role": message.role, "content": message.content} for message in messages]
        body["response_format"] = form.response_format(request.structured)
    return body


def _reworded(body: dict[str, Any], unknown: frozenset[str]) -> dict[str, Any]:
    """The body without the options that the endpoint does not know; the limit goes by its newer name then."""
    worded = {name: value for name, value in body.items() if name not in unknown}
    if "max_tokens" in unknown:
        worded["max_completion_tokens"] = body["max_tokens"]
    return worded


def _unknown_option(error: APIStatusError) -> str | None:
    """The option that a rejection is about, if the request can do without it. A limit that is too high is no such."""
    said = str(error)
    if "stream_options" in said:
        return "stream_options"
    if error.code in _UNSUPPORTED:
        return next((option for option in ("max_tokens", "temperature") if option in (error.param or said)), None)
    return None


def _status(error: APIError) -> int:
    """The status of an error; one that comes inside a stream is a server's."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return status
    return 0 if error.body is None else 500


def _check_type(content_type: str) -> None:
    """Raises: ModelFailure for what can't be a stream of events; other wrong types are read leniently."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in _NO_STREAM:
        detail = f"the endpoint answered with {kind}, not a chat stream: is its address right?"
        raise ModelFailure(ModelFailureReason.SERVER_ERROR, detail, retryable=True)


def _delta(chunk: ChatCompletionChunk) -> ChatDelta:
    # endpoints send chunks without choices, choices without delta and null content; all are just silence
    delta = chunk.choices[0].delta if chunk.choices else None
    if delta and getattr(delta, "refusal", None):
        raise ModelFailure(ModelFailureReason.DECLINED, "the model declined to answer")
    text = (delta.content or "") if delta else ""
    usage = _usage(chunk.usage) if chunk.usage is not None else None
    return ChatDelta(text, usage, cut_off=_finish(chunk) == "length")


def _finish(chunk: ChatCompletionChunk) -> str | None:
    return chunk.choices[0].finish_reason if chunk.choices else None


def _usage(told: CompletionUsage) -> Usage:
    details = getattr(told, "prompt_tokens_details", None)
    cached = _tokens(details, "cached_tokens") or 0
    return Usage(_tokens(told, "prompt_tokens"), _tokens(told, "completion_tokens"), cached_prompt_tokens=cached)


def _tokens(told: object, name: str) -> int | None:
    """A count; None if there is none, or something else in its place."""
    count = getattr(told, name, None)
    return count if isinstance(count, int) and count >= 0 else None


def _broke_off() -> ModelFailure:
    return ModelFailure(ModelFailureReason.INTERRUPTED, "the stream broke off before the end", retryable=True)


async def _until_visible(deltas: AsyncGenerator[ChatDelta, None]) -> list[ChatDelta]:
    """Pieces up to and with the first that is not blank; all of them if none is."""
    head = []
    async for delta in deltas:
        head.append(delta)
        if delta.text.strip():
            break
    return head


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait from `Retry-After` in either of its two forms (RFC 9110, 10.2.3); None if absent or not one."""
    header = headers.get("retry-after")
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
