"""E-mail (EML and Outlook's MSG): its main headers and its body. Attachments are documents of their own."""

from __future__ import annotations

import codecs
import email
import email.policy
import io
from collections.abc import Iterable
from email.message import EmailMessage, MIMEPart

from ingestion.corpus.records import Element, ElementKind, MetadataValue, Span
from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.parsing.building import Parsed, clean, squeeze
from ingestion.parsing.encoding import decode, wide_encoding
from ingestion.parsing.html import parse_html
from ingestion.parsing.plain import parse_plain

_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_ENCRYPTED = frozenset({"multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"})


def parse_eml(data: bytes) -> Parsed:
    """Headers and body of an RFC 5322 message; the title is its subject.

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
    if part is not None and part.get_content_type() == "text/html":
        return _join(headers, parse_html(body))
    return _join(headers, parse_plain(body))


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


def _content(part: MIMEPart) -> str:
    """The part's text: in its own charset if that is right, else in the one it looks like."""
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else str(payload or "").encode()
    try:
        return data.decode(part.get_content_charset() or "utf-8")
    except (LookupError, UnicodeDecodeError):
        return decode(data)


def parse_msg(data: bytes) -> Parsed:
    """Headers and body of an Outlook message; the title is its subject."""
    from oxmsg import Message

    message = Message.load(io.BytesIO(data))
    sent = message.sent_date
    recipients = ", ".join(
        f"{person.name} <{person.email_address}>" if person.name else person.email_address
        for person in message.recipients
    )
    found = {
        "From": message.sender,
        "To": recipients or message.message_headers.get("To"),
        "Date": sent.isoformat() if sent else message.message_headers.get("Date"),
        "Subject": message.subject,
    }
    headers = [(name, squeeze(clean(value))) for name, value in found.items() if value and value.strip()]
    if message.body and message.body.strip():
        return _join(headers, parse_plain(clean(message.body)))
    return _join(headers, parse_html(clean(message.html_body or "")))


def _join(headers: Iterable[tuple[str, str]], body: Parsed) -> Parsed:
    """The headers as the first paragraph, the body's text and elements behind it."""
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
    return Parsed(head + separator + body.text, tuple(elements), named.get("Subject"), metadata)
