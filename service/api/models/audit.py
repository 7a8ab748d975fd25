"""`/v1/audit`: the entries of a tenant's chain."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, Field

from ingestion.errors import InvalidRequest
from service.api.models.fields import Cursor, Reply, Request
from service.ledger.audit import Wanted
from service.ledger.chain import Entry

MAX_PAGE = 1000


class AuditEntry(Reply):
    """One entry; docs/quality/audit.md says which bytes `hash` is made over."""

    tenant: str
    n: int = Field(description="counts from 1 without a gap")
    at: str = Field(description="RFC 3339 in UTC with six digits after the point: exactly as it was hashed")
    actor: str = Field(description="`key:<id>`, `keyless`, `cli:<user>` or `service`")
    action: str
    subject: str | None
    detail: dict[str, Any]
    previous: str
    hash: str

    @classmethod
    def of(cls, entry: Entry) -> AuditEntry:
        return cls(**entry.facts())


class AuditPage(Reply):
    """Entries, oldest first; `next_cursor` is null on the last page."""

    entries: list[AuditEntry]
    next_cursor: str | None


class AuditParameters(Request):
    """Which entries, and which page of them."""

    since: AwareDatetime | None = None
    actor: str | None = Field(None, max_length=128)
    action: str | None = Field(None, max_length=64)
    cursor: Cursor | None = None
    limit: int = Field(100, ge=1, le=MAX_PAGE)

    def wanted_of(self) -> Wanted:
        """Raises: InvalidRequest for a foreign cursor."""
        after = self.cursor or "0"
        if not (after.isascii() and after.isdecimal() and len(after) < 10):
            raise InvalidRequest("this cursor is not from a page of the audit log", pointer="/cursor")
        return Wanted(int(after), self.since, self.actor, self.action)
