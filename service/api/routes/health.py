"""Health and metrics, for whoever operates the service."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import structlog
from fastapi import APIRouter, Response
from pydantic import Field

from ingestion.syncing import SourceHealth
from service.api.access import Anyone, Running
from service.api.models.fields import Reply
from service.api.problems import RESPONSES
from service.api.replies import reply
from service.ledger.metrics import CONTENT_TYPE, SOURCE_AGE, SOURCE_FAILURES, SOURCES

log = structlog.get_logger(__name__)

router = APIRouter(tags=["operation"], responses=RESPONSES)


class Liveness(Reply):
    """The process runs."""

    status: Literal["ok"] = "ok"


class Readiness(Reply):
    """Whether requests can be answered now, and each dependency by its name."""

    status: Literal["ready", "not_ready"]
    dependencies: dict[str, Literal["ok", "down"]] = Field(description="the log says why one is down")
    sources: dict[str, int] = Field(description="how many sources are in which state of health; none makes it 503")


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
    sources: Counter[str] = Counter()
    if states["database"] == "ok":
        sources.update(source.health.value for source in runtime.sources.numbers())
        for source, trouble in runtime.sources.health_states().items():
            log.warning("source_in_trouble", source=source, detail=trouble)
    is_ready = all(state == "ok" for state in states.values())
    return reply(
        Readiness(
            status="ready" if is_ready else "not_ready",
            dependencies={name: "ok" if state == "ok" else "down" for name, state in states.items()},
            sources=sources,
        ),
        200 if is_ready else 503,
    )


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
def metrics(_: Anyone, runtime: Running) -> Response:
    """Numbers of this process, of no tenant in particular. Any key will do."""
    sources = runtime.sources.numbers()
    for health in SourceHealth:
        runtime.metrics.set(SOURCES, sum(source.health is health for source in sources), health.value)
    runtime.metrics.set(SOURCE_FAILURES, max((source.failures for source in sources), default=0))
    runtime.metrics.set(SOURCE_AGE, max((source.since_success_s or 0 for source in sources), default=0))
    return Response(runtime.metrics.exposition(), media_type=CONTENT_TYPE)
