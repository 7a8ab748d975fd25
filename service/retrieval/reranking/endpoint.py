"""The reranker behind an HTTP endpoint: what Cohere, Jina, vLLM and others call `/rerank`, and TEI's dialect of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from time import monotonic
from typing import Any

import httpx

from service.retrieval.reranking.reranker import RerankSkip, Scored
from service.retrieval.reranking.resting import Rest
from service.settings import RerankerSettings

_PATH = "/rerank"
_MAX_REPLY_BYTES = 4_000_000
_CALLS_AT_ONCE = 16
_UNKNOWN_FIELDS = frozenset({400, 422})
_PASSING = frozenset({408, 425})
_ABOUT_THE_ENDPOINT = frozenset(
    {RerankSkip.OUT_OF_TIME, RerankSkip.UNREACHABLE, RerankSkip.RATE_LIMITED, RerankSkip.SERVER_ERROR}
)
"""Failures that speak about the endpoint. A refused request speaks about the request, and must not stop others."""


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: bytes
    retry_after_s: float | None


@dataclass(frozen=True, slots=True)
class _Answer:
    """Scores or why not, and how long the endpoint asked to be left alone."""

    scored: Scored
    retry_after_s: float | None = None


class EndpointReranker:
    """Scores from an endpoint, all or none: one call per search, repeated only to learn the dialect, once.

    The call runs in a thread of its own and is left behind when the time is out: no HTTP client bounds the look-up
    of a name, or an answer that comes drop by drop, as a whole. What is left behind ends at its own time limits, and
    there are at most `_CALLS_AT_ONCE` calls; those beyond wait for a place until their time is out.
    """

    def __init__(self, settings: RerankerSettings) -> None:
        assert settings.base_url is not None
        base = settings.base_url.rstrip("/")
        self._url = base if base.endswith(_PATH) else base + _PATH
        self._model = settings.model
        self._connect_timeout_s = settings.connect_timeout_s
        key = settings.api_key
        self._client = httpx.Client(headers={"Authorization": f"Bearer {key.get_secret_value()}"} if key else {})
        self._threads = ThreadPoolExecutor(_CALLS_AT_ONCE, thread_name_prefix="rerank")
        self._rest = Rest()
        self._says_texts = False

    @property
    def name(self) -> str:
        return f"{self._model or 'model'}@endpoint"

    @property
    def probabilities(self) -> bool:
        """No endpoint says: some send logits, others numbers between 0 and 1 that are no probabilities."""
        return False

    def score(self, query: str, passages: Sequence[str], deadline: float) -> Scored:
        """Scores as the endpoint gives them, one for each passage, or none."""
        if self._rest.is_on():
            return Scored(stopped=RerankSkip.RESTING)
        call = self._threads.submit(self._ask, query, list(passages), deadline)
        try:
            answer = call.result(timeout=max(0.0, deadline - monotonic()))
        except FutureTimeout:
            call.cancel()
            answer = _Answer(Scored(stopped=RerankSkip.OUT_OF_TIME))
        if answer.scored.stopped in _ABOUT_THE_ENDPOINT:
            self._rest.count_failure(answer.retry_after_s)
        elif answer.scored.values:
            self._rest.end()
        return answer.scored

    def close(self) -> None:
        """Close the connections; a call that was left behind is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _ask(self, query: str, passages: list[str], deadline: float) -> _Answer:
        try:
            reply = self._post(query, passages, deadline, texts=self._says_texts)
            if reply.status in _UNKNOWN_FIELDS and not self._says_texts:
                # TEI wants `texts` where all others want `documents`, and says 422. Kept in mind if it then works.
                reply = self._post(query, passages, deadline, texts=True)
                self._says_texts = reply.status == httpx.codes.OK
        except httpx.ConnectTimeout:
            return _Answer(Scored(stopped=RerankSkip.UNREACHABLE))
        except httpx.TimeoutException:
            return _Answer(Scored(stopped=RerankSkip.OUT_OF_TIME))
        except httpx.DecodingError:
            return _Answer(Scored(stopped=RerankSkip.MALFORMED))
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError):
            return _Answer(Scored(stopped=RerankSkip.UNREACHABLE))
        if reply.status != httpx.codes.OK:
            return _Answer(Scored(stopped=_reason(reply.status)), reply.retry_after_s)
        try:
            return _Answer(Scored(read_scores(reply.body, len(passages))))
        except ValueError:
            return _Answer(Scored(stopped=RerankSkip.MALFORMED))

    def _post(self, query: str, passages: list[str], deadline: float, *, texts: bool) -> _Reply:
        """Raises: httpx.TimeoutException when the time is out, and httpx's other errors."""
        left_s = deadline - monotonic()
        if left_s <= 0:
            raise httpx.PoolTimeout("no time was left for the call")
        request: dict[str, Any] = {"query": query}
        if texts:
            request |= {"texts": passages, "truncate": True}
        else:
            request |= {"documents": passages, "top_n": len(passages)}
        if self._model is not None:
            request["model"] = self._model
        timeout = httpx.Timeout(left_s, connect=min(self._connect_timeout_s, left_s))
        with self._client.stream("POST", self._url, json=request, timeout=timeout) as response:
            return _Reply(response.status_code, _read(response, deadline), _retry_after_s(response.headers))


def read_scores(body: bytes, expected: int) -> tuple[float, ...]:
    """The score of each passage in their order, from either form of reply.

    `{"results": [{"index", "relevance_score"}]}` (some say `data` and `score`), or TEI's `[{"index", "score"}]`.
    Raises: ValueError if it is neither, or not exactly one score for each passage.
    """
    reply = _json(body)
    rows = reply if isinstance(reply, list) else None
    if isinstance(reply, dict):
        rows = reply.get("results", reply.get("data"))
    if not isinstance(rows, list) or len(rows) != expected:
        raise ValueError("not one result for each passage")
    scores = dict(_index_and_score(row) for row in rows)
    if sorted(scores) != list(range(expected)):
        raise ValueError("not one score for each passage")
    return tuple(scores[position] for position in range(expected))


def _json(body: bytes) -> object:
    try:
        reply: object = json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    return reply


def _index_and_score(row: object) -> tuple[int, float]:
    """Raises: ValueError."""
    if not isinstance(row, dict):
        raise ValueError("a result is not an object")
    index, score = row.get("index"), row.get("relevance_score", row.get("score"))
    if type(index) is not int or not isinstance(score, int | float) or isinstance(score, bool):
        raise ValueError("a result has no index and score")
    try:
        return index, float(score)
    except OverflowError as error:
        raise ValueError("a score is no number that can be compared") from error


def _read(response: httpx.Response, deadline: float) -> bytes:
    """The body, unless it comes too slowly (httpx.ReadTimeout) or is far too long (httpx.DecodingError)."""
    parts: list[bytes] = []
    size = 0
    for part in response.iter_bytes():
        parts.append(part)
        size += len(part)
        if size > _MAX_REPLY_BYTES:
            raise httpx.DecodingError("the reply is too long")
        if monotonic() > deadline:
            raise httpx.ReadTimeout("the reply comes too slowly")
    return b"".join(parts)


def _reason(status: int) -> RerankSkip:
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return RerankSkip.RATE_LIMITED
    if status >= 500 or status in _PASSING:
        return RerankSkip.SERVER_ERROR
    return RerankSkip.REFUSED


def _retry_after_s(headers: httpx.Headers) -> float | None:
    """Seconds asked for with `Retry-After`; its form with a date is left alone."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None
