"""`/v1/sources`: say where documents come from, have them synced, and see whether all is in step."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from starlette.concurrency import run_in_threadpool

from ingestion.errors import InvalidRequest
from ingestion.sources.definitions import SourceId
from service.api.access import Administering, Ingesting, Running
from service.api.auditing import Audited
from service.api.models.fields import DocumentIdText
from service.api.models.jobs import JobModel
from service.api.models.sources import (
    ReconciliationModel,
    Retried,
    SourceModel,
    SourcePage,
    SourceParameters,
    SourceRequest,
)
from service.api.problems import RESPONSES
from service.api.replies import IdempotencyKey, fingerprint_of, once, reply
from service.ledger.audit import Action

router = APIRouter(tags=["sources"], responses=RESPONSES)

PathSource = Annotated[DocumentIdText, Path(max_length=64, description="the source's id")]


@router.post("/v1/sources", response_model=SourceModel, status_code=201, summary="Add a source")
async def add_source(
    definition: SourceRequest, principal: Administering, runtime: Running, acting: Audited, key: IdempotencyKey = None
) -> Response:
    """It is synced at once if it has an interval or is watched, else on demand. Folders and repositories of this
    machine, databases, and sites at private addresses must be among those that the settings allow.
    """

    def add() -> Response:
        with acting.change(Action.SOURCE_ADD, definition.id, **_defined(definition)):
            return reply(SourceModel.of(runtime.sources.add(principal.scope, definition, remote=True)), 201)

    async def work() -> Response:
        return await run_in_threadpool(add)

    fingerprint = fingerprint_of("source", definition.model_dump_json())
    return await once(runtime.idempotency, principal.tenant, key, fingerprint, work)


@router.get("/v1/sources", response_model=SourcePage, summary="List sources")
def list_sources(parameters: Annotated[SourceParameters, Query()], principal: Ingesting, runtime: Running) -> Response:
    """The tenant's sources, newest first."""
    page = runtime.sources.list(principal.scope, cursor=parameters.cursor, limit=parameters.limit)
    return reply(SourcePage(sources=[SourceModel.of(found) for found in page.items], next_cursor=page.next_cursor))


@router.get("/v1/sources/{source_id}", response_model=SourceModel, summary="One source")
def get_source(source_id: PathSource, principal: Ingesting, runtime: Running) -> Response:
    """Its definition, how its syncs went and when the next one is due."""
    return reply(SourceModel.of(runtime.sources.get(principal.scope, SourceId(source_id))))


@router.put("/v1/sources/{source_id}", response_model=SourceModel, summary="Define a source anew")
def update_source(
    source_id: PathSource, definition: SourceRequest, principal: Administering, runtime: Running, acting: Audited
) -> Response:
    """The next sync does to its documents what the new definition says. The kind of origin can't change."""
    if definition.id != source_id:
        raise InvalidRequest("the id can't be changed: remove the source and add it anew", pointer="/id")
    with acting.change(Action.SOURCE_CHANGE, source_id, **_defined(definition)):
        return reply(SourceModel.of(runtime.sources.update(principal.scope, definition, remote=True)))


@router.delete("/v1/sources/{source_id}", status_code=204, summary="Remove a source and its documents")
def remove_source(source_id: PathSource, principal: Administering, runtime: Running, acting: Audited) -> Response:
    """When this returns, no search, answer or context can show any of its documents."""
    with acting.change(Action.SOURCE_REMOVE, source_id):
        runtime.sources.remove(principal.scope, SourceId(source_id))
    return Response(status_code=204)


@router.post("/v1/sources/{source_id}/sync", response_model=JobModel, status_code=202, summary="Sync a source")
def sync_source(source_id: PathSource, principal: Ingesting, runtime: Running, acting: Audited) -> Response:
    """What is new, changed or deleted at the origin is so in the corpus once the job has ended. If the source is
    being synced already, that job is returned.
    """
    with acting.change(Action.SOURCE_SYNC, source_id):
        return reply(JobModel.of(runtime.jobs.sync(principal.scope, SourceId(source_id))), 202)


@router.get("/v1/sources/{source_id}/reconcile", response_model=ReconciliationModel, summary="Compare with the origin")
def reconcile_source(source_id: PathSource, principal: Ingesting, runtime: Running) -> Response:
    """Reads everything at the origin and changes nothing: as slow as the origin is."""
    return reply(ReconciliationModel.of(runtime.sources.reconcile(principal.scope, SourceId(source_id))))


@router.post("/v1/sources/{source_id}/retry", response_model=Retried, summary="Try failed documents again")
def retry_source(source_id: PathSource, principal: Ingesting, runtime: Running, acting: Audited) -> Response:
    """Lets quarantined documents out: the next sync tries them as if for the first time."""
    with acting.change(Action.SOURCE_RETRY, source_id):
        return reply(Retried(documents=runtime.sources.retry(principal.scope, SourceId(source_id))))


@router.post("/v1/sources/{source_id}/pause", response_model=SourceModel, summary="Stop syncing by schedule")
def pause_source(source_id: PathSource, principal: Ingesting, runtime: Running, acting: Audited) -> Response:
    """Its documents stay, and it can still be synced on demand."""
    with acting.change(Action.SOURCE_PAUSE, source_id):
        return reply(SourceModel.of(runtime.sources.pause(principal.scope, SourceId(source_id))))


@router.post("/v1/sources/{source_id}/resume", response_model=SourceModel, summary="Sync by schedule again")
def resume_source(source_id: PathSource, principal: Ingesting, runtime: Running, acting: Audited) -> Response:
    """Takes back a pause."""
    with acting.change(Action.SOURCE_RESUME, source_id):
        return reply(SourceModel.of(runtime.sources.resume(principal.scope, SourceId(source_id))))


def _defined(definition: SourceRequest) -> dict[str, Any]:
    """What the audit log says of a definition: where it reads, which holds no password, and where to."""
    origin = definition.origin.model_dump(mode="json", exclude_defaults=True)
    return {
        "origin": {"kind": definition.origin.kind, **origin},
        "collection": definition.collection,
        "labels": definition.labels,
    }
