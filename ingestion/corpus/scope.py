"""Who may see what: the required first argument of every read and write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

_SEPARATOR = "\x1f"

TenantId = NewType("TenantId", str)

PUBLIC_READER = "*"
"""Stored as the reader of a document without labels: everyone within its tenant may read it."""


@dataclass(frozen=True, slots=True)
class Scope:
    """One tenant and the labels (groups) that the caller may read.

    `labels=None` reads every document of the tenant (administrators, and the keyless loopback mode).
    With a set, a document is visible if it has no labels or shares at least one with the set.
    """

    tenant: TenantId
    labels: frozenset[str] | None = None

    def readers(self) -> tuple[str, ...] | None:
        """The values of a document's `readers` that admit this scope, or None if all do."""
        return None if self.labels is None else (PUBLIC_READER, *sorted(self.labels))


def readers_of(labels: tuple[str, ...]) -> tuple[str, ...]:
    """What the index stores for a document with these labels."""
    return labels or (PUBLIC_READER,)


def pack_readers(labels: tuple[str, ...]) -> str:
    """What the catalogue stores for them: each admitted label between separators."""
    return _SEPARATOR + _SEPARATOR.join(readers_of(labels)) + _SEPARATOR


def reader_patterns(scope: Scope) -> tuple[str, ...] | None:
    """Substrings of what is packed, of which one must occur for the scope to read a document; None if all may."""
    readers = scope.readers()
    return None if readers is None else tuple(f"{_SEPARATOR}{reader}{_SEPARATOR}" for reader in readers)
