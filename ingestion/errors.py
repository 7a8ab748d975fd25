"""The one error tree of the product; adapters turn vendor errors into these.

    PlumblineError
    ├── ConfigurationError        a setting, model or data folder that cannot work: fails at start
    │   ├── ModelIntegrityError   weights whose hash is not the pinned one
    │   ├── ModelUnavailable      weights, encoding or endpoint that cannot be had
    │   ├── DimensionMismatch     embedder and index disagree on the vector size
    │   └── CorpusInUse           another process holds the embedded data folder
    ├── InvalidRequest            the caller's fault: bad filter, unknown field, over-long query
    ├── NotFound                  no such document, job or key within the caller's scope
    ├── Conflict                  the request contradicts what is stored
    ├── DocumentRejected          one document cannot be ingested; the others go on
    ├── Overtaken                 what was being written was replaced or switched away meanwhile (retryable)
    ├── SourceUnavailable         a source's origin did not answer or can't be listed (retryable)
    └── BackendUnavailable        Qdrant, the database or an endpoint did not answer (retryable)

Domain code raises these and never an HTTP error: the edge maps `code` to a status in one table.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class PlumblineError(Exception):
    """Root of the tree. `code` is stable and documented; `retryable` says whether trying again may help."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class ConfigurationError(PlumblineError):
    code = "configuration"


class ModelIntegrityError(ConfigurationError):
    code = "model_integrity"


class ModelUnavailable(ConfigurationError):
    code = "model_unavailable"


class DimensionMismatch(ConfigurationError):
    code = "dimension_mismatch"


class CorpusInUse(ConfigurationError):
    code = "corpus_in_use"


class InvalidRequest(PlumblineError):
    """The caller's fault. `pointer` is the JSON pointer (RFC 6901) of the offending part, if known."""

    code = "invalid_request"

    def __init__(self, detail: str, *, pointer: str | None = None) -> None:
        super().__init__(detail)
        self.pointer = pointer


class NotFound(PlumblineError):
    code = "not_found"


class Conflict(PlumblineError):
    code = "conflict"


class BackendUnavailable(PlumblineError):
    code = "backend_unavailable"
    retryable = True


class Overtaken(PlumblineError):
    code = "overtaken"
    retryable = True


class SourceUnavailable(PlumblineError):
    code = "source_unavailable"
    retryable = True


class RejectionCode(StrEnum):
    """Why one document could not be ingested. Stable: clients and dashboards match on them."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    UNSUPPORTED_TYPE = "unsupported_type"
    TYPE_MISMATCH = "type_mismatch"
    BINARY = "binary"
    ENCRYPTED = "encrypted"
    CORRUPT = "corrupt"
    ARCHIVE_BOMB = "archive_bomb"
    NO_TEXT = "no_text"
    NEEDS_OCR = "needs_ocr"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    PARSER_CRASHED = "parser_crashed"
    UNREADABLE = "unreadable"
    INVALID_DOCUMENT = "invalid_document"
    FETCH_FAILED = "fetch_failed"
    FORBIDDEN_ADDRESS = "forbidden_address"
    QUARANTINED = "quarantined"


class DocumentRejected(PlumblineError):
    """One document cannot be ingested: `reason` is the stable code, `detail` a sentence that says how to mend it."""

    code = "document_rejected"

    def __init__(self, reason: RejectionCode, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
