"""E-mail: what is attached to it comes with it, as files of their own; what only decorates it does not."""

from __future__ import annotations

import email.message
import email.policy
from collections.abc import Iterator

import pytest

from ingestion.corpus.records import Attachment
from ingestion.parsing import DocumentParser
from ingestion.parsing.mail import attachment_name
from ingestion.settings import ParsingSettings
from tests.ingestion import hostile
from tests.ingestion.documents import assert_well_formed, document_source

_PDF = hostile.pdf([["attached"]])


@pytest.fixture(scope="module")
def parser() -> Iterator[DocumentParser]:
    with DocumentParser(ParsingSettings(max_attachments=4, max_bytes=1_000_000)) as opened:
        yield opened


def message(subject: str = "Drain the gateway") -> email.message.EmailMessage:
    made = email.message.EmailMessage(policy=email.policy.SMTP)
    made["From"], made["To"], made["Subject"] = "edge@a.example", "all@a.example", subject
    made.set_content("See the files.\n")
    return made


def attach(made: email.message.EmailMessage, name: str, data: bytes, media_type: str, **more: str) -> None:
    main, _, sub = media_type.partition("/")
    made.add_attachment(data, maintype=main, subtype=sub, filename=name, **more)


def attachments(parser: DocumentParser, made: email.message.EmailMessage) -> tuple[Attachment, ...]:
    document = parser.parse(document_source("a.eml", bytes(made)))
    assert_well_formed(document)
    return document.attachments


def test_attachments_come_to_the_byte(parser: DocumentParser) -> None:
    made = message()
    data = bytes(range(256)) * 50
    attach(made, "runbook.pdf", _PDF, "application/pdf")
    attach(made, "größe.bin", data, "application/octet-stream")
    attach(made, "notes.md", b"# Notes\n", "text/markdown")
    document = parser.parse(document_source("a.eml", bytes(made)))
    assert document.text == "From: edge@a.example\nTo: all@a.example\nSubject: Drain the gateway\n\nSee the files.\n"
    assert document.attachments == (
        Attachment("runbook.pdf", _PDF, "application/pdf"),
        Attachment("größe.bin", data, "application/octet-stream"),
        Attachment("notes.md", b"# Notes\n", "text/markdown"),
    )
    assert document.metadata["attachments"] == ["runbook.pdf", "größe.bin", "notes.md"]
    assert parser.parse(document_source("next.md", "# Next")).attachments == ()


def test_a_forwarded_message_is_a_document_with_its_own_attachments(parser: DocumentParser) -> None:
    inner = message("The first: report")
    attach(inner, "runbook.pdf", _PDF, "application/pdf")
    made = message()
    made.add_attachment(inner)
    (forwarded,) = attachments(parser, made)
    assert (forwarded.name, forwarded.media_type) == ("The first: report.eml", "message/rfc822")
    read = parser.parse(document_source(forwarded.name, forwarded.data, media_type=forwarded.media_type))
    assert read.title == "The first: report"
    assert [item.data for item in read.attachments] == [_PDF]


def test_decoration_is_left_out(parser: DocumentParser) -> None:
    made = message()
    made.add_alternative("<p>See the files.</p><img src='cid:logo'>", subtype="html")
    html = made.get_payload()[1]  # type: ignore[index]
    html.add_related(hostile.png(), maintype="image", subtype="png", cid="<logo>", filename="logo.png")  # type: ignore[union-attr]
    attach(made, "winmail.dat", b"tnef", "application/ms-tnef")
    attach(made, "smime.p7s", b"signature", "application/pkcs7-signature")
    attach(made, "empty.txt", b"", "text/plain")
    attach(made, "shown.png", hostile.png(), "image/png", disposition="inline", cid="<other>")
    attach(made, "diagram.png", hostile.png(), "image/png")
    assert [item.name for item in attachments(parser, made)] == ["diagram.png"]


def test_attachments_beyond_the_limits_are_named(parser: DocumentParser) -> None:
    made = message()
    for number in range(6):
        attach(made, f"{number}.txt", b"text", "text/plain")
    document = parser.parse(document_source("a.eml", bytes(made)))
    assert len(document.attachments) == 4
    assert document.metadata["attachments_left_out"] == ["4.txt", "5.txt"]


def test_without_room_for_attachments_the_message_is_read() -> None:
    made = message()
    attach(made, "a.txt", b"text", "text/plain")
    with DocumentParser(ParsingSettings(max_attachments=0)) as parser:
        document = parser.parse(document_source("a.eml", bytes(made)))
    assert document.attachments == ()
    assert document.title == "Drain the gateway"


@pytest.mark.parametrize(
    ("stated", "media_type", "name"),
    [
        ("../../etc/passwd", "text/plain", "passwd"),
        ("C:\\temp\\a.docx", "application/octet-stream", "a.docx"),
        ("a\x00b\r\nc.md", "text/markdown", "ab c.md"),
        ("", "application/pdf", "attachment-3.pdf"),
        ("Re: 1/2.eml", "message/rfc822", "Re: 1-2.eml"),
        ("..", "text/plain", "attachment-3.txt"),
    ],
)
def test_names_of_attachments_are_names_of_files(stated: str, media_type: str, name: str) -> None:
    assert attachment_name(stated, media_type, 3) == name
