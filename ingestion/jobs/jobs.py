"""What a caller does with jobs: submit, watch, cancel. How they are run is the matter of `runner` and `queue`."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import structlog

from ingestion.corpus.catalog import Catalog
from ingestion.corpus.catalog_reader import Page
from ingestion.corpus.records import DocumentSource
from ingestion.corpus.scope import Scope
from ingestion.errors import InvalidRequest
from ingestion.job_store import Job, JobFilter, JobId, JobKind, JobStore, Ticket
from ingestion.pipeline import draft_of
from ingestion.source_store import SourceStore
from ingestion.sources.definitions import SourceId

log = structlog.get_logger(__name__)

Enqueue = Callable[[Ticket], None]

_POLL_S = 0.05


class Jobs:
    """Submit jobs and watch them. Safe from several threads."""

    def __init__(
        self,
        store: JobStore,
        sources: SourceStore,
        catalog: Catalog,
        enqueue: Enqueue,
        generation: Callable[[], str],
    ) -> None:
        """`generation` names the one that documents go to now."""
        self._store = store
        self._sources = sources
        self._catalog = catalog
        self._enqueue = enqueue
        self._generation = generation

    def submit(self, scope: Scope, sources: Sequence[DocumentSource]) -> Job:
        """A queued job for these documents. When this returns, it will be done even if the process dies."""
        if not sources:
            raise InvalidRequest("a job needs at least one document")
        job = _new_id()
        self._store.uploads.add(scope, job, sources, unchanged=self._unchanged(scope, sources))
        stored = self._store.reader.get(scope, job)
        if not stored.state.is_final:
            self._enqueue(Ticket(scope.tenant, job, JobKind.UPLOAD))
        log.info("job_submitted", job_id=job, kind=JobKind.UPLOAD, documents=len(sources))
        return stored

    def sync(self, scope: Scope, source: SourceId) -> Job:
        """A job that syncs the source: the one that is not over, if there is one. Raises: NotFound."""
        self._sources.get(scope, source)
        return self._bulk(scope, JobKind.SYNC, source)

    def rebuild(self, scope: Scope, generation: str | None = None) -> Job:
        """A job that builds a generation of all that is stored, the one that the settings ask for if none is named, and
        switches to it: the job that is not over, if there is one.
        """
        return self._bulk(scope, JobKind.REBUILD, generation)

    def get(self, scope: Scope, job: JobId) -> Job:
        """Raises: NotFound."""
        return self._store.reader.get(scope, job)

    def list(
        self, scope: Scope, wanted: JobFilter | None = None, *, cursor: str | None = None, limit: int = 50
    ) -> Page[Job]:
        """Jobs, newest first, each with some of what failed. Raises: InvalidRequest for a foreign cursor."""
        return self._store.reader.list_jobs(scope, wanted or JobFilter(), cursor=cursor, limit=limit)

    def cancel(self, scope: Scope, job: JobId) -> Job:
        """Stop a job before its next document; what is ingested stays. A job that is over stays as it ended.

        Raises: NotFound.
        """
        self._store.cancel(scope, job)
        return self._store.reader.get(scope, job)

    def wait(self, scope: Scope, job: JobId, timeout_s: float) -> Job:
        """The job when it is over, or as it stands after `timeout_s`. Raises: NotFound."""
        deadline = time.monotonic() + timeout_s
        while not self._store.reader.is_over(scope, job) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return self._store.reader.get(scope, job)

    def _bulk(self, scope: Scope, kind: JobKind, source: str | None) -> Job:
        new = _new_id()
        job = self._store.add_bulk(scope, new, kind, source)
        if job == new:
            self._enqueue(Ticket(scope.tenant, job, kind, source))
            log.info("job_submitted", job_id=job, kind=kind, source=source)
        return self._store.reader.get(scope, job)

    def _unchanged(self, scope: Scope, sources: Sequence[DocumentSource]) -> set[int]:
        now = datetime.now(UTC)
        generation = self._generation()
        drafts = [draft_of(scope, source, now, generation) for source in sources]
        live = self._catalog.live_versions(scope, {draft.key for draft in drafts})
        twice = Counter(draft.key for draft in drafts)
        return {
            position
            for position, draft in enumerate(drafts)
            if live.get(draft.key) == draft.version and twice[draft.key] == 1
        }


def _new_id() -> JobId:
    return JobId(str(uuid.uuid4()))
