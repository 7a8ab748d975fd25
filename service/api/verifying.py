"""Reads answers that are to be verified, and tells the verdict on each or what is wrong with it. Blocking."""

from __future__ import annotations

import time
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from ingestion.corpus.scope import Scope
from ingestion.errors import InvalidRequest
from service.api.models.verify import (
    ItemError,
    VerifiedItem,
    VerifyBatchResponse,
    VerifyEnvelope,
    VerifyItem,
    VerifyRequest,
    VerifyResponse,
)
from service.api.problems import field_problems
from service.generation.verification import Verifier

_Model = TypeVar("_Model", bound=BaseModel)


def verify_body(verifier: Verifier, scope: Scope, body: bytes) -> VerifyResponse:
    """The verdict on one answer. Raises: InvalidRequest, RequestValidationError, BackendUnavailable."""
    return _verify(verifier, scope, _read(VerifyRequest, body))


def verify_batch(verifier: Verifier, scope: Scope, body: bytes) -> VerifyBatchResponse:
    """The verdicts on all items. Raises: InvalidRequest, RequestValidationError, BackendUnavailable."""
    started = time.perf_counter()
    items = [verify_item(verifier, scope, item) for item in _read(VerifyEnvelope, body).items]
    return VerifyBatchResponse(items=items, timings_ms={"total": round((time.perf_counter() - started) * 1e3, 2)})


def verify_item(verifier: Verifier, scope: Scope, item: Any) -> VerifiedItem:
    """The verdict on one item, or what is wrong with it. Raises: BackendUnavailable."""
    given = item.get("id") if isinstance(item, dict) else None
    id_ = given if isinstance(given, str | int) and not isinstance(given, bool) else None
    try:
        return VerifiedItem(id=id_, result=_verify(verifier, scope, VerifyItem.model_validate(item)), error=None)
    except ValidationError as error:
        field = field_problems(_located(error))[0]
        problem = ItemError(code=InvalidRequest.code, detail=field.detail, pointer=field.pointer)
    except InvalidRequest as error:
        problem = ItemError(code=error.code, detail=error.detail, pointer=error.pointer)
    return VerifiedItem(id=id_, result=None, error=problem)


def _verify(verifier: Verifier, scope: Scope, request: VerifyRequest) -> VerifyResponse:
    started = time.perf_counter()
    found = verifier.verify(scope, request.query_of())
    return VerifyResponse.of(found, {"total": (time.perf_counter() - started) * 1e3})


def _located(error: ValidationError) -> list[Any]:
    """Its parts where FastAPI would place them: in the body."""
    return [{**part, "loc": ("body", *part["loc"])} for part in error.errors()]


def _read(model: type[_Model], body: bytes) -> _Model:
    try:
        return model.model_validate(from_json(body, allow_inf_nan=False))
    except ValidationError as error:
        raise RequestValidationError(_located(error)) from error
    except ValueError as error:
        raise InvalidRequest(f"the body is not JSON: {error}", pointer="") from error
