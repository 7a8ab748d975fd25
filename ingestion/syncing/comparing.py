"""Compares an origin with what is stored of it: document by document, and chunk by chunk between catalogue and index.

Nothing is believed that an earlier sync wrote down, but the validators of web pages, without which a site would have
to send everything again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from ingestion.corpus.corpus import Corpus
from ingestion.corpus.records import DocumentId, VersionId
from ingestion.corpus.scope import Scope
from ingestion.settings import Settings
from ingestion.source_store import SourceStore
from ingestion.sources.definitions import SourceId
from ingestion.sources.origin import End, Fetched, Gone, KnownItem, Sighting, Unavailable, Unchanged
from ingestion.syncing.documents import SourceDocuments
from ingestion.syncing.filing import Filing
from ingestion.syncing.items import UNDER_WAY, Item, ItemBook
from ingestion.syncing.places import OpenOrigin, opened
from ingestion.syncing.records import LISTED, Difference, Reconciliation

_BATCH = 64
_POINTS = 500


@dataclass(slots=True)
class _Found:
    """Documents of one kind of difference."""

    count: int = 0
    named: list[tuple[DocumentId, str]] = field(default_factory=list)

    def add(self, id_: DocumentId, uri: str) -> None:
        self.count += 1
        if len(self.named) < LISTED:
            self.named.append((id_, uri))

    def difference(self) -> Difference:
        return Difference(self.count, tuple(id_ for id_, _ in self.named), tuple(uri for _, uri in self.named))


@dataclass(frozen=True, slots=True)
class _Met:
    """A document at the origin: the version that is live of it, the one that should be, and since when."""

    id: DocumentId
    uri: str
    item: Item | None
    sha256: str | None
    live: VersionId | None
    expected: VersionId | None
    since: datetime


@dataclass(slots=True)
class _Findings:
    missing: _Found = field(default_factory=_Found)
    stale: _Found = field(default_factory=_Found)
    failed: _Found = field(default_factory=_Found)
    quarantined: _Found = field(default_factory=_Found)
    oldest: datetime | None = None
    complete: bool = False

    def judge(self, met: _Met) -> None:
        """File the document under what is wrong with it, if anything is."""
        if met.live is not None and met.live == met.expected:
            return
        if met.item is not None and met.item.code not in (None, UNDER_WAY) and met.item.sha256 == met.sha256:
            (self.quarantined if met.item.is_quarantined else self.failed).add(met.id, met.uri)
            return
        (self.missing if met.live is None else self.stale).add(met.id, met.uri)
        self.oldest = met.since if self.oldest is None else min(self.oldest, met.since)


class _Nothing:
    """`Known` for a scan that is to give everything; it still tells whether there was anything."""

    def __init__(self, book: ItemBook) -> None:
        self._book = book

    def get(self, _keys: Collection[str]) -> dict[str, KnownItem]:
        return {}

    def sample(self) -> KnownItem | None:
        return self._book.sample()


class Comparison:
    """Needs no pipeline, so that every process can compare."""

    def __init__(
        self, corpus: Corpus, store: SourceStore, settings: Settings, open_origin: OpenOrigin = opened
    ) -> None:
        self._corpus = corpus
        self._store = store
        self._settings = settings
        self._open_origin = open_origin

    def reconcile(self, scope: Scope, id_: SourceId) -> Reconciliation:
        """See `Syncer.reconcile`."""
        with self._store.exclusively(scope, id_):
            source = self._store.get(scope, id_)
            turn = self._store.begin(scope, id_, syncs=False)
            filing = Filing(scope, source.definition, self._corpus.index_version)
            book = ItemBook(self._store, filing, turn.scan)
            documents = SourceDocuments(self._corpus.database, filing)
            findings = _Findings()
            known = book if source.definition.origin.kind == "web" else _Nothing(book)
            since = source.succeeded_at or source.created_at
            with self._open_origin(scope, source.definition, self._settings) as origin:
                sightings = iter(origin.scan(known))
                while some := list(islice(sightings, _BATCH)):
                    self._compare(filing, book, some, findings, since)
            oldest = findings.oldest
            return Reconciliation(
                documents=documents.count(),
                missing=findings.missing.difference(),
                stale=findings.stale.difference(),
                orphaned=documents.orphaned(turn.scan) if findings.complete else Difference(),
                failed=findings.failed.difference(),
                quarantined=findings.quarantined.difference(),
                index_differs=self._index_differs(scope, documents),
                oldest_unsynced_s=None if oldest is None else (self._store.now() - oldest).total_seconds(),
                complete=findings.complete,
            )

    def _compare(
        self, filing: Filing, book: ItemBook, sightings: Sequence[Sighting], findings: _Findings, since: datetime
    ) -> None:
        ids = [filing.document_id(sighting.key) for sighting in sightings if not isinstance(sighting, End | Gone)]
        known = book.items(ids)
        book.compared(ids)
        live = self._corpus.writer.catalog.live_versions(filing.scope, [filing.document_key(id_) for id_ in ids])
        for sighting in sightings:
            if isinstance(sighting, End):
                findings.complete = sighting.complete
                continue
            if isinstance(sighting, Gone):
                continue
            id_ = filing.document_id(sighting.key)
            item, version = known.get(id_), live.get(filing.document_key(id_))
            match sighting:
                case Unavailable():
                    (findings.quarantined if item is not None and item.is_quarantined else findings.failed).add(
                        id_, sighting.uri
                    )
                case Unchanged():
                    aside = item is not None and item.is_quarantined
                    expected = None if aside else version
                    uri, sha256 = ("", None) if item is None else (item.uri, item.sha256)
                    findings.judge(_Met(id_, uri, item, sha256, version, expected, since))
                case Fetched():
                    draft = filing.draft(filing.document(sighting))
                    changed_at = sighting.document.modified_at or since
                    findings.judge(
                        _Met(id_, sighting.document.uri, item, draft.content_sha256, version, draft.version, changed_at)
                    )

    def _index_differs(self, scope: Scope, documents: SourceDocuments) -> int:
        """Chunks that are live and not in the index, and points that belong to nothing."""
        present = strangers = 0
        points = self._corpus.writer.points(Scope(scope.tenant))
        while some := [(id_, key) for id_, key, _ in islice(points, _POINTS)]:
            present += documents.live_among([id_ for id_, _ in some])
            strangers += documents.unknown_among(some)
        return documents.live_chunks() - present + strangers
