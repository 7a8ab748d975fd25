"""What is at an origin is in the corpus, exactly: syncs, the proof of it, and the list of sources."""

from ingestion.source_store import Source, SourceError, SourceHealth, SourceStore
from ingestion.syncing.facade import SourceNumbers, Sources
from ingestion.syncing.opening import open_syncer
from ingestion.syncing.records import (
    Difference,
    ItemRecord,
    ItemStatus,
    Oversight,
    Reconciliation,
    SyncProgress,
    SyncReport,
    SyncStage,
)
from ingestion.syncing.rows import document_id_of_row
from ingestion.syncing.syncer import Syncer

__all__ = [
    "Difference",
    "ItemRecord",
    "ItemStatus",
    "Oversight",
    "Reconciliation",
    "Source",
    "SourceError",
    "SourceHealth",
    "SourceNumbers",
    "SourceStore",
    "Sources",
    "SyncProgress",
    "SyncReport",
    "SyncStage",
    "Syncer",
    "document_id_of_row",
    "open_syncer",
]
