"""`/v1/feedback`: clicks, ratings, corrections and outcomes, joined to the traces that they are about."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from starlette.concurrency import run_in_threadpool

from service.api.access import Administering, GivingFeedback, Running
from service.api.auditing import Audited
from service.api.models.feedback import FeedbackModel, FeedbackPage, FeedbackParameters, FeedbackRequest
from service.api.problems import RESPONSES
from service.api.replies import IdempotencyKey, fingerprint_of, once, reply
from service.ledger.audit import Action

router = APIRouter(tags=["quality"], responses=RESPONSES)


@router.post("/v1/feedback", response_model=FeedbackModel, status_code=201, summary="Give feedback")
async def give_feedback(
    body: FeedbackRequest, principal: GivingFeedback, runtime: Running, acting: Audited, key: IdempotencyKey = None
) -> Response:
    """On a search, a context pack or an answer, by its id. When this returns it is stored."""

    def take() -> Response:
        taken = runtime.feedback_taker.take(principal.tenant, body.given_by(principal.key_id))
        acting.told(Action.FEEDBACK_GIVE, taken.id, kind=taken.kind, trace=taken.trace_id)
        return reply(FeedbackModel.of(taken), 201)

    async def work() -> Response:
        return await run_in_threadpool(take)

    fingerprint = fingerprint_of("feedback", body.model_dump_json())
    return await once(runtime.idempotency, principal.tenant, key, fingerprint, work)


@router.get("/v1/feedback", response_model=FeedbackPage, summary="List feedback")
def list_feedback(
    parameters: Annotated[FeedbackParameters, Query()], principal: Administering, runtime: Running, acting: Audited
) -> Response:
    """The tenant's feedback, newest first."""
    wanted = parameters.filter_of()
    page = runtime.feedback.list(principal.tenant, wanted, cursor=parameters.cursor, limit=parameters.limit)
    acting.told(Action.FEEDBACK_READ, None, entries=len(page.items))
    listed = [FeedbackModel.of(record) for record in page.items]
    return reply(FeedbackPage(feedback=listed, next_cursor=page.next_cursor))
