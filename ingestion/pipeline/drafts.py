"""From what arrives to what is stored: the draft of a version, its date, and the documents inside a document."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ingestion.corpus.records import (
    DocumentDraft,
    DocumentSource,
    Metadata,
    ParsedDocument,
    document_id_for,
    document_key,
    version_id,
)
from ingestion.corpus.scope import Scope
from ingestion.corpus.versions import version_in
from ingestion.parsing import parser_version

_DATE_KEYS = ("updated", "updated_at", "last_updated", "modified", "date")


def draft_of(scope: Scope, source: DocumentSource, submitted_at: datetime, generation: str) -> DocumentDraft:
    """What the document will be called and which version it will have in that generation, known before it is parsed."""
    sha256 = hashlib.sha256(source.data).hexdigest()
    attributes = {
        "uri": source.uri,
        "name": source.name,
        "title": source.title,
        "source": source.source,
        "labels": sorted(source.labels),
        "metadata": dict(source.metadata),
        "media_type": source.media_type,
    }
    return DocumentDraft(
        key=document_key(scope.tenant, source.collection, source.id),
        id=source.id,
        tenant=scope.tenant,
        collection=source.collection,
        uri=source.uri,
        title=source.title or source.name,
        source=source.source,
        labels=tuple(sorted(set(source.labels))),
        metadata=source.metadata,
        media_type=source.media_type or "application/octet-stream",
        content_sha256=sha256,
        version=version_in(generation, version_id(sha256, attributes, parser_version)),
        size_bytes=len(source.data),
        submitted_at=submitted_at,
        updated_at=source.modified_at or submitted_at,
        ancestors=source.ancestors,
    )


def completed(draft: DocumentDraft, source: DocumentSource, document: ParsedDocument) -> DocumentDraft:
    """The draft with what parsing found.

    What the caller says about a document outranks what the document says about itself, and that outranks the date of
    a file, which a checkout or a copy sets anew.
    """
    metadata = {**document.metadata, **source.metadata}
    return replace(
        draft,
        title=source.title or document.title,
        media_type=document.media_type,
        metadata=metadata,
        updated_at=stated_date(metadata) or draft.updated_at,
    )


def stated_date(metadata: Metadata) -> datetime | None:
    """When the document itself says it was last changed, in UTC: an ISO 8601 date, or an RFC 5322 one as in mails."""
    for key in _DATE_KEYS:
        value = metadata.get(key)
        if not isinstance(value, str):
            continue
        for read in (datetime.fromisoformat, parsedate_to_datetime):
            with suppress(ValueError):
                stated = read(value)
                return stated.replace(tzinfo=UTC) if stated.tzinfo is None else stated.astimezone(UTC)
    return None


def attached(draft: DocumentDraft, source: DocumentSource, document: ParsedDocument) -> Iterator[DocumentSource]:
    """The files inside a document as documents of their own, filed as it is.

    Their ids come from the document's id and their names, so that the same file keeps its id when the others change.
    """
    seen: Counter[str] = Counter()
    for attachment in document.attachments:
        seen[attachment.name] += 1
        nth = seen[attachment.name]
        name = attachment.name if nth == 1 else f"{attachment.name} ({nth})"
        uri = f"{source.uri}#{name}"
        yield DocumentSource(
            id=document_id_for(f"attachment\0{source.collection}\0{source.id}", name),
            uri=uri,
            name=attachment.name,
            data=attachment.data,
            collection=source.collection,
            source=source.source,
            labels=source.labels,
            metadata={**source.metadata, "attached_to": source.uri},
            media_type=attachment.media_type,
            modified_at=draft.updated_at,
            ancestors=(*source.ancestors, draft.key),
        )
