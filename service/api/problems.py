"""Errors over HTTP: one table from error code to status, and the problem documents of RFC 9457."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException

from ingestion.errors import BackendUnavailable, InvalidRequest, PlumblineError
from service.errors import AccessDenied

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = "1"

# Every code that can leave the service; any other error of ours is told as `internal`.
STATUSES: Final[Mapping[str, tuple[int, str]]] = {
    "invalid_request": (422, "The request is not valid"),
    "unauthenticated": (401, "A valid key is needed"),
    "forbidden": (403, "The key does not allow this"),
    "access_denied": (403, "Access denied"),
    "not_found": (404, "Not found"),
    "method_not_allowed": (405, "The method is not allowed here"),
    "conflict": (409, "The request contradicts what is stored"),
    "overtaken": (409, "Something changed while this was being done"),
    "idempotency_key_reused": (409, "The Idempotency-Key belongs to another request"),
    "request_in_progress": (409, "The first request is still running"),
    "request_too_large": (413, "The request is too large"),
    "unsupported_media_type": (415, "The media type is not supported"),
    "document_rejected": (422, "The document was rejected"),
    "source_unavailable": (503, "The source did not answer"),
    "backend_unavailable": (503, "A backend did not answer"),
    "audit_unavailable": (503, "The audit log can't be written"),
    "internal": (500, "Internal error"),
}

# What Starlette and FastAPI raise of themselves, as codes of ours.
_CODES: Final[Mapping[int, str]] = {
    400: "invalid_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    415: "unsupported_media_type",
    422: "invalid_request",
}
_BACKEND_DETAIL: Final = "something the service depends on did not answer; /health/ready names it"
_INTERNAL_DETAIL: Final = "the service failed; the log has the details under this request_id"


class FieldProblem(BaseModel):
    """One part of the request that is wrong."""

    pointer: str = Field(description="JSON pointer (RFC 6901) into the body, or to the parameter by its name")
    detail: str
    code: str = Field(description="which rule was broken, for instance `missing` or `extra_forbidden`")


class Problem(BaseModel):
    """An error (RFC 9457). Programs match on `code`; `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldProblem] | None = Field(None, description="with status 422: what is wrong, and where")


RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"model": Problem, "description": "What is wrong with the request"},
    "5XX": {"model": Problem, "description": "What is wrong with the service"},
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What a problem document says besides what the table knows; `status` overrides the table's."""

    code: str
    detail: str
    errors: tuple[FieldProblem, ...] = ()
    status: int | None = None


def fault_of(error: PlumblineError) -> Fault:
    """What a client is told about an error of ours. An error that is not in the table is told as `internal`."""
    if error.code not in STATUSES:
        return Fault("internal", _INTERNAL_DETAIL)
    if isinstance(error, BackendUnavailable):  # its detail names addresses that are the operator's alone
        return Fault(error.code, _BACKEND_DETAIL)
    pointer = error.pointer if isinstance(error, InvalidRequest) else None
    fields = () if pointer is None else (FieldProblem(pointer=pointer, detail=error.detail, code=error.code),)
    return Fault(error.code, error.detail, fields)


INTERNAL: Final = Fault("internal", _INTERNAL_DETAIL)


def body_of(fault: Fault, request_id: str) -> bytes:
    """The problem document."""
    status, title = STATUSES[fault.code]
    problem = {
        "type": f"urn:plumbline:problem:{fault.code}",
        "title": title,
        "status": fault.status or status,
        "detail": fault.detail,
        "code": fault.code,
        "request_id": request_id,
    }
    if fault.errors:
        problem["errors"] = [field.model_dump() for field in fault.errors]
    # ASCII only: a message may quote a lone surrogate, which has no UTF-8.
    return json.dumps(problem, ensure_ascii=True).encode()


def respond(fault: Fault, request_id: str, headers: Mapping[str, str] | None = None) -> Response:
    """The problem document with its status and headers."""
    status = fault.status or STATUSES[fault.code][0]
    extra = dict(headers or {})
    if status == HTTPStatus.UNAUTHORIZED:
        extra["WWW-Authenticate"] = "Bearer"
    if fault.code in ("backend_unavailable", "audit_unavailable", "request_in_progress"):
        extra["Retry-After"] = RETRY_AFTER_S
    return Response(body_of(fault, request_id), status, extra, MEDIA_TYPE)


def field_problems(errors: Sequence[Any]) -> tuple[FieldProblem, ...]:
    """Pydantic's errors with JSON pointers; where a request has several parts, the part's name is left out."""
    return tuple(
        FieldProblem(
            pointer=pointer_of(error["loc"]), detail=error["msg"].removeprefix("Value error, "), code=error["type"]
        )
        for error in errors
    )


def pointer_of(location: Sequence[int | str]) -> str:
    """`("body", "filter", "must", 0)` as `/filter/must/0`."""
    parts = location[1:] if location and location[0] in ("body", "query", "path", "header") else location
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def invalid(errors: Sequence[Any]) -> Fault:
    """What is told about a request that does not fit its model."""
    fields = field_problems(errors)
    first = fields[0]
    more = f" (and {len(fields) - 1} more)" if len(fields) > 1 else ""
    return Fault("invalid_request", f"{first.pointer or 'the request'}: {first.detail}{more}", fields)


def request_id_of(request: Request) -> str:
    return str(request.scope.get("plumbline.request_id", ""))


def install(app: FastAPI, refused: Callable[[Request, AccessDenied], None]) -> None:
    """Make every error of the routes a problem document; `refused` is told of requests that were turned away.

    The handlers are `async` although they await nothing: plain functions would each be sent to a thread.
    """

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, PlumblineError)
        fault = fault_of(error)
        if isinstance(error, AccessDenied):
            refused(request, error)
        if fault.code in ("internal", "backend_unavailable", "audit_unavailable"):
            log.error("request_failed", code=error.code, detail=error.detail)
        return respond(fault, request_id_of(request))

    async def unfit(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError | ValidationError)
        return respond(invalid(_plain(error.errors())), request_id_of(request))

    async def theirs(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = _CODES.get(error.status_code, "internal" if error.status_code >= 500 else "invalid_request")
        return respond(Fault(code, str(error.detail), status=error.status_code), request_id_of(request), error.headers)

    app.add_exception_handler(PlumblineError, ours)
    app.add_exception_handler(RequestValidationError, unfit)
    app.add_exception_handler(HTTPException, theirs)


def _plain(errors: Sequence[Any]) -> list[Any]:
    # A body that is not JSON at all: the "location" is a position in its text, not a field.
    return [
        {**error, "loc": (), "msg": f"the body is not JSON: {error.get('ctx', {}).get('error', error['msg'])}"}
        if error["type"] == "json_invalid"
        else error
        for error in errors
    ]
