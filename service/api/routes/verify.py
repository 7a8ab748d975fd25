"""`/v1/verify`: verdicts on answers that were written elsewhere; no language model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from ingestion.corpus.scope import Scope
from service.access.principals import Principal
from service.api.access import Answering, Running
from service.api.auditing import Audited
from service.api.models.verify import VerifyBatch, VerifyBatchResponse, VerifyRequest, VerifyResponse
from service.api.openapi import reference
from service.api.problems import RESPONSES
from service.api.replies import reply
from service.api.verifying import verify_batch, verify_body
from service.generation.verification import Verifier
from service.runtime import Runtime

router = APIRouter(tags=["answers"], responses=RESPONSES)

_JSON = "application/json"
# Read by hand: a body of megabytes is read and checked in the thread that verifies it, not on the event loop.
_ONE = {"requestBody": {"required": True, "content": {_JSON: {"schema": reference(VerifyRequest)}}}}
_MANY = {"requestBody": {"required": True, "content": {_JSON: {"schema": reference(VerifyBatch)}}}}

_Told = TypeVar("_Told", VerifyResponse, VerifyBatchResponse)


@router.post("/v1/verify", response_model=VerifyResponse, summary="Check an answer", openapi_extra=_ONE)
async def verify(request: Request, principal: Answering, runtime: Running, acting: Audited) -> Response:
    """Its sentences against passages or chunks, as those of an own answer: what is cited, and whether that says it."""
    acting.asked("verify")
    return await _verified(request, principal, runtime, verify_body)


@router.post("/v1/verify/batch", response_model=VerifyBatchResponse, summary="Check answers", openapi_extra=_MANY)
async def verify_many(request: Request, principal: Answering, runtime: Running, acting: Audited) -> Response:
    """Up to 100, each by itself: one that is not valid is told so, and the others are checked."""
    acting.asked("verify_batch")
    return await _verified(request, principal, runtime, verify_batch)


async def _verified(
    request: Request, principal: Principal, runtime: Runtime, work: Callable[[Verifier, Scope, bytes], _Told]
) -> Response:
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != _JSON:
        raise HTTPException(415, f"the body must be {_JSON}")
    body = await request.body()

    def verified() -> Response:
        told = work(runtime.verifier, principal.scope, body)
        runtime.metrics.observe_stages("verify", told.timings_ms)
        return reply(told)

    return await run_in_threadpool(verified)
