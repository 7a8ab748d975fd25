"""Outlook's messages (MSG): main headers, body and attachments, as of any e-mail."""

from __future__ import annotations

import email.policy
import io
from collections.abc import Iterator
from contextlib import suppress
from email.message import EmailMessage
from typing import Any

from oxmsg import Message
from oxmsg.attachment import Attachment as OutlookAttachment
from oxmsg.domain import constants
from oxmsg.properties import Properties
from oxmsg.util import lazyproperty

from ingestion.corpus.records import Attachment
from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.parsing.building import Parsed, clean, squeeze
from ingestion.parsing.html import parse_html
from ingestion.parsing.mail import WRAPPINGS, attachment_name, join_mail
from ingestion.parsing.plain import parse_plain

_EMBEDDED_HEADER_BYTES = 24
"""Header of the properties of a message inside another: shorter than that of the outermost ([MS-OXMSG] 2.4.1.2)."""
_EMBEDDED_STORAGE = "__substg1.0_3701000D"
_METHOD = 0x7
_BY_VALUE, _EMBEDDED = 1, 5
_SHOWN_BY_BODY = 0x4
_DEEPEST = 8


class _Embedded(Message):
    """A message that is attached to another one."""

    @lazyproperty
    def _properties(self) -> Properties:
        return Properties(self._storage, properties_header_offset=_EMBEDDED_HEADER_BYTES)


def parse_msg(data: bytes, max_attachments: int, max_bytes: int) -> Parsed:
    """Headers and body of an Outlook message; the title is its subject. At most `max_attachments` attachments with
    `max_bytes` in all come with it; a message inside comes as EML."""
    message = Message.load(io.BytesIO(data))
    headers = [(name, squeeze(clean(value))) for name, value in _headers(message).items() if value.strip()]
    if message.body and message.body.strip():
        body = parse_plain(clean(message.body))
    else:
        body = parse_html(clean(message.html_body or ""))
    return join_mail(headers, body, _attachments(message, 0), max_attachments, max_bytes)


def _headers(message: Message) -> dict[str, str]:
    sent = message.sent_date
    recipients = ", ".join(
        f"{person.name} <{person.email_address}>" if person.name else person.email_address
        for person in message.recipients
    )
    return {
        "From": message.sender or "",
        "To": recipients or message.message_headers.get("To") or "",
        "Date": sent.isoformat() if sent else message.message_headers.get("Date") or "",
        "Subject": message.subject,
    }


def _attachments(message: Message, depth: int) -> Iterator[Attachment]:
    for number, item in enumerate(message.attachments, start=1):
        properties = item.properties
        method = (properties.int_prop_value(constants.PID_ATTACH_METHOD) or _BY_VALUE) & _METHOD
        if method == _EMBEDDED and depth < _DEEPEST:
            inside = next((part for part in _storages(item) if part.name == _EMBEDDED_STORAGE), None)
            if inside is not None:
                yield _as_eml(_Embedded(inside), number, depth + 1)
        elif method == _BY_VALUE and not _is_shown_by_body(item):
            name = properties.str_prop_value(constants.PID_ATTACH_LONG_FILENAME) or properties.str_prop_value(
                constants.PID_ATTACH_FILENAME
            )
            kind = properties.str_prop_value(constants.PID_ATTACH_MIME_TAG) or "application/octet-stream"
            if kind == "application/pgp-encrypted":
                raise DocumentRejected(
                    RejectionCode.ENCRYPTED, "The message is encrypted. Decrypt it in Outlook, save and upload that."
                )
            if kind not in WRAPPINGS and (data := item.file_bytes):
                yield Attachment(attachment_name(name or "", kind, number), data, kind)


def _storages(item: OutlookAttachment) -> tuple[Any, ...]:
    return tuple(getattr(item._storage, "storages", ()))


def _is_shown_by_body(item: OutlookAttachment) -> bool:
    """A picture within the text."""
    flags = item.properties.int_prop_value(constants.PID_ATTACH_FLAGS) or 0
    kind = item.properties.str_prop_value(constants.PID_ATTACH_MIME_TAG) or ""
    return bool(flags & _SHOWN_BY_BODY) and kind.startswith("image/")


def _as_eml(message: Message, number: int, depth: int) -> Attachment:
    """The message in the form that other programs read, with what is attached to it."""
    written = EmailMessage(policy=email.policy.SMTP)
    for name, value in _headers(message).items():
        with suppress(ValueError, IndexError, AttributeError):  # an address or date that no header can hold
            if value.strip():
                written[name] = squeeze(clean(value))
    if message.body:
        written.set_content(clean(message.body))
    else:
        written.set_content(clean(message.html_body or ""), subtype="html")
    for item in _attachments(message, depth):
        main, _, sub = (item.media_type or "application/octet-stream").partition("/")
        if main in ("message", "multipart") or not sub:
            main, sub = "application", "octet-stream"
        written.add_attachment(item.data, maintype=main, subtype=sub, filename=item.name)
    subject = squeeze(clean(message.subject))
    name = attachment_name(f"{subject}.eml" if subject else "", "message/rfc822", number)
    return Attachment(name, bytes(written), "message/rfc822")
