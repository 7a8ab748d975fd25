"""`/v1/search`: no language model, ever."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from service.access.principals import Principal
from service.api.access import Running, Searching
from service.api.models.search import SearchParameters, SearchRequest, SearchResponse
from service.api.problems import RESPONSES
from service.api.replies import reply
from service.api.tracking import asked_by, failures_kept
from service.ledger.traces import Operation
from service.retrieval.query import SearchQuery
from service.runtime import Runtime
from service.tracking.tracker import Asked

router = APIRouter(tags=["search"], responses=RESPONSES)


@router.post("/v1/search", response_model=SearchResponse, summary="Search")
def search(body: SearchRequest, request: Request, principal: Searching, runtime: Running) -> Response:
    """Passages about the query, best first, and how relevant the whole result is."""
    return _answer(runtime, principal, asked_by(principal, request), body.query_of())


@router.get("/v1/search", response_model=SearchResponse, summary="Search with query parameters")
def search_by_parameters(
    parameters: Annotated[SearchParameters, Query()], request: Request, principal: Searching, runtime: Running
) -> Response:
    """The same for a browser and a shell."""
    return _answer(runtime, principal, asked_by(principal, request), parameters.query_of())


def _answer(runtime: Runtime, principal: Principal, asked: Asked, query: SearchQuery) -> Response:
    with failures_kept(runtime.tracker, asked, Operation.SEARCH, query.text):
        result = runtime.searcher.search(principal.scope, query)
    response = reply(SearchResponse.of(result, query_id=asked.id, index_version=result.index_version))
    runtime.tracker.search(asked, query, result)
    return response
