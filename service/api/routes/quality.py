"""`/v1/quality`: what all traffic says about relevance, grounding, speed and cost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response

from service.api.access import Administering, Running
from service.api.models.quality import QualityParameters, QualityResponse, SeriesParameters, SeriesResponse
from service.api.problems import RESPONSES
from service.api.replies import reply
from service.quality.online.report import quality
from service.quality.online.series import series
from service.quality.windows import slice_of

router = APIRouter(tags=["quality"], responses=RESPONSES)


@router.get("/v1/quality", response_model=QualityResponse, summary="Signals of all traffic")
def get_quality(
    parameters: Annotated[QualityParameters, Query()], principal: Administering, runtime: Running
) -> Response:
    """The tenant's queries and answers in a window, each figure beside the window before. For keys with `admin`."""
    about = slice_of(parameters.window, datetime.now(UTC), principal.tenant, parameters.collection)
    found = quality(runtime.corpus.database, about, runtime.settings.signals)
    return reply(QualityResponse.of(found, parameters.window))


@router.get("/v1/quality/series", response_model=SeriesResponse, summary="Signals over time")
def get_series(
    parameters: Annotated[SeriesParameters, Query()], principal: Administering, runtime: Running
) -> Response:
    """The same window in equal parts, as counts, for charts. For keys with `admin`."""
    about = slice_of(parameters.window, datetime.now(UTC), principal.tenant, parameters.collection)
    return reply(SeriesResponse.of(series(runtime.corpus.database, about, parameters.buckets), parameters.window))
