"""Health and metrics, for whoever operates the service."""

from __future__ import annotations

from typing import Literal

import structlog
from fastapi import APIRouter, Response
from pydantic import Field

from service.api.access import Anyone, Running
from service.api.models.fields import Reply
from service.api.problems import RESPONSES
from service.api.replies import reply
from service.ledger.metrics import CONTENT_TYPE

log = structlog.get_logger(__name__)

router = APIRouter(tags=["operation"], responses=RESPONSES)


class Liveness(Reply):
    """The process runs."""

    status: Literal["ok"] = "ok"


class Readiness(Reply):
    """Whether requests can be answered now, and each dependency by its name."""

    status: Literal["ready", "not_ready"]
    dependencies: dict[str, Literal["ok", "down"]] = Field(description="the log says why one is down")


@router.get("/health/live", summary="Is the process alive?")
async def live() -> Liveness:
    """Needs no key."""
    return Liveness()


@router.get(
    "/health/ready",
    response_model=Readiness,
    summary="Can it answer requests?",
    responses={503: {"model": Readiness, "description": "A dependency is down"}},
)
def ready(runtime: Running) -> Response:
    """503 if a dependency is down. Needs no key, and so tells names only."""
    states = runtime.corpus.states()
    for name, state in states.items():
        if state != "ok":
            log.warning("dependency_down", dependency=name, detail=state)
    is_ready = all(state == "ok" for state in states.values())
    return reply(
        Readiness(
            status="ready" if is_ready else "not_ready",
            dependencies={name: "ok" if state == "ok" else "down" for name, state in states.items()},
        ),
        200 if is_ready else 503,
    )


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
def metrics(_: Anyone, runtime: Running) -> Response:
    """Numbers of this process, of no tenant in particular. Any key will do."""
    return Response(runtime.metrics.exposition(), media_type=CONTENT_TYPE)
