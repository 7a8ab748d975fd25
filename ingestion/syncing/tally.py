"""Counts what a sync does, for those who watch it; two threads count."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

from ingestion.syncing.records import ItemRecord, ItemStatus, Oversight, SyncProgress, SyncReport, SyncStage


class Tally:
    """The counts of one sync."""

    def __init__(self, oversight: Oversight, total: int | None) -> None:
        self._oversight = oversight
        self._total = total
        self._counts: Counter[str] = Counter()
        self._stage = SyncStage.SCANNING
        self._lock = threading.Lock()

    def count(self, records: Sequence[ItemRecord] = (), *, seen: int = 0, unchanged: int = 0) -> None:
        """Add items that changed or could not, and how many were met, and how many of them as they were."""
        for record in records:
            self._oversight.record(record)
        with self._lock:
            self._counts.update(record.status.value for record in records)
            self._counts["seen"] += seen
            self._counts["unchanged"] += unchanged
            progress = SyncProgress(self._stage, **self._named(), total=self._total)
        self._oversight.progress(progress)

    def count_quarantined(self, items: int) -> None:
        """Items that were met as they were, and are quarantined."""
        with self._lock:
            self._counts[ItemStatus.QUARANTINED.value] += items

    def deleting(self) -> None:
        """The scan is over."""
        with self._lock:
            self._stage = SyncStage.DELETING

    def report(self, *, complete: bool, stopped: bool) -> SyncReport:
        with self._lock:
            return SyncReport(**self._named(), complete=complete, stopped=stopped)

    def _named(self) -> dict[str, int]:
        names = ("seen", "created", "updated", "unchanged", "deleted", "failed", "quarantined")
        return {name: self._counts[name] for name in names}
