"""Syncs one source: what is at its origin is in the corpus afterwards, whatever happened before.

What is new goes in first and what is gone goes out last, so that a document under a new name finds its embeddings.
Only a scan that met everything, or an origin that says so of an item, deletes.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType

import structlog
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from ingestion.corpus.corpus import Corpus
from ingestion.corpus.records import DocumentId
from ingestion.corpus.scope import Scope
from ingestion.errors import BackendUnavailable, Conflict, NotFound, Overtaken, PlumblineError, RejectionCode
from ingestion.pipeline import Outcome, OutcomeStatus, Pipeline, Run
from ingestion.settings import Settings
from ingestion.source_store import SourceStore
from ingestion.sources.definitions import SourceId
from ingestion.sources.origin import Origin
from ingestion.syncing.comparing import Comparison
from ingestion.syncing.documents import SourceDocuments
from ingestion.syncing.feeding import Feed, quarantined
from ingestion.syncing.filing import Filing, marked
from ingestion.syncing.items import Handed, ItemBook, Settled
from ingestion.syncing.places import OpenOrigin, opened
from ingestion.syncing.records import ItemRecord, ItemStatus, Oversight, Reconciliation, SyncReport
from ingestion.syncing.tally import Tally

log = structlog.get_logger(__name__)

_DELETED_TOGETHER = 100
_SETTLED_TOGETHER = 32


class Syncer:
    """Safe from several threads; each source is synced by one at a time."""

    def __init__(
        self,
        corpus: Corpus,
        store: SourceStore,
        pipeline: Pipeline,
        settings: Settings,
        *,
        open_origin: OpenOrigin = opened,
    ) -> None:
        self._corpus = corpus
        self._store = store
        self._pipeline = pipeline
        self._settings = settings
        self._open_origin = open_origin

    def sync(self, scope: Scope, id_: SourceId, oversight: Oversight | None = None) -> SyncReport:
        """What was done. May be run again after a crash at any point, and ends as if there had been none.

        Raises: NotFound; Conflict if the source is being synced; SourceUnavailable or BackendUnavailable, after
        which the source is due again later; Overtaken if the generation was switched: sync again;
        InvalidRequest for a definition that can't work.
        """
        with self._store.exclusively(scope, id_):
            source = self._store.get(scope, id_)
            with _Recorded(self._store, scope, id_), _database_errors_named(), ExitStack() as stack:
                turn = self._store.begin(scope, id_)
                filing = Filing(scope, source.definition, self._corpus.index_version)
                book = ItemBook(self._store, filing, turn.scan)
                origin = stack.enter_context(self._open_origin(scope, source.definition, self._settings))
                run = _Run(self._corpus, self._pipeline, self._settings, book, oversight or Oversight())
                token = marked(filing.scan_mark(), origin.token())
                book.forget_lost()
                if token is not None and token == turn.token and book.is_settled():
                    report = run.nothing_to_do()
                else:
                    report = run.all(origin)
                self._end(scope, id_, report, token)
                return report

    def reconcile(self, scope: Scope, id_: SourceId) -> Reconciliation:
        """What the origin and the corpus disagree on; reads all of the origin and changes nothing.

        Raises: NotFound; Conflict if the source is being synced; SourceUnavailable.
        """
        return Comparison(self._corpus, self._store, self._settings, self._open_origin).reconcile(scope, id_)

    def _end(self, scope: Scope, id_: SourceId, report: SyncReport, token: str | None) -> None:
        log.info("source_synced", source=id_, complete=report.complete, stopped=report.stopped, **report.counts())
        if report.stopped:
            return
        if report.complete:
            self._store.succeeded(scope, id_, report.counts(), token)
        else:
            detail = "not everything at the origin could be listed, so nothing was deleted; see the failed documents"
            self._store.incomplete(scope, id_, report.counts(), detail)


class _Run:
    """One sync."""

    def __init__(
        self,
        corpus: Corpus,
        pipeline: Pipeline,
        settings: Settings,
        book: ItemBook,
        oversight: Oversight,
    ) -> None:
        self._corpus = corpus
        self._pipeline = pipeline
        self._attempts = settings.jobs.attempts
        self._filing = book.filing
        self._book = book
        self._oversight = oversight
        self._documents = SourceDocuments(corpus.database, book.filing)
        self._submitted_at = datetime.now(UTC)
        self._tally = Tally(oversight, book.count() or None)

    def nothing_to_do(self) -> SyncReport:
        """The origin is as it was, and so is what is stored of it."""
        items, aside = self._book.count(), self._book.count(quarantined=True)
        self._tally.count_quarantined(aside)
        self._tally.count(seen=items, unchanged=items - aside)
        return self._tally.report(complete=True, stopped=False)

    def all(self, origin: Origin) -> SyncReport:
        """Raises: what the origin raised, after everything that it gave before is done."""
        scan = origin.scan(self._book)
        try:
            feed = Feed(
                scan,
                self._book,
                self._corpus.writer.catalog,
                self._tally,
                attempts=self._attempts,
                should_stop=self._oversight.should_stop,
            )
            self._add(feed)
        finally:
            if isinstance(scan, Generator):
                scan.close()
        if feed.error is not None:
            raise feed.error
        if not feed.stopped:
            self._tally.deleting()
            feed.stopped = not self._delete(complete=feed.complete)
        return self._tally.report(complete=feed.complete and not feed.stopped, stopped=feed.stopped)

    def _add(self, feed: Feed) -> None:
        try:
            while feed.look_ahead():
                if feed.next_is_alone:
                    # The model is loaded, and the endpoint answers, before a document can be blamed.
                    self._corpus.embedder.embed_query("ready")
                self._add_segment(feed)
        finally:
            # Whatever ended the sync early was not a document that took the process with it.
            alone = [handed.id for handed in feed.under_way.values() if handed.alone]
            with suppress(PlumblineError, SQLAlchemyError):
                self._book.release(alone)

    def _add_segment(self, feed: Feed) -> None:
        run = self._pipeline.ingest(
            self._filing.scope, feed.segment(), submitted_at=self._submitted_at, wait_turn=self._wait_turn
        )
        self._oversight.spent(run.stage_seconds)
        done: list[tuple[Outcome, Handed]] = []
        for outcome in _closed_at_the_end(run):
            if outcome.attached_to is not None:
                continue
            done.append((outcome, feed.under_way.pop(outcome.position)))
            if len(done) >= _SETTLED_TOGETHER:
                self._settle(done)
                done = []
        self._settle(done)

    def _wait_turn(self) -> None:
        self._oversight.wait_turn()
        self._book.check()

    def _settle(self, done: list[tuple[Outcome, Handed]]) -> None:
        settled = [self._settled(outcome, handed) for outcome, handed in done]
        self._book.settle(settled)
        records = [
            ItemRecord(outcome.document_id, outcome.uri, _status(item, outcome), item.code, item.detail)
            for (outcome, _), item in zip(done, settled, strict=True)
            if outcome.status is not OutcomeStatus.UNCHANGED
        ]
        self._tally.count(records, unchanged=len(done) - len(records))

    def _settled(self, outcome: Outcome, handed: Handed) -> Settled:
        if outcome.status is not OutcomeStatus.FAILED:
            return Settled(handed.id, handed.revision, handed.sha256, handed.state)
        tried = replace(handed, attempts=handed.attempts + 1)
        if tried.attempts >= self._attempts:
            return quarantined(tried, f"{outcome.code}: {outcome.detail} (tried {tried.attempts} times)")
        return Settled(handed.id, None, handed.sha256, handed.state, tried.attempts, str(outcome.code), outcome.detail)

    def _delete(self, *, complete: bool) -> bool:
        """Remove what is gone, readers first and the item last. False if it was asked to stop."""
        while unmet := self._book.unmet(complete=complete, limit=_DELETED_TOGETHER):
            if not self._may_go_on():
                return False
            self._remove([id_ for id_, _ in unmet], dict(unmet))
            self._book.forget([id_ for id_, _ in unmet])
        while misfiled := self._documents.misfiled(limit=_DELETED_TOGETHER):
            if not self._may_go_on():
                return False
            self._corpus.writer.delete_all(self._filing.scope, misfiled)
        return True

    def _may_go_on(self) -> bool:
        self._wait_turn()
        return not self._oversight.should_stop()

    def _remove(self, ids: list[DocumentId], uris: dict[DocumentId, str]) -> None:
        found = self._documents.of_items(ids)
        keys = {self._filing.document_key(id_) for id_ in ids} | {key for _, key in found}
        self._corpus.writer.delete_all(self._filing.scope, sorted(keys))
        removed = sorted({id_ for id_, _ in found})
        self._tally.count([ItemRecord(id_, uris[id_], ItemStatus.DELETED) for id_ in removed])


class _Recorded:
    """Whatever ends a sync in an error is recorded with its source. A process that closes is none, nor is a sync that
    another one, a switch of generations or the removal of the source cut short.
    """

    def __init__(self, store: SourceStore, scope: Scope, id_: SourceId) -> None:
        self._store = store
        self._scope = scope
        self._id = id_

    def __enter__(self) -> None:
        """Nothing is recorded yet."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception) or isinstance(error, NotFound | Conflict | Overtaken):
            return
        known = error if isinstance(error, PlumblineError) else PlumblineError("an internal error, see the log")
        log.warning("source_sync_failed", source=self._id, code=known.code, detail=known.detail)
        with suppress(SQLAlchemyError):
            self._store.failed(self._scope, self._id, known)


@contextmanager
def _database_errors_named() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise BackendUnavailable(f"the database did not answer: {error.orig}") from error


def _closed_at_the_end(run: Run) -> Iterator[Outcome]:
    """The outcomes; when the iteration ends, however it does, the pipeline's reading thread has ended too."""
    outcomes = run.outcomes
    if isinstance(outcomes, Generator):
        with closing(outcomes):
            yield from outcomes
    else:
        yield from outcomes


def _status(item: Settled, outcome: Outcome) -> ItemStatus:
    if outcome.status is OutcomeStatus.CREATED:
        return ItemStatus.CREATED
    if outcome.status is OutcomeStatus.UPDATED:
        return ItemStatus.UPDATED
    return ItemStatus.QUARANTINED if item.code == RejectionCode.QUARANTINED else ItemStatus.FAILED
