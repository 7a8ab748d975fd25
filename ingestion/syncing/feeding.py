"""From a scan to the pipeline: what was met is remembered, what is new or changed is handed over as documents.

Runs in the pipeline's reading thread. Holds one batch of documents; the rest waits at the origin.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ingestion.corpus.catalog import Catalog
from ingestion.corpus.records import DocumentSource
from ingestion.errors import PlumblineError, RejectionCode
from ingestion.sources.origin import End, Fetched, Gone, Sighting, Unavailable, Unchanged
from ingestion.syncing.items import UNDER_WAY, Handed, Item, ItemBook, Settled
from ingestion.syncing.records import ItemRecord, ItemStatus
from ingestion.syncing.tally import Tally

_BATCH = 500
_BATCH_DOCUMENTS = 32
_BATCH_BYTES = 4_000_000


@dataclass(slots=True)
class _Batch:
    """What a stretch of the scan met."""

    unchanged: list[str] = field(default_factory=list)
    unavailable: dict[str, Unavailable] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    fetched: dict[str, Fetched] = field(default_factory=dict)
    size: int = 0

    @property
    def is_full(self) -> bool:
        others = len(self.unchanged) + len(self.unavailable) + len(self.gone)
        return others >= _BATCH or len(self.fetched) >= _BATCH_DOCUMENTS or self.size >= _BATCH_BYTES

    def add(self, sighting: Unchanged | Fetched | Unavailable | Gone) -> None:
        match sighting:
            case Unchanged(key):
                self.unchanged.append(key)
            case Gone(key):
                self.gone.append(key)
            case Unavailable(key):
                self.unavailable[key] = sighting
            case Fetched(key):
                self.fetched[key] = sighting
                self.size += len(sighting.document.data)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A document that may go."""

    handed: Handed
    document: DocumentSource


class Feed:
    """The documents of one scan, in segments: a pipeline's run for each.

    A document that was under way when a process died has a segment of its own, so that no other is blamed if it
    does that again. `error` is what ended the scan early; documents met before it are handed over all the same.
    """

    def __init__(
        self,
        scan: Iterator[Sighting],
        book: ItemBook,
        catalog: Catalog,
        tally: Tally,
        *,
        attempts: int,
        should_stop: Callable[[], bool],
    ) -> None:
        self._scan = scan
        self._book = book
        self._filing = book.filing
        self._catalog = catalog
        self._tally = tally
        self._attempts = attempts
        self._should_stop = should_stop
        self._ready: deque[_Ready] = deque()
        self._over = False
        self.under_way: dict[int, Handed] = {}
        """By position in the segment: what was handed over and has no outcome yet."""
        self.complete = False
        self.stopped = False
        self.error: PlumblineError | None = None

    def look_ahead(self) -> bool:
        """Whether another segment follows; scans on until that is known."""
        while not self._ready and not self._over:
            self._look_on()
        return bool(self._ready)

    @property
    def next_is_alone(self) -> bool:
        """Whether the next segment is one document that was under way when a process died."""
        return bool(self._ready) and self._ready[0].handed.alone

    def segment(self) -> Iterator[DocumentSource]:
        """Documents for one run of the pipeline, up to one that must go alone."""
        self.under_way.clear()
        position = 0
        while self.look_ahead():
            if self._should_stop():
                self._over = self.stopped = True
                self._ready.clear()
                return
            ready = self._ready[0]
            if ready.handed.alone:
                if position:
                    return
                self._book.hand_over([ready.handed])
            self._ready.popleft()
            self.under_way[position] = ready.handed
            yield ready.document
            position += 1
            if ready.handed.alone:
                return

    def _look_on(self) -> None:
        """Take the next stretch of the scan."""
        batch = _Batch()
        while not batch.is_full and not self._over:
            if self._should_stop():
                self._over = self.stopped = True
                break
            try:
                sighting = next(self._scan, None)
            except PlumblineError as error:
                self._over, self.error = True, error
                break
            if sighting is None or isinstance(sighting, End):
                self._over = True
                self.complete = sighting is not None and sighting.complete
            else:
                batch.add(sighting)
        self._note(batch)
        self._ready.extend(self._changed(list(batch.fetched.values())))

    def _note(self, batch: _Batch) -> None:
        aside = 0
        if batch.unchanged:
            ids = [self._filing.document_id(key) for key in batch.unchanged]
            aside = self._book.met(ids)
        if batch.gone:
            self._book.gone([self._filing.document_id(key) for key in batch.gone])
        records = []
        if batch.unavailable:
            self._book.unavailable(list(batch.unavailable.values()))
            records = [self._record(item.key, item.uri, item.code, item.detail) for item in batch.unavailable.values()]
        self._tally.count_quarantined(aside)
        seen = len(batch.unchanged) + len(batch.unavailable) + len(batch.fetched)
        self._tally.count(records, seen=seen, unchanged=len(batch.unchanged) - aside)

    def _changed(self, found: Sequence[Fetched]) -> list[_Ready]:
        """Of what was fetched, what must be parsed: neither what is live as it is, nor what is quarantined."""
        documents = [self._filing.document(item) for item in found]
        drafts = [self._filing.draft(document) for document in documents]
        live = self._catalog.live_versions(self._filing.scope, [draft.key for draft in drafts])
        known = self._book.items([document.id for document in documents])
        ready: list[_Ready] = []
        settled: list[Settled] = []
        records: list[ItemRecord] = []
        for item, document, draft in zip(found, documents, drafts, strict=True):
            before = known.get(document.id)
            if before is not None and live.get(draft.key) == draft.version:
                settled.append(Settled(document.id, item.revision, sha256=draft.content_sha256, state=dict(item.state)))
                continue
            handed = _handed(item, document, draft.content_sha256, before)
            if handed.attempts < self._attempts:
                ready.append(_Ready(handed, document))
                continue
            detail = _why_quarantined(before, handed)
            settled.append(quarantined(handed, detail))
            records.append(self._record(item.key, document.uri, RejectionCode.QUARANTINED, detail))
        self._book.settle(settled)
        self._book.hand_over([entry.handed for entry in ready if not entry.handed.alone])
        self._tally.count(records, unchanged=len(settled) - len(records))
        return ready

    def _record(self, key: str, uri: str, code: RejectionCode, detail: str) -> ItemRecord:
        aside = code is RejectionCode.QUARANTINED
        status = ItemStatus.QUARANTINED if aside else ItemStatus.FAILED
        return ItemRecord(self._filing.document_id(key), uri, status, code, detail)


def quarantined(handed: Handed, detail: str) -> Settled:
    """An item that is not tried again before its content changes."""
    return Settled(
        handed.id,
        handed.revision,
        attempts=handed.attempts,
        code=RejectionCode.QUARANTINED,
        detail=detail,
        sha256=handed.sha256,
        state=handed.state,
    )


def _handed(item: Fetched, document: DocumentSource, sha256: str, before: Item | None) -> Handed:
    return Handed(
        id=document.id,
        key=item.key,
        uri=document.uri,
        sha256=sha256,
        revision=item.revision,
        state=dict(item.state),
        attempts=0 if before is None else before.failed_before(sha256),
        alone=before is not None and before.code == UNDER_WAY and before.sha256 == sha256,
    )


def _why_quarantined(before: Item | None, handed: Handed) -> str:
    if before is not None and before.is_quarantined and before.detail:
        return before.detail
    return (
        f"the worker ended {handed.attempts} times while it worked on this document; it is tried again when its "
        "content changes or a retry is asked for"
    )
