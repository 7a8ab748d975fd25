"""`/v1/traces`: what was asked, what was found and answered, and how it was judged."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from ingestion.corpus.scope import TenantId
from ingestion.errors import NotFound
from service.api.access import Administering, Running
from service.api.auditing import Audited
from service.api.models.traces import TraceDetail, TracePage, TraceParameters, TraceSummary, chunks_in
from service.api.problems import RESPONSES
from service.api.replies import reply
from service.ledger.audit import Action
from service.ledger.traces import Trace
from service.runtime import Runtime

router = APIRouter(tags=["quality"], responses=RESPONSES)

PathTrace = Annotated[str, Path(min_length=1, max_length=64)]
_FLUSH_S = 2.0


@router.get("/v1/traces", response_model=TracePage, summary="List traces")
def list_traces(
    parameters: Annotated[TraceParameters, Query()], principal: Administering, runtime: Running, acting: Audited
) -> Response:
    """The tenant's searches, context packs and answers, newest or worst first, without what was found."""
    wanted = parameters.filter_of(datetime.now(UTC))
    page = runtime.traces.list(
        principal.tenant, wanted, sort=parameters.sort, cursor=parameters.cursor, limit=parameters.limit
    )
    acting.told(Action.TRACES_READ, None, entries=len(page.items))
    return reply(TracePage(traces=[TraceSummary.of(trace) for trace in page.items], next_cursor=page.next_cursor))


@router.get("/v1/traces/{trace_id}", response_model=TraceDetail, summary="One trace")
def get_trace(trace_id: PathTrace, principal: Administering, runtime: Running, acting: Audited) -> Response:
    """Everything that is known of one search, context pack or answer, by its own id or its query's."""
    trace = _trace(runtime, principal.tenant, trace_id)
    calls = runtime.traces.calls(principal.tenant, trace)
    feedback = runtime.feedback.of_trace(principal.tenant, trace.id)
    acting.told(Action.TRACES_READ, trace.id)
    # Under another generation the same id may be another chunk.
    same = trace.index_version == runtime.corpus.index_version
    chunks = runtime.corpus.get_chunks(principal.scope, chunks_in(trace.body)) if same else {}
    return reply(TraceDetail.whole(trace, calls, feedback, chunks))


def _trace(runtime: Runtime, tenant: TenantId, id_: str) -> Trace:
    try:
        return runtime.traces.get(tenant, id_)
    except NotFound:
        # It may be on its way: this process writes its traces a moment after the response.
        runtime.recorder.flush(_FLUSH_S)
        return runtime.traces.get(tenant, id_)
