"""What becomes of a document that was handed to the pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ingestion.corpus.records import DocumentId
from ingestion.errors import RejectionCode


class OutcomeStatus(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the document at `position` of the input; `code` and `detail` say why it failed.

    `attached_to` is set for a document that came out of the one at that position, such as a file attached to a mail.
    """

    position: int
    document_id: DocumentId
    uri: str
    status: OutcomeStatus
    chunks: int = 0
    code: RejectionCode | None = None
    detail: str | None = None
    attached_to: DocumentId | None = None
