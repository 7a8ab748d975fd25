"""The outermost layer: request ids, limits on bodies, one log line and the metrics of every request, the last catch."""

from __future__ import annotations

import re
import time
import uuid
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import INTERNAL, Fault, respond
from service.errors import RequestTooLarge
from service.ledger.metrics import HTTP_REQUESTS, HTTP_SECONDS, Metrics

log = structlog.get_logger(__name__)

MAX_JSON_BYTES = 1_000_000
_UPLOADS = ("/v1/documents", "/v1/documents/batch")
_VERIFIED_BYTES = {"/v1/verify": 4_000_000, "/v1/verify/batch": 10_000_000}
"""JSON may take up to six times the bytes of the text that it holds; the text itself has limits of its own."""
_QUIET = ("/health/live", "/health/ready", "/metrics")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class Edge:
    """ASGI middleware around everything."""

    def __init__(self, app: ASGIApp, *, max_upload_bytes: int) -> None:
        self._app = app
        self._max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send, self._limit(scope["path"]))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=exchange.request_id, **exchange.trace)
        started = time.perf_counter()
        try:
            await self._guarded(exchange)
        finally:
            exchange.report(time.perf_counter() - started)

    def _limit(self, path: str) -> int:
        path = path.rstrip("/")
        return self._max_upload_bytes if path in _UPLOADS else _VERIFIED_BYTES.get(path, MAX_JSON_BYTES)

    async def _guarded(self, exchange: Exchange) -> None:
        """Run the application. The boundary for errors: whatever it did not foresee becomes a problem document."""
        try:
            if exchange.declares_too_much():
                await exchange.answer(exchange.too_large())
            else:
                await self._app(exchange.scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            log.debug("client_left")
        except Exception:
            log.exception("request_crashed", path=exchange.scope["path"])
            if exchange.status is not None:
                raise  # the response has begun: only a broken connection can tell the client
            await exchange.answer(INTERNAL)


class Exchange:
    """One request and its response."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        self.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        trace = _TRACE.fullmatch(headers.get("traceparent", ""))
        self.trace = {"trace_id": trace[1]} if trace else {}
        self.status: int | None = None
        self.scope = scope
        scope["plumbline.request_id"] = self.request_id
        self._receive, self._send = receive, send
        self._limit, self._received = limit, 0
        self._declared = headers.get("content-length", "")

    def declares_too_much(self) -> bool:
        return self._declared.isdecimal() and int(self._declared[:20]) > self._limit

    def too_large(self) -> Fault:
        return Fault(RequestTooLarge.code, f"a request to this address may have at most {self._limit} bytes")

    async def answer(self, fault: Fault) -> None:
        await respond(fault, self.request_id)(self.scope, self._receive, self.send)

    async def receive(self) -> Message:
        """The next part of the body. Raises HTTPException(413) as soon as it is too long, whatever was declared."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            if self._received > self._limit:
                raise HTTPException(413, self.too_large().detail)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)["X-Request-ID"] = self.request_id
        await self._send(message)

    def report(self, seconds: float) -> None:
        """One log line and the metrics."""
        route = getattr(self.scope.get("route"), "path", "other")
        method, status = self.scope["method"], self.status or 499
        write = log.debug if route in _QUIET else log.info
        write("http_request", method=method, route=route, status=status, duration_ms=round(seconds * 1e3, 2))
        metrics = _metrics(self.scope)
        if metrics is not None:
            method = method if method in _METHODS else "other"
            metrics.count(HTTP_REQUESTS, method, route, str(status))
            metrics.observe(HTTP_SECONDS, seconds, method, route)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _metrics(scope: dict[str, Any] | Scope) -> Metrics | None:
    runtime = scope.get("state", {}).get("runtime")
    return None if runtime is None else runtime.metrics
