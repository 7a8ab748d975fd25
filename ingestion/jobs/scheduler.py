"""What a worker does unasked: submit syncs that are due, watch folders, mend the queue, forget old jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import NotFound, PlumblineError
from ingestion.source_store import SourceStore
from ingestion.sources.definitions import FolderOrigin, SourceId
from ingestion.sources.watching import FolderWatcher

log = structlog.get_logger(__name__)

LOOK_S = 2.0
"""Between two looks for what is due."""
MEND_S = 60.0
PRUNE_S = 3600.0

Key = tuple[TenantId, SourceId]


@dataclass(frozen=True, slots=True)
class Duties:
    """What the scheduler calls. `sync` submits; `is_under_way` says whether a sync of the source is not over."""

    sync: Callable[[Scope, SourceId], object]
    is_under_way: Callable[[Scope, SourceId], bool]
    mend: Callable[[], None]
    prune: Callable[[datetime], None]


class Scheduler:
    """`look` does what is due by a time; `run` looks again and again. Used by one thread, `changed` by any."""

    def __init__(self, sources: SourceStore, duties: Duties) -> None:
        self._sources = sources
        self._duties = duties
        self._changed: set[Key] = set()
        self._wake = threading.Condition()
        self._stopped = False
        self._mended_at: datetime | None = None
        self._pruned_at: datetime | None = None

    def changed(self, key: Key) -> None:
        """Something happened in the folder of that source: it is synced soon."""
        with self._wake:
            self._changed.add(key)
            self._wake.notify_all()

    def stop(self) -> None:
        """End `run` soon."""
        with self._wake:
            self._stopped = True
            self._wake.notify_all()

    def run(self, watcher: FolderWatcher[Key], clock: Callable[[], datetime]) -> None:
        """Until `stop` is called. What fails is logged and tried again at the next look."""
        while not self._stopped:
            try:
                watcher.keep(self.watched())
                self.look(clock())
            except (PlumblineError, OperationalError, InterfaceError) as error:
                log.warning("scheduler_failed", reason=str(error))
            with self._wake:
                self._wake.wait_for(lambda: self._stopped or self._changed, LOOK_S)

    def look(self, now: datetime) -> None:
        """Submit every sync that is due by `now`, once among all workers, and do the chores whose time has come."""
        with self._wake:
            changed, self._changed = self._changed, set()
        for tenant, source in sorted(changed):
            self._make_due(Scope(tenant), source)
        for tenant, source in self._sources.due(now):
            # While it is synced it stays due: what changed since then may not be in that sync.
            if not self._duties.is_under_way(Scope(tenant), source) and self._sources.claim(tenant, source, now):
                self._submit(Scope(tenant), source)
        if self._mended_at is None or now - self._mended_at >= timedelta(seconds=MEND_S):
            self._mended_at = now
            self._duties.mend()
        if self._pruned_at is None or now - self._pruned_at >= timedelta(seconds=PRUNE_S):
            self._pruned_at = now
            self._duties.prune(now)

    def watched(self) -> dict[Key, Path]:
        """The folders to watch, as they are now."""
        roots = {}
        for source in self._sources.all_sources():
            origin = source.definition.origin
            if isinstance(origin, FolderOrigin) and origin.watch and not source.paused:
                roots[source.tenant, source.id] = origin.path
        return roots

    def _make_due(self, scope: Scope, source: SourceId) -> None:
        try:
            self._sources.make_due(scope, source)
        except NotFound:
            log.info("source_vanished", source=source)

    def _submit(self, scope: Scope, source: SourceId) -> None:
        try:
            self._duties.sync(scope, source)
        except NotFound:
            log.info("source_vanished", source=source)


@contextmanager
def scheduling(scheduler: Scheduler, clock: Callable[[], datetime], *, quiet_s: float) -> Iterator[None]:
    """Runs the scheduler in a thread of its own until the context ends."""
    with ExitStack() as stack:
        watcher = stack.enter_context(FolderWatcher(scheduler.changed, quiet_s=quiet_s))
        thread = threading.Thread(target=scheduler.run, args=(watcher, clock), name="scheduler")
        thread.start()
        stack.callback(thread.join)
        stack.callback(scheduler.stop)
        yield
