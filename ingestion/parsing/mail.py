"""E-mail as in RFC 5322 (EML): its main headers, its body, and its attachments, which become documents of their own."""

from __future__ import annotations

import codecs
import email
import email.policy
import mimetypes
import re
from collections.abc import Iterable, Iterator
from email.message import EmailMessage, Message
from itertools import islice

from ingestion.corpus.records import Attachment, Element, ElementKind, MetadataValue, Span
from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.parsing.building import Parsed, clean, squeeze
from ingestion.parsing.encoding import decode, wide_encoding
from ingestion.parsing.html import parse_html
from ingestion.parsing.plain import parse_plain

_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_ENCRYPTED = frozenset({"multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"})
WRAPPINGS = frozenset(
    {
        "application/pgp-encrypted",
        "application/pgp-keys",
        "application/pgp-signature",
        "application/pkcs7-signature",
        "application/x-pkcs7-signature",
        "application/ms-tnef",
        "application/vnd.ms-tnef",
    }
)
"""Parts that mail programs add: they hold nothing for a reader."""
_WRAPPING_NAMES = frozenset({"winmail.dat", "smime.p7s", "smime.p7m", "signature.asc"})
_CONTENT_ID = re.compile(r"cid:([^\s\"'<>)]{1,200})", re.IGNORECASE)
_LONGEST_NAME = 200
_MOST_PARTS = 1_000
"""Looked at: reading the headers of a part takes a millisecond."""


def parse_eml(data: bytes, max_attachments: int, max_bytes: int) -> Parsed:
    """Headers and body of an RFC 5322 message; the title is its subject. At most `max_attachments` attachments with
    `max_bytes` in all come with it; the names of all are metadata.

    Raises:
        DocumentRejected: CORRUPT if there is no header, ENCRYPTED if the body is.
    """
    if data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or wide_encoding(data):
        data = decode(data).encode()
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    headers = _headers(message)
    if not headers:
        raise DocumentRejected(
            RejectionCode.CORRUPT, "The file has no e-mail headers. Save the message from the mail program again."
        )
    if message.get_content_type() in _ENCRYPTED:
        raise DocumentRejected(
            RejectionCode.ENCRYPTED, "The message is encrypted. Decrypt it in the mail program, save and upload that."
        )
    part = message.get_body(preferencelist=("plain", "html"))
    body = "" if part is None else clean(_content(part))
    is_html = part is not None and part.get_content_type() == "text/html"
    attachments = _attachments(message, part)
    return join_mail(
        headers, parse_html(body) if is_html else parse_plain(body), attachments, max_attachments, max_bytes
    )


def _headers(message: EmailMessage) -> list[tuple[str, str]]:
    headers = []
    for name in _HEADERS:
        try:
            value = message.get(name)
        except (ValueError, TypeError, IndexError, AttributeError, LookupError):
            value = None  # the standard library gives up on some malformed headers
        if value is not None and squeeze(clean(str(value))):
            headers.append((name, squeeze(clean(str(value)))))
    return headers


def _content(part: Message) -> str:
    """The part's text: in its own charset if that is right, else in the one it looks like."""
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else str(payload or "").encode()
    try:
        return data.decode(part.get_content_charset() or "utf-8")
    except (LookupError, UnicodeDecodeError):
        return decode(data)


def _attachments(message: Message, body: Message | None) -> Iterator[Attachment]:
    """Files and messages inside a message, in order; what only decorates it or repeats its body is left out."""
    stack: list[tuple[Message, str]] = [(message, "")]
    shown = _shown_pictures(message)
    for number in range(1, _MOST_PARTS):
        if not stack:
            return
        part, around = stack.pop()
        kind = part.get_content_type()
        if part is body or kind in WRAPPINGS:
            continue
        payload = part.get_payload()
        if kind == "message/rfc822":
            if isinstance(payload, list) and payload and isinstance(payload[0], Message):
                yield _forwarded(payload[0], number)
        elif isinstance(payload, list):
            children = [child for child in payload if isinstance(child, Message)]
            stack.extend((child, kind) for child in reversed(children))
        elif part is not message and not _decorates(part, kind, around, shown):
            data = part.get_payload(decode=True)
            name = attachment_name(_file_name(part), kind, number)
            if isinstance(data, bytes) and data.strip() and name.lower() not in _WRAPPING_NAMES:
                yield Attachment(name, data, kind)


