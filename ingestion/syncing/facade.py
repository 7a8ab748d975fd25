"""The list of sources as its users see it: add, look, pause, compare, remove. Syncs themselves are jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from ingestion.corpus.catalog_reader import Page
from ingestion.corpus.corpus import Corpus
from ingestion.corpus.scope import Scope, TenantId
from ingestion.settings import Settings
from ingestion.source_store import Source, SourceHealth, SourceStore
from ingestion.sources.definitions import SourceDefinition, SourceId
from ingestion.syncing.comparing import Comparison
from ingestion.syncing.documents import SourceDocuments
from ingestion.syncing.filing import Filing
from ingestion.syncing.permitting import check_database, check_place
from ingestion.syncing.places import clear
from ingestion.syncing.records import Reconciliation

log = structlog.get_logger(__name__)

_NOTHING_STAGED = datetime(1970, 1, 1, tzinfo=UTC)
"""Sweeps what is retired, and nothing that anybody may be writing."""


@dataclass(frozen=True, slots=True)
class SourceNumbers:
    """One source in numbers. `since_success_s` is None before the first; `counts` are of the last sync that ended."""

    tenant: TenantId
    id: SourceId
    kind: str
    health: SourceHealth
    failures: int
    since_success_s: float | None
    counts: Mapping[str, int]


class Sources:
    """Safe from several threads."""

    def __init__(self, corpus: Corpus, store: SourceStore, settings: Settings) -> None:
        self._corpus = corpus
        self._store = store
        self._settings = settings

    def add(self, scope: Scope, definition: SourceDefinition, *, remote: bool) -> Source:
        """The source. `remote`: the caller is not this machine's own user, and may name only what settings allow.

        Raises: InvalidRequest; Conflict if the id is taken.
        """
        self._check(definition, remote=remote)
        return self._store.add(scope, definition)

    def update(self, scope: Scope, definition: SourceDefinition, *, remote: bool) -> Source:
        """The source with another definition. What it changes about documents, the next sync does.

        Until then they are shown as before: remove the source first if others must not read them any more.
        Raises: NotFound; InvalidRequest; Conflict for another kind of origin.
        """
        self._check(definition, remote=remote)
        return self._store.update(scope, definition)

    def get(self, scope: Scope, id_: SourceId) -> Source:
        """Raises: NotFound."""
        return self._store.get(scope, id_)

    def list(self, scope: Scope, *, cursor: str | None = None, limit: int = 50) -> Page[Source]:
        """Sources, newest first. Raises: InvalidRequest for a foreign cursor."""
        return self._store.list(scope, cursor=cursor, limit=limit)

    def remove(self, scope: Scope, id_: SourceId) -> None:
        """When this returns, none of the source's documents can be found. A sync that runs ends.

        Documents and what they were indexed by go in one transaction; the index is swept after it.
        Raises: NotFound; BackendUnavailable if the index could not be swept: that is done at the next start.
        """
        definition = self._store.get(scope, id_).definition
        # From here on no sync can hand over another document; those that it did are among the items.
        self._store.set_paused(scope, id_, True)
        self._store.begin(scope, id_, syncs=False)
        filing = Filing(scope, definition, "")
        documents = SourceDocuments(self._corpus.database, filing)
        keys = {*documents.keys(), *map(filing.document_key, documents.item_ids())}
        removed = self._corpus.writer.catalog.remove_documents(Scope(scope.tenant), sorted(keys))
        self._store.remove(scope, id_)
        clear(scope, id_, self._settings)
        log.info("source_removed", source=id_, documents=len(removed))
        self._corpus.writer.sweep(staged_before=_NOTHING_STAGED)

    def pause(self, scope: Scope, id_: SourceId) -> Source:
        """No more syncs by schedule or watch; on demand still. Raises: NotFound."""
        return self._store.set_paused(scope, id_, True)

    def resume(self, scope: Scope, id_: SourceId) -> Source:
        """Raises: NotFound."""
        return self._store.set_paused(scope, id_, False)

    def retry(self, scope: Scope, id_: SourceId) -> int:
        """Have the next sync try quarantined documents again; returns how many. Raises: NotFound."""
        return self._store.retry(scope, id_)

    def reconcile(self, scope: Scope, id_: SourceId) -> Reconciliation:
        """What the origin and the corpus disagree on; reads all of the origin and changes nothing.

        Raises: NotFound; Conflict if the source is being synced; SourceUnavailable.
        """
        return Comparison(self._corpus, self._store, self._settings).reconcile(scope, id_)

    def health_states(self) -> dict[str, str]:
        """Each source that fails or is late, as `source tenant/id`, and what is wrong with it: for readiness."""
        return {
            f"source {source.tenant}/{source.id}": _trouble(source)
            for source in self._store.all_sources()
            if source.health in (SourceHealth.FAILING, SourceHealth.STALLED)
        }

    def numbers(self) -> tuple[SourceNumbers, ...]:
        """Each source of every tenant, for metrics."""
        now = self._store.now()
        return tuple(
            SourceNumbers(
                source.tenant,
                source.id,
                source.definition.origin.kind,
                source.health,
                source.failures,
                None if source.succeeded_at is None else (now - source.succeeded_at).total_seconds(),
                source.counts,
            )
            for source in self._store.all_sources()
        )

    def _check(self, definition: SourceDefinition, *, remote: bool) -> None:
        check_database(definition, self._settings.sources)
        if remote:
            check_place(definition, self._settings.sources)


def _trouble(source: Source) -> str:
    if source.error is not None:
        return f"{source.health}: {source.error.code}: {source.error.detail}"
    return f"{source.health}: last synced at {source.succeeded_at:%Y-%m-%d %H:%M:%S} UTC"
