"""Syncs one source: what is at its origin is in the corpus afterwards, whatever happened before."""

from __future__ import annotations

from ingestion.corpus.corpus import Corpus
from ingestion.corpus.scope import Scope
from ingestion.pipeline import Pipeline
from ingestion.settings import Settings
from ingestion.source_store import SourceStore
from ingestion.sources.definitions import SourceId
from ingestion.syncing.records import Oversight, Reconciliation, SyncReport


class Syncer:
    """Safe from several threads; each source is synced by one at a time."""

    def __init__(self, corpus: Corpus, store: SourceStore, pipeline: Pipeline, settings: Settings) -> None:
        self._corpus = corpus
        self._store = store
        self._pipeline = pipeline
        self._settings = settings

    def sync(self, scope: Scope, id_: SourceId, oversight: Oversight | None = None) -> SyncReport:
        """What was done. May be run again after a crash at any point, and ends as if there had been none.

        Raises: NotFound; Conflict if the source is being synced; SourceUnavailable or BackendUnavailable, after
        which the source is due again later.
        """
        raise NotImplementedError

    def reconcile(self, scope: Scope, id_: SourceId) -> Reconciliation:
        """What the origin and the corpus disagree on; reads all of the origin and changes nothing.

        Raises: NotFound; Conflict if the source is being synced; SourceUnavailable.
        """
        raise NotImplementedError