def _shown_pictures(message: Message) -> frozenset[str]:
    """Content ids of the pictures that the message's HTML shows."""
    pages = (part for part in islice(message.walk(), _MOST_PARTS) if part.get_content_type() == "text/html")
    return frozenset(found for page in pages for found in _CONTENT_ID.findall(_content(page)))


def _decorates(part: Message, kind: str, around: str, shown: frozenset[str]) -> bool:
    """A picture that the body shows, or the same body in another form."""
    is_attached = part.get_content_disposition() == "attachment"
    content_id = str(part.get("Content-ID") or "").strip(" <>")
    if kind.startswith("image/") and (
        around == "multipart/related" or content_id in shown or (content_id and not is_attached)
    ):
        return True
    if is_attached:
        return False
    return around == "multipart/alternative" or (kind.startswith("text/") and not _file_name(part))


def _forwarded(message: Message, number: int) -> Attachment:
    subject = squeeze(clean(str(message.get("Subject") or "")))
    try:
        data = message.as_bytes(policy=email.policy.compat32)
    except (UnicodeError, LookupError, TypeError):
        data = message.as_string(policy=email.policy.compat32).encode("utf-8", "replace")
    return Attachment(
        attachment_name(f"{subject}.eml" if subject else "", "message/rfc822", number), data, "message/rfc822"
    )


def _file_name(part: Message) -> str:
    try:
        return part.get_filename() or ""
    except (ValueError, TypeError, IndexError, AttributeError, LookupError):
        return ""


def attachment_name(stated: str, media_type: str, number: int) -> str:
    """The name as one that can stand for a file: without folders and control characters, with a suffix if the type
    has one."""
    name = squeeze(clean(stated)).replace("\\", "/")
    if not name.lower().endswith(".eml"):
        name = name.rpartition("/")[2]
    name = "".join(char for char in name if char.isprintable()).replace("/", "-").strip(". ")[-_LONGEST_NAME:]
    suffix = ".eml" if media_type == "message/rfc822" else mimetypes.guess_extension(media_type) or ""
    return name or f"attachment-{number}{suffix}"


def join_mail(
    headers: Iterable[tuple[str, str]],
    body: Parsed,
    attachments: Iterable[Attachment],
    max_attachments: int,
    max_bytes: int,
) -> Parsed:
    """The headers as the first paragraph, the body's text and elements behind it; attachments as far as they fit."""
    named = dict(headers)
    head = "\n".join(f"{name}: {value}" for name, value in named.items())
    separator = "\n\n" if head and body.text else ""
    shift = len(head) + len(separator)
    elements = [Element(ElementKind.PARAGRAPH, Span(0, len(head)))] if head else []
    for element in body.elements:
        span = Span(element.span.start + shift, element.span.end + shift)
        elements.append(Element(element.kind, span, element.level, element.page))
    metadata: dict[str, MetadataValue] = {
        name.lower(): value for name, value in named.items() if name in ("From", "To", "Date")
    }
    kept: list[Attachment] = []
    left_out: list[str] = []
    for item in attachments:
        room = max_bytes - sum(len(before.data) for before in kept)
        if len(kept) < max_attachments and len(item.data) <= room:
            kept.append(item)
        else:
            left_out.append(item.name)
    if kept:
        metadata["attachments"] = [item.name for item in kept]
    if left_out:
        metadata["attachments_left_out"] = left_out[:max_attachments]
    text = head + separator + body.text
    return Parsed(text, tuple(elements), named.get("Subject"), metadata, tuple(kept))
