"""Asks a running service over HTTP, for commands that can't or shall not open the corpus themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from ingestion.errors import BackendUnavailable, Conflict, NotFound, PlumblineError, SourceUnavailable
from service.errors import Forbidden, Unauthenticated

_TIMEOUT = httpx.Timeout(30, read=300)
_PATIENT = httpx.Timeout(30, read=6 * 3600)


class ServiceRefused(PlumblineError):
    """The service answered with a problem; its own words are the detail."""

    code = "invalid_request"


class ServiceFailed(PlumblineError):
    """The service answered that it, or something that it depends on, does not work."""

    code = "backend_unavailable"


class Remote:
    """A service at an address."""

    def __init__(self, url: str, key: str | None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, patient: bool = False
    ) -> dict[str, Any]:
        """What the service answers, {} if it has nothing to say. `patient`: it may take hours.

        Raises what `search` raises; NotFound, Conflict, SourceUnavailable.
        """
        with self._open(path, body, method=method, timeout=_PATIENT if patient else _TIMEOUT) as response:
            content = response.read()
            found: dict[str, Any] = json.loads(content) if content else {}
            return found

    def search(self, request: dict[str, Any]) -> dict[str, Any]:
        """Raises: BackendUnavailable, Unauthenticated, Forbidden, ServiceRefused."""
        with self._open("/v1/search", request) as response:
            response.read()
            found: dict[str, Any] = response.json()
            return found

    def ask(self, question: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Events of an answer. Raises what `search` raises."""
        with self._open("/v1/answers", {**question, "stream": True}) as response:
            name = ""
            for line in response.iter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    data = json.loads(line.removeprefix("data: "))
                    if name == "error":
                        raise ServiceRefused(data["detail"])
                    yield name, data

    @contextmanager
    def _open(
        self, path: str, body: dict[str, Any] | None, *, method: str = "POST", timeout: httpx.Timeout = _TIMEOUT
    ) -> Iterator[httpx.Response]:
        try:
            with (
                httpx.Client(timeout=timeout, headers=self._headers) as client,
                client.stream(method, self._url + path, json=body) as response,
            ):
                if response.is_error:
                    raise _refusal(response)
                yield response
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise BackendUnavailable(f"{self._url} does not answer: {error}") from error


def _refusal(response: httpx.Response) -> PlumblineError:
    """The error that the same request would have raised in this process."""
    response.read()
    try:
        told = response.json()
        detail, code = str(told["detail"]), str(told.get("code"))
    except (ValueError, KeyError, TypeError, AttributeError):
        detail, code = f"status {response.status_code}", ""
    kinds: dict[int, type[PlumblineError]] = {
        401: Unauthenticated,
        403: Forbidden,
        404: NotFound,
        409: Conflict,
        500: ServiceFailed,
        503: SourceUnavailable if code == SourceUnavailable.code else ServiceFailed,
    }
    return kinds.get(response.status_code, ServiceRefused)(detail)
