"""Syncs and rebuilds as jobs: what they report goes to the job's row, and uploads go before them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict

from ingestion.corpus.scope import Scope
from ingestion.errors import Conflict, PlumblineError, RejectionCode, SourceUnavailable
from ingestion.job_store import ItemStatus, JobItem, JobKind, JobState
from ingestion.jobs.lanes import Lanes
from ingestion.jobs.progress import Ending, Standing, Task
from ingestion.source_store import SourceStore
from ingestion.sources.definitions import SourceId
from ingestion.syncing import ItemRecord, Oversight, SyncProgress, SyncReport

BulkWork = Callable[[Scope, str | None, Oversight], SyncReport]
"""Work on a source of the scope, or on all of the corpus. May be run again after a crash at any point."""

_INCOMPLETE = "not everything at the origin could be looked at: nothing was deleted, and the next sync tries again"
_AT_THE_END = "ending"
_COUNTS = frozenset({"created", "updated", "unchanged", "deleted", "failed", "quarantined"})


class Bulk:
    """Runs bulk work, by the kind of its job."""

    def __init__(self, works: Mapping[JobKind, BulkWork], sources: SourceStore, lanes: Lanes) -> None:
        self._works = works
        self._sources = sources
        self._lanes = lanes

    def run(self, kind: JobKind, task: Task) -> Ending:
        """How it ended. Raises what the work raises."""
        passes: list[Mapping[str, float]] = []

        def progress(so_far: SyncProgress) -> None:
            counts = {name: value for name, value in asdict(so_far).items() if name in _COUNTS}
            # What was met is not done yet: most of the time goes into what comes after.
            done = sum(counts.values()) - so_far.deleted
            total = max(done, so_far.seen, so_far.total or 0)
            is_known = so_far.total is not None and so_far.seen <= so_far.total
            task.meter.update(Standing(so_far.stage, done, total, is_known, counts), _sum(passes))

        oversight = Oversight(
            progress=progress,
            should_stop=task.stop,
            wait_turn=lambda: self._lanes.wait_turn(task.stop),
            record=lambda record: task.meter.record(_item(record)),
            spent=passes.append,
        )
        report = self._works[kind](task.scope, task.source, oversight)
        counts = report.counts()
        seen = counts.pop("seen")
        task.meter.update(Standing(_AT_THE_END, seen, seen, counts=counts), _sum(passes), at_once=True)
        if report.failed or report.quarantined or not report.complete:
            return Ending(JobState.PARTIAL, None if report.complete else _INCOMPLETE)
        return Ending(JobState.SUCCEEDED)

    def may_pass(self, task: Task, error: PlumblineError) -> bool:
        """Whether the job should try again soon. A source with a schedule is left to it, with its own pauses."""
        if isinstance(error, SourceUnavailable) and task.source is not None:
            return self._sources.get(task.scope, SourceId(task.source)).due_at is None
        return error.retryable or isinstance(error, Conflict)


def _sum(passes: Iterable[Mapping[str, float]]) -> Counter[str]:
    seconds: Counter[str] = Counter()
    for spent in passes:
        seconds.update(dict(spent))
    return seconds


def _item(record: ItemRecord) -> JobItem:
    if record.status.value == RejectionCode.QUARANTINED.value:
        return JobItem(record.document_id, record.uri, ItemStatus.FAILED, str(RejectionCode.QUARANTINED), record.detail)
    return JobItem(record.document_id, record.uri, ItemStatus(record.status.value), record.code, record.detail)
