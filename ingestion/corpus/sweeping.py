"""Removes what is not live any more from the indexes, and then from the catalogue; also what dead processes left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Engine, and_, delete, select, update

from ingestion.corpus import tables
from ingestion.corpus.catalog import VersionState
from ingestion.corpus.database import write_transaction
from ingestion.corpus.index.engine import IndexEngine
from ingestion.corpus.records import DocumentKey, VersionId
from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import PlumblineError

IndexOf = Callable[[str], IndexEngine | None]
"""The index of a generation; None if there is no such generation any more."""

_versions = tables.versions.c
_RETIRED = _versions.state == VersionState.RETIRED


@dataclass(frozen=True, slots=True)
class _VersionRef:
    tenant: TenantId
    key: DocumentKey
    version: VersionId
    generation: str


class Sweeper:
    """Safe from several threads and processes: a version is claimed before its chunks leave the index, so that nobody
    who stages the same version meanwhile loses any.
    """

    def __init__(self, database: Engine, index_of: IndexOf) -> None:
        self._database = database
        self._index_of = index_of

    def sweep_document(self, scope: Scope, key: DocumentKey) -> None:
        """Remove the retired versions of one document, in every generation. Raises: BackendUnavailable."""
        condition = and_(_versions.tenant == scope.tenant, _versions.document_key == key, _RETIRED)
        for ref in self._find(condition):
            self._sweep(ref, _RETIRED)

    def sweep(self, *, staged_before: datetime) -> int:
        """Remove every retired version, and those staged before that time. Returns how many there were."""
        begun = _versions.state.in_([VersionState.STAGED, VersionState.SWEEPING])
        leftover = _RETIRED | and_(begun, _versions.staged_at < staged_before)
        found = self._find(leftover)
        for ref in found:
            self._sweep(ref, leftover)
        return len(found)

    def _find(self, condition: ColumnElement[bool]) -> list[_VersionRef]:
        query = select(_versions.tenant, _versions.document_key, _versions.version, _versions.generation)
        with self._database.connect() as connection:
            return [
                _VersionRef(TenantId(row.tenant), DocumentKey(row.document_key), VersionId(row.version), row.generation)
                for row in connection.execute(query.where(condition))
            ]

    def _sweep(self, ref: _VersionRef, condition: ColumnElement[bool]) -> None:
        if not self._move(ref, condition, VersionState.SWEEPING):
            return
        claimed = _versions.state == VersionState.SWEEPING
        try:
            index = self._index_of(ref.generation)
            if index is not None:
                index.delete_version(Scope(ref.tenant), ref.key, ref.version)
        except PlumblineError:
            self._move(ref, claimed, VersionState.RETIRED)
            raise
        with write_transaction(self._database) as connection:
            connection.execute(delete(tables.versions).where(_is(ref), claimed))

    def _move(self, ref: _VersionRef, condition: ColumnElement[bool], state: VersionState) -> bool:
        with write_transaction(self._database) as connection:
            moved = connection.execute(
                update(tables.versions).where(_is(ref), condition).values(state=state, staged_at=datetime.now(UTC))
            )
            return moved.rowcount == 1


def _is(ref: _VersionRef) -> ColumnElement[bool]:
    return and_(_versions.tenant == ref.tenant, _versions.document_key == ref.key, _versions.version == ref.version)
