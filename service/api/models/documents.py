"""`/v1/documents`: what is handed in, and what is told about it."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from ingestion.corpus.catalog_reader import DocumentContent
from ingestion.corpus.records import (
    DEFAULT_COLLECTION,
    Document,
    DocumentId,
    DocumentSource,
    DocumentStatus,
    document_id_for,
)
from service.api.models.common import SpanModel
from service.api.models.fields import (
    CollectionName,
    Cursor,
    DocumentIdText,
    Labels,
    MetadataMap,
    Reply,
    Request,
    ShortText,
)

MAX_BATCH = 1000
MAX_PAGE = 200
MAX_WAIT_S = 60
MAX_FILES = 100
API_SOURCE = "api"
UPLOAD_SOURCE = "upload"

_SUFFIXES = {"text/plain": ".txt", "text/markdown": ".md", "text/html": ".html"}

_BINARY: dict[str, Any] = {"items": {"type": "string", "format": "binary"}}

WaitSeconds = Annotated[
    float, Field(ge=0, le=MAX_WAIT_S, description="wait so long for the documents to be searchable")
]


class JsonDocument(Request):
    """One document as JSON, for instance a row of a table."""

    id: DocumentIdText | None = Field(
        None, description="kept as it is, unique within tenant and collection; the same id again replaces the document"
    )
    title: ShortText
    text: str = Field(description="if it is empty, the title is what is found")
    media_type: Literal["text/plain", "text/markdown", "text/html"] = Field("text/plain", description="how to read it")
    uri: ShortText | None = Field(None, description="where people find the original")
    collection: CollectionName = DEFAULT_COLLECTION
    labels: Labels = ()
    metadata: MetadataMap = Field(default_factory=dict)
    updated_at: AwareDatetime | None = Field(None, description="when the original changed; now if not given")

    def source_of(self) -> DocumentSource:
        """What the pipeline takes. Without an id, the uri makes one; without both, title and text do.

        Where there is no text the title is all there is to find, as it was for `LIKE`.
        """
        text, media_type = (self.text, self.media_type) if self.text.strip() else (self.title, "text/plain")
        id_ = self.id or document_id_for(API_SOURCE, self.uri or self._fingerprint())
        return DocumentSource(
            id=DocumentId(id_),
            uri=self.uri or f"{self.collection}/{id_}",
            name=f"document{_SUFFIXES[media_type]}",
            data=text.encode(),
            title=self.title,
            collection=self.collection,
            source=API_SOURCE,
            labels=self.labels,
            metadata=self.metadata,
            media_type=media_type,
            modified_at=self.updated_at,
        )

    def _fingerprint(self) -> str:
        return hashlib.sha256(f"{self.title}\0{self.text}".encode()).hexdigest()


class BatchRequest(Request):
    """Up to 1,000 documents. Each is checked by itself: one bad row never fails the others."""

    documents: list[JsonDocument] = Field(min_length=1, max_length=MAX_BATCH)


class BatchEnvelope(Request):
    """A batch whose documents are not checked yet."""

    documents: list[Any] = Field(min_length=1, max_length=MAX_BATCH)


class UploadFields(Request):
    """What an upload says about all of its files."""

    collection: CollectionName = DEFAULT_COLLECTION
    labels: Labels = ()
    metadata: MetadataMap = Field(default_factory=dict)

    def source_of(self, filename: str, data: bytes, media_type: str | None) -> DocumentSource:
        """What the pipeline takes. The file name identifies the document within its collection."""
        return DocumentSource(
            id=document_id_for(UPLOAD_SOURCE, filename),
            uri=filename,
            name=filename,
            data=data,
            collection=self.collection,
            source=UPLOAD_SOURCE,
            labels=self.labels,
            metadata=self.metadata,
            media_type=media_type,
        )


class UploadForm(UploadFields):
    """A multipart form: the files, and what holds for all of them. `labels` may be repeated, `metadata` is JSON."""

    files: Annotated[list[str], Field(min_length=1, max_length=MAX_FILES, json_schema_extra=_BINARY)]


class AcceptedDocument(Reply):
    """What became of one document that was handed in."""

    id: str | None = Field(description="null if the row had no id that could be read")
    uri: str | None
    status: Literal["queued", "created", "updated", "unchanged", "failed", "cancelled"]
    code: str | None = Field(None, description="why it failed: stable, for programs")
    detail: str | None = Field(None, description="why it failed: a sentence, for people")


class AcceptedResponse(Reply):
    """The documents in the order in which they came, and the job that ingests them (null if there is nothing to do)."""

    job_id: str | None
    documents: list[AcceptedDocument]


class DocumentModel(Reply):
    """One document. `version` is null until it is searchable; `failure` says why the last attempt failed."""

    id: str
    collection: str
    title: str
    uri: str
    source: str
    labels: list[str]
    metadata: dict[str, Any]
    media_type: str
    status: DocumentStatus
    failure: str | None
    version: str | None
    chunk_count: int
    size_bytes: int
    content_sha256: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, document: Document) -> DocumentModel:
        return cls(
            id=document.id,
            collection=document.collection,
            title=document.title,
            uri=document.uri,
            source=document.source,
            labels=list(document.labels),
            metadata=dict(document.metadata),
            media_type=document.media_type,
            status=document.status,
            failure=document.failure,
            version=document.version,
            chunk_count=document.chunk_count,
            size_bytes=document.size_bytes,
            content_sha256=document.content_sha256,
            created_at=document.created_at,
            updated_at=document.updated_at,
        )


class DocumentParameters(Request):
    """Which documents to list."""

    collection: CollectionName | None = None
    source: ShortText | None = None
    status: DocumentStatus | None = None
    title: ShortText | None = Field(None, description="a part of the title")
    cursor: Cursor | None = None
    limit: int = Field(50, ge=1, le=MAX_PAGE)


class DocumentPage(Reply):
    """Documents, newest first; `next_cursor` is null on the last page."""

    documents: list[DocumentModel]
    next_cursor: str | None


class OutlineModel(Reply):
    """A heading of the document."""

    level: int
    title: str
    span: SpanModel


class ContentResponse(Reply):
    """The normalised text that every span points into: `text[span.start:span.end]` is exactly what was cited."""

    document: DocumentModel
    text: str
    outline: list[OutlineModel]

    @classmethod
    def of(cls, content: DocumentContent) -> ContentResponse:
        return cls(
            document=DocumentModel.of(content.document),
            text=content.text,
            outline=[
                OutlineModel(level=entry.level, title=entry.title, span=SpanModel.of(entry.span))
                for entry in content.outline
            ],
        )
