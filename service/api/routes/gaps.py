"""`/v1/quality/gaps` and `/v1/quality/knowledge`: what is missing in the documents, and what is wrong with them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from ingestion.corpus.scope import Scope
from service.api.access import Administering, Running
from service.api.auditing import Audited
from service.api.models.fields import CollectionName, WindowText
from service.api.models.gaps import GapPage
from service.api.models.knowledge import KnowledgeReport
from service.api.problems import RESPONSES
from service.api.replies import reply
from service.ledger.audit import Action
from service.quality.knowledge.gaps import find_gaps
from service.quality.knowledge.health import contradictions_among, examine_knowledge
from service.quality.knowledge.inventory import take_inventory
from service.quality.windows import window_of

router = APIRouter(tags=["quality"], responses=RESPONSES)

MAX_PAGE = 100

InCollection = Annotated[
    CollectionName | None,
    Query(description="what was asked in this collection; a search of all of them counts for that of its best hit"),
]
OfCollection = Annotated[CollectionName | None, Query(description="the documents of this collection only")]
StaleDays = Annotated[int, Query(ge=1, le=3650, description="days without a change after which a document is old")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Cursor = Annotated[
    str | None, Query(max_length=1000, pattern=r"^[0-9]{1,6}$", description="`next_cursor` of the page before")
]


@router.get("/v1/quality/gaps", response_model=GapPage, summary="What was asked and not found")
def list_gaps(
    principal: Administering,
    runtime: Running,
    acting: Audited,
    window: Annotated[WindowText, Query()] = "7d",
    collection: InCollection = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Response:
    """Groups of questions that found nothing relevant or little, were refused, were answered with weak grounding, or
    whose answers people rejected; most frequent first. Made anew at most every five minutes.
    """
    corpus, scope = runtime.corpus, Scope(principal.tenant)
    report = runtime.recent.get(
        ("gaps", scope.tenant, corpus.index_version, window, collection),
        lambda: find_gaps(corpus, scope, window_of(window), collection),
    )
    acting.told(Action.GAPS_READ, collection, window=window)
    return reply(GapPage.of(report, int(cursor or 0), limit))


@router.get("/v1/quality/knowledge", response_model=KnowledgeReport, summary="What is wrong with the documents")
def read_knowledge(
    principal: Administering,
    runtime: Running,
    window: Annotated[WindowText, Query()] = "30d",
    collection: OfCollection = None,
    limit: Limit = 20,
    stale_days: StaleDays = 365,
) -> Response:
    """Documents that contradict each other on a number or a command, that are old or replaced and still shown, and
    that nobody was ever shown. Made anew at most every five minutes; up to a minute for many documents.
    """
    corpus, scope = runtime.corpus, Scope(principal.tenant)
    key = (scope.tenant, corpus.index_version, collection)
    # What contradicts takes the time, and does not depend on the window.
    inventory, found = runtime.recent.get(
        ("contradictions", *key),
        lambda: (taken := take_inventory(corpus, scope, collection), contradictions_among(corpus, scope, taken)),
    )
    report = runtime.recent.get(
        ("knowledge", *key, window, stale_days),
        lambda: examine_knowledge(corpus.database, inventory, found, scope.tenant, window_of(window), stale_days),
    )
    return reply(KnowledgeReport.of(report, limit))
