"""The records that move between parsing, the index and a reader, and their deterministic ids."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

from ingestion.corpus.scope import TenantId

DocumentId = NewType("DocumentId", str)
"""What callers use: unique within tenant and collection."""
DocumentKey = NewType("DocumentKey", str)
"""UUID over tenant, collection and document id: unique everywhere."""
ChunkId = NewType("ChunkId", str)
"""UUID over document key, version and position; also the point id in Qdrant."""
VersionId = NewType("VersionId", str)

MetadataValue = str | int | float | bool | list[str]
Metadata = Mapping[str, MetadataValue]

_NAMESPACE = uuid.UUID("7a9c1c0e-6f0b-5d0e-9a53-0d7a1f6f2b11")
_NAMESPACE_BYTES = _NAMESPACE.bytes
DEFAULT_COLLECTION = "default"


def document_id_for(source: str, uri: str) -> DocumentId:
    """Id of a document that came without one: the same source and uri give the same id."""
    return DocumentId(str(uuid.uuid5(_NAMESPACE, f"document\0{source}\0{uri}")))


def document_key(tenant: TenantId, collection: str, document: DocumentId) -> DocumentKey:
    """Primary key of a document across tenants and collections."""
    return DocumentKey(str(uuid.uuid5(_NAMESPACE, f"key\0{tenant}\0{collection}\0{document}")))


def chunk_id(key: DocumentKey, version: VersionId, position: int) -> ChunkId:
    """Id of the chunk at a position: over document, version and position, never over text alone."""
    # As uuid.uuid5 makes it, in a third of the time: an exact search may ask for ten thousand.
    name = f"chunk\0{key}\0{version}\0{position}"
    digest = bytearray(hashlib.sha1(_NAMESPACE_BYTES + name.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    hexadecimal = digest.hex()
    parts = (hexadecimal[:8], hexadecimal[8:12], hexadecimal[12:16], hexadecimal[16:20], hexadecimal[20:])
    return ChunkId("-".join(parts))


def version_id(content_sha256: str, attributes: Mapping[str, object], pipeline: str) -> VersionId:
    """Version of a document: changes if its bytes, its attributes or the pipeline that reads it do."""
    facts = json.dumps([content_sha256, attributes, pipeline], sort_keys=True, default=str)
    return VersionId(hashlib.sha256(facts.encode()).hexdigest()[:24])


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open range of characters (code points) of a document's normalised text."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"not a span: {self.start}:{self.end}")

    def of(self, text: str) -> str:
        return text[self.start : self.end]

    def contains(self, other: Span) -> bool:
        return self.start <= other.start and other.end <= self.end


class ElementKind(StrEnum):
    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST_ITEM = "list_item"
    CODE = "code"
    TABLE = "table"
    QUOTE = "quote"
    OCR = "ocr"
    """Text read from a picture: characters may be wrong, so it is never offered as a command to copy."""


@dataclass(frozen=True, slots=True)
class Element:
    """A block that a parser found. `span` points into `ParsedDocument.text`; elements are in text order and disjoint.

    `level` is the heading level (1-6) of a heading, else 0. `page` counts from 1 where the format has pages.
    """

    kind: ElementKind
    span: Span
    level: int = 0
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file inside a document, which is to be ingested as a document of its own."""

    name: str
    data: bytes
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """Normalised text and its structure. Everything in `text` but white space lies inside some element.

    `metadata["language"]` is the ISO 639-1 code of the text's language, where it could be told.
    """

    text: str
    elements: tuple[Element, ...]
    title: str
    media_type: str
    metadata: Metadata = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class OutlineEntry:
    """A heading of a document: its level (1-6), its words without marks, and where it stands in the text."""

    level: int
    title: str
    span: Span


@dataclass(frozen=True, slots=True)
class Chunk:
    """The indexed unit. `text == document_text[span.start:span.end]`, always.

    `heading_path` is the breadcrumb of enclosing headings, outermost first, without the document's title.
    `tokens` counts `text` in the embedder's own tokens.

    The last two are for encoding only and not stored. `context` is what `text` needs beside it, such as the header of
    the table that it continues. `breadcrumb` takes the place of title and headings where these would not fit into the
    embedder's longest input beside the text; None where they do.
    """

    position: int
    span: Span
    text: str
    heading_path: tuple[str, ...]
    kinds: tuple[ElementKind, ...]
    tokens: int
    page: int | None = None
    context: str = ""
    breadcrumb: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentSource:
    """What arrives at the pipeline: bytes with the facts around them.

    `name` is the file name, whose suffix proposes the format. `unreadable` says why the bytes could not be had.
    `ancestors` are the documents that it was attached to, the outermost first: it goes when one of them goes.
    """

    id: DocumentId
    uri: str
    name: str
    data: bytes
    title: str | None = None
    collection: str = DEFAULT_COLLECTION
    source: str = "upload"
    labels: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=dict)
    media_type: str | None = None
    modified_at: datetime | None = None
    unreadable: str | None = None
    ancestors: tuple[DocumentKey, ...] = ()


class DocumentStatus(StrEnum):
    INDEXED = "indexed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Document:
    """What a user knows: one document of the catalogue with its live version.

    `version` is None until a version is live. `failure` says why the last attempt to ingest it failed, if it did:
    an older version may still be live then.
    """

    key: DocumentKey
    id: DocumentId
    tenant: TenantId
    collection: str
    uri: str
    title: str
    source: str
    labels: tuple[str, ...]
    metadata: Metadata
    media_type: str
    content_sha256: str
    version: VersionId | None
    chunk_count: int
    size_bytes: int
    created_at: datetime
    updated_at: datetime
    status: DocumentStatus = DocumentStatus.INDEXED
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentDraft:
    """A version on its way to being live: all that the catalogue and the index will say about the document.

    `submitted_at` orders competing versions: the one submitted last wins, whichever is ingested last.
    """

    key: DocumentKey
    id: DocumentId
    tenant: TenantId
    collection: str
    uri: str
    title: str
    source: str
    labels: tuple[str, ...]
    metadata: Metadata
    media_type: str
    content_sha256: str
    version: VersionId
    size_bytes: int
    submitted_at: datetime
    updated_at: datetime
    ancestors: tuple[DocumentKey, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexedChunk:
    """A chunk as the catalogue returns it to readers, with the document it belongs to."""

    id: ChunkId
    chunk: Chunk
    document: Document
