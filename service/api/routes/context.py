"""`/v1/context`: for triage gateways and agents; no language model."""

from __future__ import annotations

import time
import uuid

from fastapi import APIRouter, Response

from service.api.access import Running, Searching
from service.api.models.context import ContextRequest, ContextResponse
from service.api.problems import RESPONSES
from service.api.replies import reply
from service.ledger.metrics import RELEVANCE

router = APIRouter(tags=["context"], responses=RESPONSES)


@router.post("/v1/context", response_model=ContextResponse, summary="A context pack")
def build_context(request: ContextRequest, principal: Searching, runtime: Running) -> Response:
    """The same input over the same index gives the same bytes (but for `query_id`)."""
    started = time.perf_counter()
    pack = runtime.contexts.build(principal.scope, request.query_of())
    runtime.metrics.observe_stages("context", {"total": (time.perf_counter() - started) * 1e3})
    runtime.metrics.count(RELEVANCE, "context", pack.relevance.label)
    return reply(ContextResponse.of(pack, query_id=str(uuid.uuid4())))
