"""`/v1/generations`: build the index anew for another model or chunker, switch to it, go back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from ingestion.rebuilding import Rebuilder
from service.api.access import Administering, Running
from service.api.auditing import Audited
from service.api.models.generations import GenerationList, GenerationModel
from service.api.models.jobs import JobModel
from service.api.problems import RESPONSES
from service.api.replies import reply
from service.ledger.audit import Action

router = APIRouter(tags=["generations"], responses=RESPONSES)

PathGeneration = Annotated[str, Path(max_length=64, pattern=r"^v[0-9]+-[0-9a-f]+$")]


@router.get("/v1/generations", response_model=GenerationList, summary="List generations of the index")
def list_generations(_: Administering, runtime: Running) -> Response:
    """The one that is searched, and those that are built or kept beside it."""
    found = Rebuilder(runtime.corpus).generations()
    return reply(GenerationList(generations=[GenerationModel.of(status) for status in found]))


@router.post("/v1/generations", response_model=JobModel, status_code=202, summary="Build the index anew")
def rebuild(principal: Administering, runtime: Running, acting: Audited) -> Response:
    """A job that builds what the settings ask for beside the index that is searched, and switches to it. Searches and
    writes go on meanwhile.
    """
    with acting.change(Action.GENERATION_BUILD, shared=True):
        return reply(JobModel.of(runtime.jobs.rebuild(principal.scope)), 202)


@router.post(
    "/v1/generations/{name}/activate", response_model=JobModel, status_code=202, summary="Switch to a generation"
)
def activate(name: PathGeneration, principal: Administering, runtime: Running, acting: Audited) -> Response:
    """A job that takes in what changed since that generation was searched, and switches to it: the way back, too."""
    Rebuilder(runtime.corpus).get(name)
    with acting.change(Action.GENERATION_SWITCH, name, shared=True):
        return reply(JobModel.of(runtime.jobs.rebuild(principal.scope, name)), 202)
