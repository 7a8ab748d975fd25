"""`/v1/releases`: what is live, and the way back by hand."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from service.api.access import Administering, Running
from service.api.models.releases import ReleasePage, ReleaseParameters, RollbackModel
from service.api.problems import RESPONSES
from service.api.replies import reply
from service.ledger.audit import actor_of
from service.ledger.releases import ReleaseKind
from service.releasing.standing import standings

router = APIRouter(tags=["releases"], responses=RESPONSES)


@router.get("/v1/releases", response_model=ReleasePage, summary="List releases")
def list_releases(parameters: Annotated[ReleaseParameters, Query()], _: Administering, runtime: Running) -> Response:
    """What is in force, and every release, with the signals of the one that is watched."""
    page = runtime.releases.list(cursor=parameters.cursor, limit=parameters.limit)
    standing = standings(runtime.releases, runtime.corpus.generations, runtime.settings)
    return reply(ReleasePage.of(standing.values(), page, runtime.watcher.figures()))


@router.post("/v1/releases/{kind}/rollback", response_model=RollbackModel, summary="Go back from a release")
def roll_back(kind: ReleaseKind, principal: Administering, runtime: Running) -> Response:
    """What was live before it is live again: prompt and model within seconds, a generation when its job is done."""
    return reply(RollbackModel.of(runtime.watcher.way_back.take(kind, actor_of(principal.key_id))))
