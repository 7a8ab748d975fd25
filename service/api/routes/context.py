"""`/v1/context`: for triage gateways and agents; no language model."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from service.api.access import Running, Searching
from service.api.models.context import ContextRequest, ContextResponse
from service.api.problems import RESPONSES
from service.api.replies import reply
from service.api.tracking import asked_by, failures_kept
from service.ledger.traces import Operation

router = APIRouter(tags=["context"], responses=RESPONSES)


@router.post("/v1/context", response_model=ContextResponse, summary="A context pack")
def build_context(body: ContextRequest, request: Request, principal: Searching, runtime: Running) -> Response:
    """The same input over the same index gives the same bytes (but for `query_id`)."""
    query, asked = body.query_of(), asked_by(principal, request)
    with failures_kept(runtime.tracker, asked, Operation.CONTEXT, query.text):
        pack = runtime.contexts.build(principal.scope, query)
    response = reply(ContextResponse.of(pack, query_id=asked.id))
    runtime.tracker.context(asked, query.text, tuple(query.selection.collections), pack)
    return response
