"""What is at an origin is in the corpus, exactly: syncs, the proof of it, and the list of sources."""

from ingestion.source_store import Source, SourceError, SourceHealth, SourceStore
from ingestion.syncing.facade import Sources, SourceStates
from ingestion.syncing.records import ItemRecord, Oversight, Reconciliation, SyncProgress, SyncReport, SyncStage
from ingestion.syncing.syncer import Syncer

__all__ = [
    "ItemRecord",
    "Oversight",
    "Reconciliation",
    "Source",
    "SourceError",
    "SourceHealth",
    "SourceStates",
    "SourceStore",
    "Sources",
    "SyncProgress",
    "SyncReport",
    "SyncStage",
    "Syncer",
]
