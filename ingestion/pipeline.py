"""Documents into the corpus: parse, chunk, embed, index, publish. Idempotent; knows no queue.

Parsing runs one thread ahead of embedding, and batches of chunks are filled across documents, so that the
embedder never waits for a small document.
"""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

import structlog

from ingestion.chunking import Chunker, outline
from ingestion.corpus.catalog import PublishOutcome
from ingestion.corpus.corpus import Corpus
from ingestion.corpus.records import (
    Chunk,
    DocumentDraft,
    DocumentId,
    DocumentKey,
    DocumentSource,
    Metadata,
    OutlineEntry,
    ParsedDocument,
    VersionId,
    document_key,
    version_id,
)
from ingestion.corpus.scope import Scope
from ingestion.corpus.versions import pipeline_version
from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.parsing import DocumentParser, parser_version

log = structlog.get_logger(__name__)

BATCH_CHUNKS = 256
_PARSED_AHEAD = 64
_POLL_S = 0.2


class OutcomeStatus(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the document at `position` of the input; `code` and `detail` say why it failed."""

    position: int
    document_id: DocumentId
    uri: str
    status: OutcomeStatus
    chunks: int = 0
    code: RejectionCode | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A document ready to be embedded."""

    position: int
    draft: DocumentDraft
    text: str
    outline: tuple[OutlineEntry, ...]
    chunks: tuple[Chunk, ...]


@dataclass(slots=True)
class _Progress:
    """How far a document's chunks have come."""

    parsed: _Parsed
    written: int = 0


@dataclass(slots=True)
class Run:
    """One pass over some documents; iterate to do the work. `stage_seconds` is complete when the iteration ends."""

    outcomes: Iterator[Outcome]
    stage_seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def __iter__(self) -> Iterator[Outcome]:
        return self.outcomes


class Pipeline:
    """Ingests documents into one corpus. One run at a time per pipeline."""

    def __init__(self, corpus: Corpus, parser: DocumentParser, chunker: Chunker) -> None:
        self._corpus = corpus
        self._parser = parser
        self._chunker = chunker

    def ingest(self, scope: Scope, sources: Iterable[DocumentSource], *, submitted_at: datetime | None = None) -> Run:
        """Outcomes as they come, one for each document, in no promised order.

        A document that can't be read is an outcome, not an error. Raises: BackendUnavailable if a store or an
        embedding endpoint fails: the documents without an outcome yet are as they were before.
        """
        run = Run(iter(()))
        run.outcomes = self._outcomes(scope, sources, submitted_at or datetime.now(UTC), run.stage_seconds)
        return run

    def _outcomes(
        self, scope: Scope, sources: Iterable[DocumentSource], submitted_at: datetime, seconds: dict[str, float]
    ) -> Iterator[Outcome]:
        batch: list[tuple[_Progress, Chunk]] = []
        for item in _ahead(self._read(scope, sources, submitted_at, seconds)):
            if isinstance(item, Outcome):
                yield item
                continue
            if any(waiting.parsed.draft.key == item.draft.key for waiting, _ in batch):
                # The same document again, changed: the version before it goes first, so that the last one wins.
                yield from self._write(scope, batch, seconds)
                batch = []
            self._corpus.writer.stage(scope, item.draft, item.text, item.outline)
            progress = _Progress(item)
            for chunk in item.chunks:
                batch.append((progress, chunk))
                if len(batch) == BATCH_CHUNKS:
                    yield from self._write(scope, batch, seconds)
                    batch = []
        if batch:
            yield from self._write(scope, batch, seconds)

    def _read(
        self, scope: Scope, sources: Iterable[DocumentSource], submitted_at: datetime, seconds: dict[str, float]
    ) -> Iterator[Outcome | _Parsed]:
        catalog = self._corpus.writer.catalog
        underway: dict[DocumentKey, VersionId] = {}
        for position, source in enumerate(sources):
            draft = draft_of(scope, source, submitted_at, self._chunker.version)
            known = underway.get(draft.key) or catalog.live_versions(scope, [draft.key]).get(draft.key)
            if known == draft.version:
                yield Outcome(position, source.id, source.uri, OutcomeStatus.UNCHANGED)
                continue
            try:
                parsed = self._parse(position, source, draft, seconds)
                underway[draft.key] = draft.version
                yield parsed
            except DocumentRejected as error:
                log.info("document_rejected", uri=source.uri, code=error.reason)
                catalog.note_failure(scope, draft, f"{error.reason}: {error.detail}")
                yield Outcome(
                    position,
                    source.id,
                    source.uri,
                    OutcomeStatus.FAILED,
                    code=error.reason,
                    detail=error.detail,
                )

    def _parse(self, position: int, source: DocumentSource, draft: DocumentDraft, seconds: dict[str, float]) -> _Parsed:
        if source.unreadable is not None:
            raise DocumentRejected(RejectionCode.UNREADABLE, f"the file can't be read: {source.unreadable}")
        started = time.perf_counter()
        document = self._parser.parse(source)
        parsed_at = time.perf_counter()
        seconds["parse"] += parsed_at - started
        chunks = self._chunker.chunk(document)
        seconds["chunk"] += time.perf_counter() - parsed_at
        if not chunks:
            raise DocumentRejected(RejectionCode.NO_TEXT, "the document holds no text that could be searched")
        return _Parsed(position, _completed(draft, source, document), document.text, outline(document), chunks)

    def _write(
        self, scope: Scope, batch: list[tuple[_Progress, Chunk]], seconds: dict[str, float]
    ) -> Iterator[Outcome]:
        started = time.perf_counter()
        embeddings = self._corpus.embedder.embed_documents(
            [embedding_text(progress.parsed.draft.title, chunk) for progress, chunk in batch]
        )
        embedded_at = time.perf_counter()
        seconds["embed"] += embedded_at - started
        finished = []
        start = 0
        while start < len(batch):
            progress = batch[start][0]
            end = start
            while end < len(batch) and batch[end][0] is progress:
                end += 1
            chunks = [chunk for _, chunk in batch[start:end]]
            self._corpus.writer.add_chunks(scope, progress.parsed.draft, chunks, embeddings[start:end])
            progress.written += len(chunks)
            if progress.written == len(progress.parsed.chunks):
                finished.append(self._publish(scope, progress.parsed))
            start = end
        seconds["index"] += time.perf_counter() - embedded_at
        yield from finished

    def _publish(self, scope: Scope, parsed: _Parsed) -> Outcome:
        published = self._corpus.writer.publish(scope, parsed.draft, chunk_count=len(parsed.chunks))
        created = published is PublishOutcome.CREATED
        status = OutcomeStatus.CREATED if created else OutcomeStatus.UPDATED
        return Outcome(parsed.position, parsed.draft.id, parsed.draft.uri, status, chunks=len(parsed.chunks))


def draft_of(scope: Scope, source: DocumentSource, submitted_at: datetime, chunker_version: str) -> DocumentDraft:
    """What the document will be called and which version it will have, known before it is parsed."""
    sha256 = hashlib.sha256(source.data).hexdigest()
    attributes = {
        "uri": source.uri,
        "name": source.name,
        "title": source.title,
        "source": source.source,
        "labels": sorted(source.labels),
        "metadata": dict(source.metadata),
        "media_type": source.media_type,
    }
    return DocumentDraft(
        key=document_key(scope.tenant, source.collection, source.id),
        id=source.id,
        tenant=scope.tenant,
        collection=source.collection,
        uri=source.uri,
        title=source.title or source.name,
        source=source.source,
        labels=tuple(sorted(set(source.labels))),
        metadata=source.metadata,
        media_type=source.media_type or "application/octet-stream",
        content_sha256=sha256,
        version=version_id(sha256, attributes, pipeline_version(parser_version, chunker_version)),
        size_bytes=len(source.data),
        submitted_at=submitted_at,
        updated_at=source.modified_at or submitted_at,
    )


def embedding_text(title: str, chunk: Chunk) -> str:
    """What is embedded for a chunk: its breadcrumb, then its text, after what that continues."""
    breadcrumb = " > ".join((title, *chunk.heading_path)) if chunk.breadcrumb is None else chunk.breadcrumb
    return f"{breadcrumb}\n\n{chunk.context}{chunk.text}"


_DATE_KEYS = ("updated", "updated_at", "last_updated", "modified", "date")


def stated_date(metadata: Metadata) -> datetime | None:
    """When the document itself says it was last changed, in UTC: an ISO 8601 date, or an RFC 5322 one as in mails."""
    for key in _DATE_KEYS:
        value = metadata.get(key)
        if not isinstance(value, str):
            continue
        for read in (datetime.fromisoformat, parsedate_to_datetime):
            with suppress(ValueError):
                stated = read(value)
                return stated.replace(tzinfo=UTC) if stated.tzinfo is None else stated.astimezone(UTC)
    return None


def _completed(draft: DocumentDraft, source: DocumentSource, document: ParsedDocument) -> DocumentDraft:
    # What the caller says about a document outranks what the document says about itself, and that outranks the date
    # of a file, which a checkout or a copy sets anew.
    metadata = {**document.metadata, **source.metadata}
    return DocumentDraft(
        **{name: getattr(draft, name) for name in DocumentDraft.__slots__}
        | {
            "title": source.title or document.title,
            "media_type": document.media_type,
            "metadata": metadata,
            "updated_at": stated_date(metadata) or draft.updated_at,
        }
    )


_END = object()


def _ahead(items: Iterator[Outcome | _Parsed]) -> Iterator[Outcome | _Parsed]:
    """The same items, produced by a thread that runs ahead by a bounded number; its error is raised here."""
    ready: queue.Queue[Outcome | _Parsed | object] = queue.Queue(_PARSED_AHEAD)
    stopped = threading.Event()

    def put(item: object) -> None:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return

    def produce() -> None:
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    return
        finally:
            put(_END)

    with ThreadPoolExecutor(1, thread_name_prefix="ingest-read") as pool:
        producer = pool.submit(produce)
        try:
            while (item := ready.get()) is not _END:
                yield item  # type: ignore[misc]
            producer.result()
        finally:
            stopped.set()
