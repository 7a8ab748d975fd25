"""Takes documents in: reads them from a request, hands them to a job, and tells what became of each."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from ingestion.corpus.records import DocumentSource
from ingestion.errors import InvalidRequest, RejectionCode
from ingestion.jobs import Job
from service.access.principals import Principal
from service.api.auditing import Acting
from service.api.models.documents import (
    MAX_FILES,
    AcceptedDocument,
    AcceptedResponse,
    BatchEnvelope,
    JsonDocument,
    UploadFields,
)
from service.api.models.jobs import accepted
from service.api.problems import field_problems
from service.api.replies import fingerprint_of, once, reply
from service.ledger.audit import Action
from service.ledger.metrics import DOCUMENTS
from service.runtime import Runtime

_POLL_S = 0.05
_JSON = "application/json"
_FORM = "multipart/form-data"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that is no document: as it is told to the caller."""

    told: AcceptedDocument


Row = DocumentSource | Rejected


class Intake:
    """Documents of one caller."""

    def __init__(self, runtime: Runtime, principal: Principal, acting: Acting) -> None:
        self._runtime = runtime
        self._principal = principal
        self._acting = acting

    async def take(self, rows: Sequence[Row], *, key: str | None, wait_s: float) -> Response:
        """202 with a job, or 200 if there is nothing to wait for any more."""
        fingerprint = await run_in_threadpool(_fingerprint, rows) if key is not None else ""
        return await once(
            self._runtime.idempotency, self._principal.tenant, key, fingerprint, lambda: self._ingest(rows, wait_s)
        )

    async def _ingest(self, rows: Sequence[Row], wait_s: float) -> Response:
        sources = [row for row in rows if isinstance(row, DocumentSource)]
        job = await run_in_threadpool(self._submit, sources) if sources else None
        if job is not None:
            job = await self._wait(job, wait_s)
        done = iter(() if job is None else job.items)
        told = [row.told if isinstance(row, Rejected) else accepted(next(done)) for row in rows]
        for outcome, number in Counter(document.status for document in told).items():
            self._runtime.metrics.count(DOCUMENTS, outcome, by=number)
        is_over = job is None or job.state.is_final
        return reply(AcceptedResponse(job_id=None if job is None else job.id, documents=told), 200 if is_over else 202)

    def _submit(self, sources: Sequence[DocumentSource]) -> Job:
        ids = [source.id or source.uri for source in sources]
        collections = sorted({source.collection for source in sources})
        with self._acting.change(Action.DOCUMENTS_ADD, ids[0], number=len(ids), ids=ids, collections=collections):
            return self._runtime.jobs.submit(self._principal.scope, sources)

    async def _wait(self, job: Job, wait_s: float) -> Job:
        # Not `Jobs.wait`: it would hold one of the threads that answer searches.
        deadline = time.monotonic() + wait_s
        while not job.state.is_final and (left := deadline - time.monotonic()) > 0:
            await asyncio.sleep(min(_POLL_S, left))
            job = await run_in_threadpool(self._runtime.jobs.get, self._principal.scope, job.id)
        return job


async def read_upload(request: Request) -> list[Row]:
    """Files of a form, or one JSON document. Raises: InvalidRequest, RequestValidationError, HTTPException."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == _JSON:
        body = await request.body()
        return [await run_in_threadpool(_read_document, body)]
    if kind == _FORM:
        form = await request.form(max_files=MAX_FILES, max_fields=MAX_FILES)
        try:
            return list(await run_in_threadpool(_read_form, form))
        finally:
            await form.close()
    raise HTTPException(415, f"the body must be {_FORM} with `files`, or {_JSON}")


async def read_batch(request: Request) -> list[Row]:
    """The rows of a batch, each a document or told why it is none."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != _JSON:
        raise HTTPException(415, f"the body must be {_JSON}")
    body = await request.body()
    return await run_in_threadpool(_read_rows, body)


def _parsed(body: bytes) -> Any:
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequest(f"the body is not JSON: {error}", pointer="") from error


def _read_document(body: bytes) -> DocumentSource:
    try:
        return JsonDocument.model_validate(_parsed(body)).source_of()
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


def _read_rows(body: bytes) -> list[Row]:
    try:
        rows = BatchEnvelope.model_validate(_parsed(body)).documents
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error
    return [_read_row(row) for row in rows]


def _read_row(row: Any) -> Row:
    try:
        return JsonDocument.model_validate(row).source_of()
    except ValidationError as error:
        given = row if isinstance(row, dict) else {}
        detail = "; ".join(f"{field.pointer or 'the row'}: {field.detail}" for field in field_problems(error.errors()))
        return Rejected(
            AcceptedDocument(
                id=_text(given.get("id")),
                uri=_text(given.get("uri")),
                status="failed",
                code=RejectionCode.INVALID_DOCUMENT,
                detail=detail[:1000],
            )
        )


def _read_form(form: FormData) -> list[DocumentSource]:
    fields = _read_fields(form)
    sources = []
    for position, file in enumerate(form.getlist("files")):
        if not isinstance(file, UploadFile) or not file.filename:
            raise InvalidRequest("a file needs a file name", pointer=f"/files/{position}")
        name = file.filename.replace("\\", "/").rsplit("/", 1)[-1]
        if not name or len(name) > 255 or not name.isprintable():
            raise InvalidRequest("not a file name", pointer=f"/files/{position}")
        sources.append(fields.source_of(name, file.file.read(), file.content_type))
    if not sources:
        raise InvalidRequest("the form holds no file", pointer="/files")
    return sources


def _read_fields(form: FormData) -> UploadFields:
    given: dict[str, Any] = {}
    for name in set(form.keys()) - {"files"}:
        values = form.getlist(name)
        if not all(isinstance(value, str) for value in values):
            raise InvalidRequest("this field is not a file", pointer=f"/{name}")
        given[name] = values if name == "labels" else values[-1]
    if "metadata" in given:
        try:
            given["metadata"] = from_json(given["metadata"], allow_inf_nan=False)
        except ValueError as error:
            raise InvalidRequest("metadata is not JSON", pointer="/metadata") from error
    try:
        return UploadFields.model_validate(given)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


def _text(value: object) -> str | None:
    return value[:512] if isinstance(value, str) else None


def _fingerprint(rows: Sequence[Row]) -> str:
    parts: list[str | bytes] = ["documents"]
    for row in rows:
        if isinstance(row, Rejected):
            parts.append(row.told.model_dump_json())
            continue
        facts = (row.id, row.uri, row.name, row.title, row.collection, row.labels, row.media_type, row.modified_at)
        parts += [repr(facts), repr(sorted(row.metadata.items())), row.data]
    return fingerprint_of(*parts)
