"""The list of sources as its users see it: add, look, pause, compare, remove. Syncs themselves are jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ingestion.corpus.catalog_reader import Page
from ingestion.corpus.corpus import Corpus
from ingestion.corpus.scope import Scope
from ingestion.settings import Settings
from ingestion.source_store import Source, SourceHealth, SourceStore
from ingestion.sources.definitions import SourceDefinition, SourceId
from ingestion.syncing.records import Reconciliation


@dataclass(frozen=True, slots=True)
class SourceStates:
    """All sources of all tenants in numbers. `troubled` are those that fail or are late, as `tenant/id`."""

    by_health: Mapping[SourceHealth, int] = field(default_factory=dict)
    troubled: Mapping[str, str] = field(default_factory=dict)
    oldest_success_s: float | None = None


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
        raise NotImplementedError

    def update(self, scope: Scope, definition: SourceDefinition, *, remote: bool) -> Source:
        """The source with another definition. What it changes about documents, the next sync does.

        Raises: NotFound; InvalidRequest; Conflict for another kind of origin.
        """
        raise NotImplementedError

    def get(self, scope: Scope, id_: SourceId) -> Source:
        """Raises: NotFound."""
        return self._store.get(scope, id_)

    def list(self, scope: Scope, *, cursor: str | None = None, limit: int = 50) -> Page[Source]:
        """Sources, newest first. Raises: InvalidRequest for a foreign cursor."""
        return self._store.list(scope, cursor=cursor, limit=limit)

    def remove(self, scope: Scope, id_: SourceId) -> None:
        """When this returns, none of the source's documents can be found. A sync that runs ends. Raises: NotFound."""
        raise NotImplementedError

    def pause(self, scope: Scope, id_: SourceId) -> Source:
        """No more syncs by schedule or watch; on demand still. Raises: NotFound."""
        return self._store.set_paused(scope, id_, True)

    def resume(self, scope: Scope, id_: SourceId) -> Source:
        """Raises: NotFound."""
        return self._store.set_paused(scope, id_, False)

    def retry(self, scope: Scope, id_: SourceId) -> int:
        """Have the next sync try quarantined documents again; returns how many. Raises: NotFound."""
        raise NotImplementedError

    def reconcile(self, scope: Scope, id_: SourceId) -> Reconciliation:
        """What the origin and the corpus disagree on; reads all of the origin and changes nothing.

        Raises: NotFound; Conflict if the source is being synced; SourceUnavailable.
        """
        raise NotImplementedError

    def states(self) -> SourceStates:
        """For readiness and metrics."""
        raise NotImplementedError
