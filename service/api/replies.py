"""Responses that are serialised once, where the work was done, and requests that are answered once."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Header, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from ingestion.corpus.scope import TenantId
from service.ledger.idempotency import FirstResult, IdempotencyLedger

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="repeat the request with the same key, and the first result comes back and no work is done twice",
    ),
]


def reply(model: BaseModel, status: int = 200) -> Response:
    """The model as JSON. Passed through as it is: validating our own records again would cost more than making them."""
    return Response(model.model_dump_json(), status, media_type="application/json")


async def once(
    ledger: IdempotencyLedger,
    tenant: TenantId,
    key: str | None,
    fingerprint: str,
    work: Callable[[], Awaitable[Response]],
) -> Response:
    """The result of `work`, or the first result of the same request if there was one under this key.

    Raises: IdempotencyKeyReused, RequestInProgress, and what `work` raises; a request that failed may be repeated.
    """
    if key is None:
        return await work()
    first = await run_in_threadpool(ledger.begin, tenant, key, fingerprint)
    if first is not None:
        return Response(first.body, first.status, {"Idempotency-Replayed": "true"}, "application/json")
    finished = False
    try:
        response = await work()
        await run_in_threadpool(ledger.finish, tenant, key, FirstResult(response.status_code, bytes(response.body)))
        finished = True
    finally:
        if not finished:
            await run_in_threadpool(ledger.abandon, tenant, key)
    return response


def fingerprint_of(*parts: str | bytes) -> str:
    """SHA-256 over the parts of a request that make it that request."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()
