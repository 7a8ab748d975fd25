"""Server-sent events: how the events of an answer look on the wire, and what happens when one goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import assert_never

import structlog
from pydantic import BaseModel

from ingestion.errors import PlumblineError
from service.api.models.answers import (
    AnswerResponse,
    GroundingModel,
    RetrievalEventModel,
    SentenceEventModel,
)
from service.api.problems import INTERNAL, body_of, fault_of
from service.generation.answers import (
    AnswerEvent,
    DoneEvent,
    GroundingEvent,
    RetrievalEvent,
    SentenceEvent,
)

log = structlog.get_logger(__name__)

MEDIA_TYPE = "text/event-stream"
# No proxy may keep an event back, and none may cut the line while the model thinks.
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
_PING = b": waiting\n\n"
_PING_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class AnswerIds:
    """What the events of one answer, and the error that may end them, are told apart by."""

    answer_id: str
    query_id: str
    request_id: str


async def wire(events: AsyncGenerator[AnswerEvent, None], ids: AnswerIds) -> AsyncGenerator[bytes, None]:
    """The events as bytes. The boundary for errors: after the first byte, whatever goes wrong is an event."""
    try:
        upcoming = asyncio.ensure_future(anext(events, None))
        while True:
            done, _ = await asyncio.wait({upcoming}, timeout=_PING_EVERY_S)
            if not done:
                yield _PING
                continue
            event = upcoming.result()
            if event is None:
                return
            yield encode(event, ids)
            upcoming = asyncio.ensure_future(anext(events, None))
    except PlumblineError as error:
        log.warning("answer_broke_off", code=error.code, detail=error.detail)
        yield _frame("error", body_of(fault_of(error), ids.request_id).decode())
    except Exception:
        log.exception("answer_crashed")
        yield _frame("error", body_of(INTERNAL, ids.request_id).decode())
    finally:
        # The caller may have left in the middle of a sentence: the model's call ends with it.
        upcoming.cancel()
        await asyncio.wait({upcoming})
        await events.aclose()


def encode(event: AnswerEvent, ids: AnswerIds) -> bytes:
    """One event of an answer as bytes."""
    name, data = payload(event, ids)
    return _frame(name, data.model_dump_json())


def payload(event: AnswerEvent, ids: AnswerIds) -> tuple[str, BaseModel]:
    """Name and data of one event of an answer."""
    match event:
        case RetrievalEvent():
            return "retrieval", RetrievalEventModel.of(event, answer_id=ids.answer_id, query_id=ids.query_id)
        case SentenceEvent():
            return "sentence", SentenceEventModel.of_event(event)
        case GroundingEvent():
            return "grounding", GroundingModel.of(event.grounding)
        case DoneEvent():
            return "done", AnswerResponse.of(event.answer, answer_id=ids.answer_id, query_id=ids.query_id)
        case _:
            assert_never(event)


def _frame(name: str, data: str) -> bytes:
    # JSON holds no line break, so one data line is enough.
    return f"event: {name}\ndata: {data}\n\n".encode()
