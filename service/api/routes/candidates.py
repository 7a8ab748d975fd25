"""`/v1/quality/candidates`: which answers are worth a golden case, and the case that one would become."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from service.api.access import Administering, Running
from service.api.auditing import Audited
from service.api.models.candidates import CandidateModel, WorstAnswers
from service.api.models.fields import CollectionName, WindowText
from service.api.problems import RESPONSES
from service.api.replies import reply
from service.ledger.audit import Action
from service.quality.candidates import candidate, worst
from service.quality.windows import window_of

router = APIRouter(tags=["quality"], responses=RESPONSES)

MAX_LISTED = 100

PathTrace = Annotated[str, Path(max_length=64, description="an answer's or a query's id")]


@router.get("/v1/quality/candidates", response_model=WorstAnswers, summary="Answers that are worth a golden case")
def list_candidates(
    principal: Administering,
    runtime: Running,
    acting: Audited,
    window: Annotated[WindowText, Query()] = "7d",
    collection: Annotated[CollectionName | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 20,
    cursor: Annotated[
        str | None, Query(max_length=1000, pattern=r"^[0-9]{1,6}$", description="`next_cursor` of the page before")
    ] = None,
) -> Response:
    """Rated down, corrected, with unsupported sentences, or refused although passages were found; the worst first."""
    stretch = window_of(window)
    found = worst(runtime.corpus.database, principal.tenant, stretch.start, stretch.end, collection)
    acting.told(Action.TRACES_READ, collection, window=window)
    return reply(WorstAnswers.of(found, int(cursor or 0), limit))


@router.get("/v1/quality/candidates/{trace_id}", response_model=CandidateModel, summary="A result as a golden case")
def get_candidate(
    trace_id: PathTrace,
    principal: Administering,
    runtime: Running,
    acting: Audited,
    must_refuse: Annotated[
        bool, Query(description="the documents hold no answer: it should have been refused")
    ] = False,
) -> Response:
    """For a person to review: what people said and what was shown stands in its note."""
    trace = runtime.feedback_taker.trace(principal.tenant, trace_id)
    given = runtime.feedback.of_trace(principal.tenant, trace.id)
    acting.told(Action.TRACES_READ, trace.id)
    return reply(CandidateModel.of(candidate(trace, given, must_refuse=must_refuse)))
