"""Removes what is not live any more from the indexes, and then from the catalogue; also what dead processes left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
_SWEEPING = _versions.state == VersionState.SWEEPING
_BATCH = 256


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

    def sweep_documents(self, scope: Scope, keys: Sequence[DocumentKey]) -> None:
        """Remove the retired versions of these documents, in every generation. Raises: BackendUnavailable."""
        for start in range(0, len(keys), _BATCH):
            mine = and_(_versions.tenant == scope.tenant, _versions.document_key.in_(keys[start : start + _BATCH]))
            self._sweep(self._find(and_(mine, _RETIRED)), _RETIRED)

    def sweep(self, *, staged_before: datetime) -> int:
        """Remove every retired version, and those staged before that time. Returns how many there were."""
        begun = _versions.state.in_([VersionState.STAGED, VersionState.SWEEPING])
        leftover = _RETIRED | and_(begun, _versions.staged_at < staged_before)
        found = self._find(leftover)
        self._sweep(found, leftover)
        return len(found)

    def _find(self, condition: ColumnElement[bool]) -> list[_VersionRef]:
        query = select(_versions.tenant, _versions.document_key, _versions.version, _versions.generation)
        with self._database.connect() as connection:
            return [
                _VersionRef(TenantId(row.tenant), DocumentKey(row.document_key), VersionId(row.version), row.generation)
                for row in connection.execute(query.where(condition))
            ]

    def _sweep(self, refs: Sequence[_VersionRef], condition: ColumnElement[bool]) -> None:
        """Remove those of the versions that still are in that condition, some hundreds to a transaction."""
        for start in range(0, len(refs), _BATCH):
            claimed = self._move(refs[start : start + _BATCH], condition, VersionState.SWEEPING)
            try:
                for ref in claimed:
                    index = self._index_of(ref.generation)
                    if index is not None:
                        index.delete_version(Scope(ref.tenant), ref.key, ref.version)
            except PlumblineError:
                self._move(claimed, _SWEEPING, VersionState.RETIRED)
                raise
            with write_transaction(self._database) as connection:
                for ref in claimed:
                    connection.execute(delete(tables.versions).where(_is(ref), _SWEEPING))

    def _move(
        self, refs: Sequence[_VersionRef], condition: ColumnElement[bool], state: VersionState
    ) -> list[_VersionRef]:
        """Those of the versions that were in the condition, and are now in that state."""
        values = {"state": state, "staged_at": datetime.now(UTC)}
        with write_transaction(self._database) as connection:
            return [
                ref
                for ref in refs
                if connection.execute(update(tables.versions).where(_is(ref), condition).values(values)).rowcount == 1
            ]


def _is(ref: _VersionRef) -> ColumnElement[bool]:
    return and_(_versions.tenant == ref.tenant, _versions.document_key == ref.key, _versions.version == ref.version)
