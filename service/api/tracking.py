"""What a request tells the tracker: who asked, under which ids, and that it failed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import Request

from ingestion.errors import PlumblineError
from service.access.principals import Principal
from service.api.problems import request_id_of
from service.ledger.traces import Operation
from service.tracking.tracker import Asked, Tracker


def asked_by(principal: Principal, request: Request, id_: str | None = None) -> Asked:
    """The request as the tracker knows it, with ids of its own; `id_` is that of an answer."""
    query_id = str(uuid.uuid4())
    return Asked(
        id=id_ or query_id,
        query_id=query_id,
        tenant=principal.tenant,
        key_id=principal.key_id,
        request_id=request_id_of(request),
        traceparent=request.headers.get("traceparent"),
    )


@contextmanager
def failures_kept(tracker: Tracker, asked: Asked, operation: Operation, text: str) -> Iterator[None]:
    """Keep a trace of an error that ends the context, and let it pass."""
    code: str | None = PlumblineError.code
    try:
        yield
        code = None
    except PlumblineError as error:
        code = error.code
        raise
    finally:
        if code is not None:
            tracker.failed(asked, operation, text, code)
