"""Rows as documents, and their values as what a key, a text, a title and metadata may hold."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from ingestion.corpus.records import MetadataValue
from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.sources.definitions import SqlOrigin
from ingestion.sources.origin import OriginDocument
from ingestion.sources.sql.stamps import moment_of
from ingestion.sources.sql.statements import origin_name

MAX_KEY_CHARS = 512
_KEY_HEAD_CHARS = 440
_TITLE_CHARS = 300
_LARGEST_INT = 2**63
_NO_NAME = re.compile(r"[\0\ud800-\udfff]")
_QUOTED_IN_URI = re.compile(r"[^\w\-.~:@!$'()*+,;=]")
_FORMATS = {
    "text": ("row.txt", "text/plain"),
    "markdown": ("row.md", "text/markdown"),
    "html": ("row.html", "text/html"),
}


@dataclass(frozen=True, slots=True)
class RowKey:
    """The key of a row. `name` is how the sync knows it; `kind` and `text` say which value it has in the database."""

    name: str
    kind: str
    text: str

    @property
    def value(self) -> object:
        """The value to ask the database for. Raises: DocumentRejected if it can't be asked for."""
        match self.kind:
            case "int":
                return int(self.text)
            case "decimal":
                return Decimal(self.text)
            case "uuid":
                return UUID(self.text)
            case "bytes":
                return bytes.fromhex(self.text)
            case "datetime":
                return datetime.fromisoformat(self.text)
            case "date":
                return date.fromisoformat(self.text)
            case "text":
                return self.text
        raise DocumentRejected(RejectionCode.INVALID_DOCUMENT, self.kind)


def key_of(value: object) -> RowKey:
    """The key that a row has in the database. One that no row can be asked for by has a sentence as its kind."""
    match value:
        case str():
            name = _name(value)
            if any("\ud800" <= char <= "\udfff" for char in value):
                return RowKey(name, "its key is not valid UTF-8", name)
            return RowKey(name, "text", value)
        case bool():
            kind = "its key is a truth value, which can't tell rows apart"
        case int():
            kind = "int"
        case Decimal():
            kind = "decimal"
        case UUID():
            kind = "uuid"
        case bytes():
            return RowKey(_name(value.hex()), "bytes", value.hex())
        case datetime():
            return RowKey(value.isoformat(), "datetime", value.isoformat())
        case date():
            return RowKey(value.isoformat(), "date", value.isoformat())
        case _:
            kind = f"its key is a {type(value).__name__}, which can't be compared exactly: choose another key column"
    return RowKey(_name(str(value)), kind, str(value))


def uri_of(definition: SqlOrigin, key: str) -> str:
    """What readers see: `sql:database/table/key`, the key with every character that could mislead as `%XX`."""
    return f"sql:{definition.database}/{_quoted(origin_name(definition))}/{_quoted(key)}"


def document_of(
    definition: SqlOrigin, key: str, row: Mapping[str, Any], stamp: str | None, max_bytes: int
) -> OriginDocument | None:
    """The row as a document. Without text its title is all there is to find; None if it has neither.

    Raises: DocumentRejected for a row that is too large or holds what can't be stored.
    """
    parts = [part for name in definition.text if (part := _text(row[name])).strip()]
    title = "" if definition.title is None else _title(row[definition.title])
    if not parts and not title:
        return None
    # Bytes that were no UTF-8 are given as they are: the parser finds their encoding.
    data = "\n\n".join(parts or [title]).encode("utf-8", "surrogateescape")
    if len(data) > max_bytes:
        raise too_large(len(data), max_bytes)
    name, media_type = _FORMATS[definition.text_format if parts else "text"]
    return OriginDocument(
        uri=uri_of(definition, key),
        name=name,
        data=data,
        title=title or key,
        metadata={name: value for name in definition.metadata if (value := _metadata(row[name], name)) is not None},
        media_type=media_type,
        modified_at=None if stamp is None else moment_of(stamp),
    )


def too_large(size: int, max_bytes: int) -> DocumentRejected:
    return DocumentRejected(RejectionCode.TOO_LARGE, f"the row holds {size} bytes; at most {max_bytes} are read")


def _name(key: str) -> str:
    """A key that every store can hold: over-long ones, and those with NUL or broken characters, end in their hash."""
    if len(key) <= MAX_KEY_CHARS and not _NO_NAME.search(key):
        return key
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{_NO_NAME.sub('_', key[:_KEY_HEAD_CHARS])}…{digest}"


def _quoted(text: str) -> str:
    return _QUOTED_IN_URI.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), text)


def _text(value: object) -> str:
    """The value in characters, without NUL characters, which pad fields of fixed length and hide words from search."""
    match value:
        case None:
            return ""
        case bytes():
            return value.decode("utf-8", "surrogateescape").replace("\0", "")
        case str():
            return value.replace("\0", "")
        case date() | time():
            return value.isoformat()
        case dict() | list() | tuple():
            return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _title(value: object) -> str:
    return " ".join(_storable(_text(value)).split())[:_TITLE_CHARS]


def _metadata(value: object, column: str) -> MetadataValue | None:
    """The value as metadata can hold it, None for NULL. Raises: DocumentRejected for bytes."""
    match value:
        case None | bool():
            return value
        case bytes():
            raise DocumentRejected(
                RejectionCode.INVALID_DOCUMENT,
                f"column {column!r} holds bytes, which metadata can't: leave it out, or convert it in a query",
            )
        case int():
            return value if abs(value) < _LARGEST_INT else str(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case Decimal():
            return _number(value)
        case timedelta():
            return str(value)
        case list() | tuple() if all(isinstance(entry, str) for entry in value):
            return [_storable(entry) for entry in value]
    return _storable(_text(value))


def _number(value: Decimal) -> int | float | str:
    """The number itself where JSON can hold it exactly, else its digits."""
    if not value.is_finite():
        return str(value)
    if value == value.to_integral_value():
        whole = int(value)
        return whole if abs(whole) < _LARGEST_INT else str(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)


def _storable(text: str) -> str:
    """Text without what a catalogue can't hold."""
    return text.replace("\0", "").encode("utf-8", "surrogateescape").decode("utf-8", "replace")
