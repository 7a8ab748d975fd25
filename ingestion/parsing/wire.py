"""What parent and child say to each other: JSON and plain bytes in frames, so that a child that was taken over cannot
make the parent run anything, as unpickling would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ingestion.corpus.records import Attachment, DocumentSource, Element, ElementKind, ParsedDocument, Span
from ingestion.errors import DocumentRejected, RejectionCode

SCRATCH_PREFIX = "plumbline-parser-"
"""Of the name of a parser process's own folder for temporary files."""
READY = b"ready"
TAKEN = b"taken"
"""Says that a document has arrived; a child that ended before it did not end over that document."""


@dataclass(frozen=True, slots=True)
class Announced:
    """An attachment whose bytes come in a frame of their own."""

    name: str
    media_type: str | None
    size: int


@dataclass(frozen=True, slots=True)
class Reply:
    """The child's verdict on a document. `last`: the child ends itself after it."""

    outcome: ParsedDocument | DocumentRejected
    last: bool
    announced: tuple[Announced, ...] = ()

    def with_attachments(self, contents: list[bytes]) -> Reply:
        """The reply with its document complete. Raises: ValueError if the contents are not what was announced."""
        assert isinstance(self.outcome, ParsedDocument)
        attachments = []
        for announced, data in zip(self.announced, contents, strict=True):
            if len(data) != announced.size:
                raise ValueError("an attachment is not of its size")
            attachments.append(Attachment(announced.name, data, announced.media_type))
        return replace(self, outcome=replace(self.outcome, attachments=tuple(attachments)))


@dataclass(frozen=True, slots=True)
class MoreTime:
    """The child asks to be given the time for text recognition on so many pages."""

    pages: int


def encode_request(source: DocumentSource) -> bytes:
    """Facts of a document; its bytes follow in a frame of their own."""
    return json.dumps([source.name, source.media_type, source.title]).encode()


def decode_request(frame: bytes) -> tuple[str, str | None, str | None]:
    name, media_type, title = json.loads(frame)
    return name, media_type, title


def encode_more_time(pages: int) -> bytes:
    return json.dumps({"pages": pages}).encode()


def encode_document(document: ParsedDocument, *, last: bool) -> Iterator[bytes]:
    """Frames of a result: the document, then the bytes of each attachment."""
    elements = [
        [element.kind, element.span.start, element.span.end, element.level, element.page]
        for element in document.elements
    ]
    facts = [document.text, elements, document.title, document.media_type, document.metadata]
    announced = [[item.name, item.media_type, len(item.data)] for item in document.attachments]
    yield json.dumps({"last": last, "document": facts, "attachments": announced}).encode()
    for item in document.attachments:
        yield item.data


def encode_rejection(rejection: DocumentRejected, *, last: bool) -> bytes:
    return json.dumps({"last": last, "reason": rejection.reason, "detail": rejection.detail}).encode()


def decode_reply(frame: bytes) -> Reply | MoreTime:
    """What the child says.

    Raises:
        ValueError, TypeError, KeyError: the frame is not one that an intact child sends.
    """
    reply = json.loads(frame)
    if "pages" in reply:
        return MoreTime(int(reply["pages"]))
    last = bool(reply["last"])
    if "reason" in reply:
        return Reply(DocumentRejected(RejectionCode(reply["reason"]), str(reply["detail"])), last)
    text, elements, title, media_type, metadata = reply["document"]
    read = tuple(
        Element(ElementKind(kind), Span(start, end), level, page) for kind, start, end, level, page in elements
    )
    announced = tuple(Announced(str(name), kind, int(size)) for name, kind, size in reply["attachments"])
    return Reply(ParsedDocument(text, read, title, media_type, metadata), last, announced)
