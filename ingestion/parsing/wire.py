"""What parent and child say to each other: JSON frames, so that a child that was taken over cannot make the parent
run anything, as unpickling would."""

from __future__ import annotations

import json

from ingestion.corpus.records import DocumentSource, Element, ElementKind, ParsedDocument, Span
from ingestion.errors import DocumentRejected, RejectionCode

READY = b"ready"
TAKEN = b"taken"
"""Says that a document has arrived; a child that ended before it did not end over that document."""


def encode_request(source: DocumentSource) -> bytes:
    """Facts of a document; its bytes follow in a frame of their own."""
    return json.dumps([source.name, source.media_type, source.title]).encode()


def decode_request(frame: bytes) -> tuple[str, str | None, str | None]:
    name, media_type, title = json.loads(frame)
    return name, media_type, title


def encode_document(document: ParsedDocument, *, last: bool) -> bytes:
    """A result. `last`: the child ends itself after it."""
    elements = [
        [element.kind, element.span.start, element.span.end, element.level, element.page]
        for element in document.elements
    ]
    facts = [document.text, elements, document.title, document.media_type, document.metadata]
    return json.dumps({"last": last, "document": facts}).encode()


def encode_rejection(rejection: DocumentRejected, *, last: bool) -> bytes:
    return json.dumps({"last": last, "reason": rejection.reason, "detail": rejection.detail}).encode()


def decode_reply(frame: bytes) -> tuple[ParsedDocument | DocumentRejected, bool]:
    """`(outcome, last)`.

    Raises:
        ValueError, TypeError, KeyError: the frame is not one that an intact child sends.
    """
    reply = json.loads(frame)
    if "reason" in reply:
        return DocumentRejected(RejectionCode(reply["reason"]), str(reply["detail"])), bool(reply["last"])
    text, elements, title, media_type, metadata = reply["document"]
    read = tuple(
        Element(ElementKind(kind), Span(start, end), level, page) for kind, start, end, level, page in elements
    )
    return ParsedDocument(text, read, title, media_type, metadata), bool(reply["last"])
