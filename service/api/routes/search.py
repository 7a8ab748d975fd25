"""`/v1/search`: no language model, ever."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, Query, Response

from service.access.principals import Principal
from service.api.access import Running, Searching
from service.api.models.search import SearchParameters, SearchRequest, SearchResponse
from service.api.problems import RESPONSES
from service.api.replies import reply
from service.ledger.metrics import RELEVANCE
from service.retrieval.query import SearchQuery
from service.runtime import Runtime

router = APIRouter(tags=["search"], responses=RESPONSES)


@router.post("/v1/search", response_model=SearchResponse, summary="Search")
def search(request: SearchRequest, principal: Searching, runtime: Running) -> Response:
    """Passages about the query, best first, and how relevant the whole result is."""
    return _answer(runtime, principal, request.query_of())


@router.get("/v1/search", response_model=SearchResponse, summary="Search with query parameters")
def search_by_parameters(
    parameters: Annotated[SearchParameters, Query()], principal: Searching, runtime: Running
) -> Response:
    """The same for a browser and a shell."""
    return _answer(runtime, principal, parameters.query_of())


def _answer(runtime: Runtime, principal: Principal, query: SearchQuery) -> Response:
    result = runtime.searcher.search(principal.scope, query)
    runtime.metrics.observe_stages("search", result.timings_ms)
    runtime.metrics.count(RELEVANCE, "search", result.relevance.label)
    return reply(SearchResponse.of(result, query_id=str(uuid.uuid4()), index_version=result.index_version))
