"""Ingests the documents of an upload: together while all goes well, one at a time after something broke."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from itertools import islice

import structlog

from ingestion.corpus.records import DocumentSource
from ingestion.errors import RejectionCode
from ingestion.job_store import ItemStatus, JobItem, UploadStore, Waiting
from ingestion.jobs.boundary import Crash, attempted
from ingestion.jobs.progress import Standing, Task
from ingestion.pipeline import Outcome, Pipeline, Run

log = structlog.get_logger(__name__)

_TAKEN_AT_ONCE = 16
_STAGE = "ingesting"


class Uploads:
    """Ingests what waits in a job. `attempts` is how often a document may end the process, or in an unknown error."""

    def __init__(self, store: UploadStore, pipeline: Pipeline, attempts: int) -> None:
        self._store = store
        self._pipeline = pipeline
        self._attempts = attempts

    def ingest(self, task: Task) -> None:
        """Ingest until nothing waits, or it is to stop. Called again after a crash, it does the rest.

        A try of a document is counted before it is made, and taken back when it ends in order: what stays counted
        are tries that ended the process or in an unknown error. Such documents are tried alone, so that whatever
        ends so again is known, and after `attempts` times it is quarantined.

        Raises: BackendUnavailable if a store or endpoint fails: the same call may work later.
        """
        run = _Run(self._store, self._pipeline, task)
        crash: Crash | None = None
        while not task.stop():
            waiting = self._store.waiting(task.job)
            suspects = [document for document in waiting if document.attempts]
            if crash is not None and not suspects:
                raise crash.error  # it came before any document was tried
            for suspect in suspects:
                self._try_alone(run, suspect, task)
            fresh = [document for document in waiting if not document.attempts]
            crash = run.ingest(fresh) if fresh else None
            if crash is None:
                break
        run.report(at_once=True)

    def _try_alone(self, run: _Run, suspect: Waiting, task: Task) -> None:
        crash: Crash | None = None
        for _ in range(suspect.attempts, self._attempts):
            crash = run.ingest([suspect])
            if crash is None:
                return
        why = "the process ended" if crash is None else f"{type(crash.error).__name__} was raised"
        log.warning("document_quarantined", job_id=task.job, position=suspect.position, attempts=self._attempts)
        self._store.finish(
            task.job,
            suspect.position,
            ItemStatus.FAILED,
            code=RejectionCode.QUARANTINED,
            detail=f"it was tried {self._attempts} times, and each time {why}: see the log; upload it again to retry",
        )


class _Run:
    """What one worker does for one job, until the job is over or the worker closes."""

    def __init__(self, store: UploadStore, pipeline: Pipeline, task: Task) -> None:
        self._store = store
        self._pipeline = pipeline
        self._task = task
        self._done = 0
        self._seconds: Counter[str] = Counter()
        self._attached = store.attached(task.job)

    def ingest(self, documents: Sequence[Waiting]) -> Crash | None:
        """Try these documents. The crash that ended it, if one did; the tries that it ended stay counted.

        Raises: BackendUnavailable.
        """
        tried: set[int] = set()
        crash: Crash | None = None
        try:
            crash = attempted(lambda: self._pass(documents, tried))
        finally:
            if crash is None and tried:
                self._store.count_try(self._task.job, sorted(tried), by=-1)
        return crash

    def report(self, run: Run | None = None, *, at_once: bool = False) -> None:
        """Tell how far the job has come."""
        current = {} if run is None else run.stage_seconds
        self._task.meter.update(Standing(_STAGE, self._done), self._seconds + Counter(current), at_once=at_once)

    def _pass(self, documents: Sequence[Waiting], tried: set[int]) -> None:
        run = self._pipeline.ingest(
            self._task.scope, self._handed(documents, tried), submitted_at=self._task.submitted_at
        )
        try:
            for outcome in run:
                self._record(documents[outcome.position].position, outcome, tried)
                self.report(run)
        finally:
            if isinstance(run.outcomes, Generator):
                run.outcomes.close()
            self._seconds += Counter(run.stage_seconds)

    def _handed(self, documents: Sequence[Waiting], tried: set[int]) -> Iterator[DocumentSource]:
        rest = iter(documents)
        while several := list(islice(rest, _TAKEN_AT_ONCE)):
            if self._task.stop():
                return
            positions = [document.position for document in several]
            self._store.count_try(self._task.job, positions)
            tried.update(positions)
            for position in positions:
                if self._task.stop():
                    return
                yield self._store.load(self._task.job, position)

    def _record(self, position: int, outcome: Outcome, tried: set[int]) -> None:
        job, status = self._task.job, ItemStatus(outcome.status)
        code = None if outcome.code is None else str(outcome.code)
        self._done += 1
        if outcome.attached_to is None:
            self._store.finish(job, position, status, code=code, detail=outcome.detail)
            tried.discard(position)
        elif outcome.document_id not in self._attached:
            self._attached.add(outcome.document_id)
            item = JobItem(outcome.document_id, outcome.uri, status, code, outcome.detail)
            self._store.add_attached(job, item, outcome.attached_to)
