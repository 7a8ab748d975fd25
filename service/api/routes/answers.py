"""`/v1/answers`: a cited answer, whole or sentence by sentence."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from ingestion.errors import InvalidRequest
from service.access.principals import Principal
from service.api.access import Answering, Running
from service.api.events import HEADERS, MEDIA_TYPE, AnswerIds, wire
from service.api.models.answers import AnswerRequest, AnswerResponse
from service.api.problems import RESPONSES, request_id_of
from service.api.replies import IdempotencyKey, fingerprint_of, once, reply
from service.api.tracking import asked_by
from service.generation.answering import collect
from service.generation.answers import AnswerEvent
from service.runtime import Runtime
from service.tracking.tracker import Asked

router = APIRouter(tags=["answers"], responses=RESPONSES)

_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            MEDIA_TYPE: {
                "schema": {"type": "string"},
                "description": "with `stream`: `retrieval` (RetrievalEventModel), a verified `sentence` at a time "
                "(SentenceEventModel), `grounding` (GroundingModel), `done` (AnswerResponse) or `error` (Problem)",
            }
        }
    }
}


@router.post("/v1/answers", response_model=AnswerResponse, summary="Ask", responses=_STREAM)
async def answer(
    body: AnswerRequest, request: Request, principal: Answering, runtime: Running, key: IdempotencyKey = None
) -> Response:
    """Every sentence carries citations and its verdict. A model that fails degrades the answer, never the request."""
    asked = asked_by(principal, request, id_=str(uuid.uuid4()))
    ids = AnswerIds(asked.id, asked.query_id, request_id_of(request))
    if body.stream:
        if key is not None:
            raise InvalidRequest("a stream can't be repeated: leave out the Idempotency-Key, or `stream`")
        return await _stream(_tracked(runtime, principal, body, asked), ids)

    async def work() -> Response:
        found = await collect(_tracked(runtime, principal, body, asked))
        return reply(AnswerResponse.of(found, answer_id=ids.answer_id, query_id=ids.query_id))

    fingerprint = fingerprint_of("answers", body.model_dump_json())
    return await once(runtime.idempotency, principal.tenant, key, fingerprint, work)


async def _stream(events: AsyncGenerator[AnswerEvent, None], ids: AnswerIds) -> Response:
    # What is wrong with the request shows in the first event: it is still told by a status.
    first = await anext(events)
    return StreamingResponse(wire(_again(first, events), ids), headers=HEADERS, media_type=MEDIA_TYPE)


async def _again(first: AnswerEvent, events: AsyncGenerator[AnswerEvent, None]) -> AsyncGenerator[AnswerEvent, None]:
    try:
        yield first
        async for event in events:
            yield event
    finally:
        await events.aclose()


def _tracked(
    runtime: Runtime, principal: Principal, body: AnswerRequest, asked: Asked
) -> AsyncGenerator[AnswerEvent, None]:
    """The events of the answer, of which a trace is kept however it ends."""
    query = body.query_of()
    return runtime.tracker.following(asked, query, runtime.answerer.answer(principal.scope, query, asked.id))
