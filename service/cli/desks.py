"""Where the commands about sources are carried out: on the corpus of this process, or by a running service."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from ingestion.corpus.corpus import open_corpus
from ingestion.corpus.scope import Scope
from ingestion.sources.definitions import SourceDefinition, SourceId
from ingestion.syncing import Oversight, Sources, SourceStore, SyncProgress, open_syncer
from service.api.models.sources import ReconciliationModel, SourceModel
from service.cli.remote import Remote
from service.settings import ServiceSettings

_POLL_S = 0.5
_PAGE = 100
_COUNTS = ("created", "updated", "unchanged", "deleted", "failed", "quarantined")

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SyncState:
    """How far a sync has come. `ended` says how it ended, None while it runs."""

    done: int
    total: int | None
    counts: Mapping[str, int]
    ended: str | None = None
    detail: str | None = None


Show = Callable[[SyncState], None]


class Desk(Protocol):
    """All that can be asked about sources. Facts are what the HTTP API answers."""

    def add(self, definition: SourceDefinition) -> Facts: ...

    def list(self) -> list[Facts]: ...

    def get(self, id_: str) -> Facts: ...

    def remove(self, id_: str) -> None: ...

    def set_paused(self, id_: str, paused: bool) -> Facts: ...

    def retry(self, id_: str) -> int:
        """How many documents the next sync tries again."""
        ...

    def reconcile(self, id_: str) -> Facts: ...

    def sync(self, id_: str, show: Show) -> SyncState:
        """How the sync ended. `show` is told how it goes."""
        ...


class LocalDesk:
    """The corpus of the settings, opened by this process."""

    def __init__(self, settings: ServiceSettings, scope: Scope) -> None:
        self._settings = settings
        self._scope = scope

    def add(self, definition: SourceDefinition) -> Facts:
        with self._sources() as sources:
            return _facts(SourceModel.of(sources.add(self._scope, definition, remote=False)))

    def list(self) -> list[Facts]:
        with self._sources() as sources:
            found: list[Facts] = []
            cursor = None
            while True:
                page = sources.list(self._scope, cursor=cursor, limit=_PAGE)
                found += [_facts(SourceModel.of(source)) for source in page.items]
                if (cursor := page.next_cursor) is None:
                    return found

    def get(self, id_: str) -> Facts:
        with self._sources() as sources:
            return _facts(SourceModel.of(sources.get(self._scope, SourceId(id_))))

    def remove(self, id_: str) -> None:
        with self._sources() as sources:
            sources.remove(self._scope, SourceId(id_))

    def set_paused(self, id_: str, paused: bool) -> Facts:
        with self._sources() as sources:
            change = sources.pause if paused else sources.resume
            return _facts(SourceModel.of(change(self._scope, SourceId(id_))))

    def retry(self, id_: str) -> int:
        with self._sources() as sources:
            return sources.retry(self._scope, SourceId(id_))

    def reconcile(self, id_: str) -> Facts:
        with self._sources() as sources:
            return _facts(ReconciliationModel.of(sources.reconcile(self._scope, SourceId(id_))))

    def sync(self, id_: str, show: Show) -> SyncState:
        def progress(state: SyncProgress) -> None:
            counts = {name: getattr(state, name) for name in _COUNTS}
            show(SyncState(state.seen, state.total, counts))

        with open_corpus(self._settings) as corpus, open_syncer(corpus, self._settings) as syncer:
            try:
                report = syncer.sync(self._scope, SourceId(id_), Oversight(progress))
            finally:
                corpus.writer.flush()
        counts = {name: report.counts()[name] for name in _COUNTS}
        detail = None if report.complete else "not everything at the origin could be looked at: nothing was deleted"
        failed = report.failed or report.quarantined or not report.complete
        return SyncState(report.seen, report.seen, counts, "partial" if failed else "succeeded", detail)

    @contextmanager
    def _sources(self) -> Iterator[Sources]:
        with open_corpus(self._settings) as corpus:
            yield Sources(corpus, SourceStore(corpus.database), self._settings)


class RemoteDesk:
    """A running service."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def add(self, definition: SourceDefinition) -> Facts:
        return self._remote.call("POST", "/v1/sources", definition.model_dump(mode="json"))

    def list(self) -> list[Facts]:
        found: list[Facts] = []
        cursor = None
        while True:
            after = "" if cursor is None else f"&cursor={quote(cursor)}"
            page = self._remote.call("GET", f"/v1/sources?limit={_PAGE}{after}")
            found += page["sources"]
            if (cursor := page["next_cursor"]) is None:
                return found

    def get(self, id_: str) -> Facts:
        return self._remote.call("GET", _path(id_))

    def remove(self, id_: str) -> None:
        self._remote.call("DELETE", _path(id_))

    def set_paused(self, id_: str, paused: bool) -> Facts:
        return self._remote.call("POST", _path(id_, "pause" if paused else "resume"))

    def retry(self, id_: str) -> int:
        return int(self._remote.call("POST", _path(id_, "retry"))["documents"])

    def reconcile(self, id_: str) -> Facts:
        return self._remote.call("GET", _path(id_, "reconcile"))

    def sync(self, id_: str, show: Show) -> SyncState:
        job = self._remote.call("POST", _path(id_, "sync"))
        while True:
            is_over = job["state"] not in ("queued", "running")
            counts = {name: (job["counts"] or {}).get(name, 0) for name in _COUNTS}
            state = SyncState(
                job["done"], job["total"] or None, counts, job["state"] if is_over else None, job["detail"]
            )
            show(state)
            if is_over:
                return state
            time.sleep(_POLL_S)
            job = self._remote.call("GET", f"/v1/jobs/{job['id']}")


def _path(id_: str, action: str = "") -> str:
    return f"/v1/sources/{quote(id_, safe='')}" + (f"/{action}" if action else "")


def _facts(model: SourceModel | ReconciliationModel) -> Facts:
    return model.model_dump(mode="json")
