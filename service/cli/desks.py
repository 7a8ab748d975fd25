"""Where the commands about sources are carried out: on the corpus of this process, or by a running service."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol
from urllib.parse import quote

from ingestion.corpus.corpus import open_corpus
from ingestion.corpus.scope import Scope
from ingestion.errors import SourceUnavailable
from ingestion.jobs import JobKind, JobState
from ingestion.sources.definitions import SourceDefinition, SourceId
from ingestion.syncing import ItemRecord, ItemStatus, Oversight, Sources, SourceStore, SyncProgress, open_syncer
from ingestion.telemetry import configure_logging
from service.api.models.sources import ReconciliationModel, SourceModel
from service.cli.operator import audited
from service.cli.remote import Remote
from service.ledger.audit import Action
from service.settings import ServiceSettings

_POLL_S = 0.5
_PAGE = 100
_MOST_FAILURES = 1000
_INCOMPLETE = "not everything at the origin could be looked at: nothing was deleted, and the next sync tries again"
_COUNTS = ("created", "updated", "unchanged", "deleted", "failed", "quarantined")

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SyncState:
    """How far a sync has come. `ended` says how it ended, None while it runs; `failures` are told at the end."""

    done: int
    total: int | None
    counts: Mapping[str, int]
    stage: str | None = None
    ended: str | None = None
    detail: str | None = None
    failures: tuple[Facts, ...] = ()


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
        with self._changing(Action.SOURCE_ADD, definition.id) as sources:
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
        with self._changing(Action.SOURCE_REMOVE, id_) as sources:
            sources.remove(self._scope, SourceId(id_))

    def set_paused(self, id_: str, paused: bool) -> Facts:
        with self._changing(Action.SOURCE_PAUSE if paused else Action.SOURCE_RESUME, id_) as sources:
            change = sources.pause if paused else sources.resume
            return _facts(SourceModel.of(change(self._scope, SourceId(id_))))

    def retry(self, id_: str) -> int:
        with self._changing(Action.SOURCE_RETRY, id_) as sources:
            return sources.retry(self._scope, SourceId(id_))

    def reconcile(self, id_: str) -> Facts:
        self._hush()
        with self._sources() as sources:
            return _facts(ReconciliationModel.of(sources.reconcile(self._scope, SourceId(id_))))

    def sync(self, id_: str, show: Show) -> SyncState:
        self._hush()
        failures: list[Facts] = []

        def progress(state: SyncProgress) -> None:
            show(SyncState(state.seen, state.total, _counts(asdict(state)), state.stage))

        def record(item: ItemRecord) -> None:
            if item.status in (ItemStatus.FAILED, ItemStatus.QUARANTINED) and len(failures) < _MOST_FAILURES:
                failures.append({"id": item.document_id, "uri": item.uri, "code": item.code, "detail": item.detail})

        with (
            open_corpus(self._settings) as corpus,
            open_syncer(corpus, self._settings) as syncer,
            audited(corpus.database, self._scope.tenant, Action.SOURCE_SYNC, id_),
        ):
            try:
                report = syncer.sync(self._scope, SourceId(id_), Oversight(progress, record=record))
            except SourceUnavailable as error:
                return SyncState(0, None, _counts({}), ended=JobState.FAILED, detail=error.detail)
            finally:
                corpus.writer.flush()
        failed = report.failed or report.quarantined or not report.complete
        return SyncState(
            report.seen,
            report.seen,
            _counts(report.counts()),
            ended=JobState.PARTIAL if failed else JobState.SUCCEEDED,
            detail=None if report.complete else _INCOMPLETE,
            failures=tuple(failures),
        )

    def _hush(self) -> None:
        """What a log would warn of, the command tells at its end."""
        if self._settings.log_level == "warning":
            configure_logging(self._settings.model_copy(update={"log_level": "error"}))

    @contextmanager
    def _changing(self, action: Action, id_: str) -> Iterator[Sources]:
        with (
            open_corpus(self._settings) as corpus,
            audited(corpus.database, self._scope.tenant, action, id_),
        ):
            yield Sources(corpus, SourceStore(corpus.database), self._settings)

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
        self._remote.call("DELETE", _path(id_), patient=True)

    def set_paused(self, id_: str, paused: bool) -> Facts:
        return self._remote.call("POST", _path(id_, "pause" if paused else "resume"))

    def retry(self, id_: str) -> int:
        return int(self._remote.call("POST", _path(id_, "retry"))["documents"])

    def reconcile(self, id_: str) -> Facts:
        return self._remote.call("GET", _path(id_, "reconcile"), patient=True)

    def sync(self, id_: str, show: Show) -> SyncState:
        job = self._remote.call("POST", _path(id_, "sync"))
        while JobState(job["state"]) in (JobState.QUEUED, JobState.RUNNING):
            stage = job["stage"] or job["state"]
            show(SyncState(job["done"], job["total"] or None, _counts(job["counts"]), stage))
            time.sleep(_POLL_S)
            job = self._newest(id_, job["id"])
        job = self._remote.call("GET", f"/v1/jobs/{job['id']}")
        return SyncState(
            job["done"],
            job["total"],
            _counts(job["counts"]),
            ended=job["state"],
            detail=job["detail"],
            failures=tuple(job["failures"]),
        )

    def _newest(self, id_: str, job_id: str) -> Facts:
        """The job as a list tells it: without its documents, of which there may be thousands."""
        page = self._remote.call("GET", f"/v1/jobs?kind={JobKind.SYNC}&source={quote(id_, safe='')}&limit=1")
        for job in page["jobs"]:
            if job["id"] == job_id:
                return dict(job)
        return self._remote.call("GET", f"/v1/jobs/{job_id}")


def _path(id_: str, action: str = "") -> str:
    return f"/v1/sources/{quote(id_, safe='')}" + (f"/{action}" if action else "")


def _facts(model: SourceModel | ReconciliationModel) -> Facts:
    return model.model_dump(mode="json")


def _counts(told: Mapping[str, Any] | None) -> dict[str, int]:
    return {name: (told or {}).get(name, 0) for name in _COUNTS}
