"""Who is asking and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ingestion.corpus.scope import Scope, TenantId
from service.errors import Forbidden

DEFAULT_TENANT = TenantId("default")


class Permission(StrEnum):
    """A scope of a key, as the HTTP contract names it. `admin` includes all others."""

    SEARCH = "search"
    ANSWER = "answer"
    INGEST = "ingest"
    FEEDBACK = "feedback"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """One caller. `labels` limit what is read, not what is written: `ingest` writes anywhere in its tenant."""

    tenant: TenantId
    permissions: frozenset[Permission]
    labels: frozenset[str] | None = None
    key_id: str | None = None

    @property
    def scope(self) -> Scope:
        return Scope(self.tenant, self.labels)

    def require(self, permission: Permission) -> None:
        """Raises: Forbidden if the caller lacks the permission."""
        if permission not in self.permissions and Permission.ADMIN not in self.permissions:
            raise Forbidden(f"this key lacks the scope {permission.value!r}")


KEYLESS = Principal(DEFAULT_TENANT, frozenset(Permission))
"""Whoever calls over loopback while no key exists."""
