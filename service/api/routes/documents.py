"""`/v1/documents`: hand in, list, read and delete."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from ingestion.corpus.catalog_reader import DocumentQuery
from ingestion.corpus.records import DocumentId
from service.api.access import Ingesting, Running, Searching
from service.api.auditing import Audited
from service.api.intake import Intake, read_batch, read_upload
from service.api.models.documents import (
    AcceptedResponse,
    BatchRequest,
    ContentResponse,
    DocumentModel,
    DocumentPage,
    DocumentParameters,
    JsonDocument,
    UploadForm,
    WaitSeconds,
)
from service.api.models.fields import CollectionName, DocumentIdText
from service.api.openapi import reference
from service.api.problems import RESPONSES
from service.api.replies import IdempotencyKey, reply
from service.ledger.audit import Action

router = APIRouter(tags=["documents"], responses=RESPONSES)

PathDocument = Annotated[DocumentIdText, Path(description="the document's id, which may hold slashes")]
Wait = Annotated[WaitSeconds, Query()]
InCollection = Annotated[CollectionName | None, Query(description="needed if several collections hold that id")]

# Read by hand and only once the caller is known to be allowed: nobody else may make the service take in a large body.
_FILES_OR_JSON = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": reference(UploadForm)},
            "application/json": {"schema": reference(JsonDocument)},
        },
    }
}
_BATCH = {"requestBody": {"required": True, "content": {"application/json": {"schema": reference(BatchRequest)}}}}
_DONE: dict[int | str, dict[str, Any]] = {
    200: {"model": AcceptedResponse, "description": "Done: what succeeded is searchable"}
}


@router.post(
    "/v1/documents",
    summary="Hand in files, or one document as JSON",
    response_model=AcceptedResponse,
    status_code=202,
    responses=_DONE,
    openapi_extra=_FILES_OR_JSON,
)
async def add_documents(
    request: Request,
    principal: Ingesting,
    runtime: Running,
    acting: Audited,
    key: IdempotencyKey = None,
    wait_s: Wait = 0,
) -> Response:
    """The documents are ingested by a job that survives a crash. Handing in what is there already does no work."""
    rows = await read_upload(request)
    return await Intake(runtime, principal, acting).take(rows, key=key, wait_s=wait_s)


@router.post(
    "/v1/documents/batch",
    summary="Hand in up to 1,000 documents as JSON",
    response_model=AcceptedResponse,
    status_code=202,
    responses=_DONE,
    openapi_extra=_BATCH,
)
async def add_batch(
    request: Request,
    principal: Ingesting,
    runtime: Running,
    acting: Audited,
    key: IdempotencyKey = None,
    wait_s: Wait = 0,
) -> Response:
    """Each document is checked by itself; one that is not valid is told as `failed` and the others go on."""
    rows = await read_batch(request)
    return await Intake(runtime, principal, acting).take(rows, key=key, wait_s=wait_s)


@router.get("/v1/documents", response_model=DocumentPage, summary="List documents")
def list_documents(
    parameters: Annotated[DocumentParameters, Query()], principal: Searching, runtime: Running
) -> Response:
    """Documents that the caller may read, newest first."""
    query = DocumentQuery(parameters.collection, parameters.source, parameters.status, parameters.title)
    page = runtime.corpus.list_documents(principal.scope, query, cursor=parameters.cursor, limit=parameters.limit)
    documents = [DocumentModel.of(document) for document in page.items]
    return reply(DocumentPage(documents=documents, next_cursor=page.next_cursor))


# Before the next route: an id may hold slashes.
@router.get("/v1/documents/{document_id:path}/content", response_model=ContentResponse, summary="A document's text")
def get_content(
    document_id: PathDocument, principal: Searching, runtime: Running, collection: InCollection = None
) -> Response:
    """The normalised text that every span points into, with its headings."""
    content = runtime.corpus.get_content(principal.scope, DocumentId(document_id), collection)
    return reply(ContentResponse.of(content))


@router.get("/v1/documents/{document_id:path}", response_model=DocumentModel, summary="One document")
def get_document(
    document_id: PathDocument, principal: Searching, runtime: Running, collection: InCollection = None
) -> Response:
    """What is known about it. A document that the caller may not read is not found."""
    return reply(DocumentModel.of(runtime.corpus.get_document(principal.scope, DocumentId(document_id), collection)))


@router.delete("/v1/documents/{document_id:path}", status_code=204, summary="Delete a document")
def delete_document(
    document_id: PathDocument,
    principal: Ingesting,
    runtime: Running,
    acting: Audited,
    collection: InCollection = None,
) -> Response:
    """When this returns, no search, answer or context can show it."""
    document = runtime.corpus.get_document(principal.scope, DocumentId(document_id), collection)
    with acting.change(Action.DOCUMENT_DELETE, document.id, collection=document.collection):
        runtime.corpus.delete_document(principal.scope, document.id, document.collection)
        # no question leads to them any more, but what they quote shall not outlive the document
        runtime.cache.forget(principal.scope, document.key)
    return Response(status_code=204)
