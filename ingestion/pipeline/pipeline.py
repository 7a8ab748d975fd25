"""One pass over some documents: parse, chunk, embed, index, publish.

Reading runs in a thread ahead of embedding, and batches of chunks are filled across documents, so that the embedder
never waits for a small document. What is held at a time is bounded, however many documents come.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from ingestion.chunking import Chunker, chunker_for, outline
from ingestion.corpus.catalog import PublishOutcome
from ingestion.corpus.corpus import Corpus, CorpusView
from ingestion.corpus.records import DocumentDraft, DocumentId, DocumentKey, DocumentSource, VersionId
from ingestion.corpus.scope import Scope
from ingestion.errors import DocumentRejected, Overtaken, RejectionCode
from ingestion.parsing import DocumentParser
from ingestion.pipeline.ahead import read_ahead
from ingestion.pipeline.batches import Batch, Parsed, embedding_keys
from ingestion.pipeline.drafts import attached, completed, draft_of
from ingestion.pipeline.outcomes import Outcome, OutcomeStatus

log = structlog.get_logger(__name__)

_AHEAD_DOCUMENTS = 64
_AHEAD_CHARS = 8_000_000
_ATTACHED_DEPTH = 3
_FLUSH_CHUNKS = 4096
"""Written between two flushes of a long run: what is not flushed is in memory, and read again after a crash."""
# What an attached picture, logo or signature comes to: nothing that anybody would want to be told of.
_NOT_WORTH_TELLING = frozenset(
    {
        RejectionCode.UNSUPPORTED_TYPE,
        RejectionCode.BINARY,
        RejectionCode.EMPTY,
        RejectionCode.NO_TEXT,
        RejectionCode.NEEDS_OCR,
    }
)


def _at_once() -> None:
    """Nobody goes first."""


@dataclass(slots=True)
class Run:
    """One pass over some documents; iterate to do the work. The figures are complete when the iteration ends.

    Of the chunks that were written, `embedded` texts went through the model; the rest had a vector already.
    """

    outcomes: Iterator[Outcome]
    stage_seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    embedded: int = 0

    def __iter__(self) -> Iterator[Outcome]:
        return self.outcomes


class Pipeline:
    """Ingests documents into one corpus, each run into the generation that is active when it begins.

    Keeps nothing between runs: several at a time are fine.
    """

    def __init__(self, corpus: Corpus, parser: DocumentParser) -> None:
        self._corpus = corpus
        self._parser = parser

    def ingest(
        self,
        scope: Scope,
        sources: Iterable[DocumentSource],
        *,
        submitted_at: datetime | None = None,
        wait_turn: Callable[[], None] = _at_once,
    ) -> Run:
        """Outcomes as they come, one for each document and each file attached to one, in no promised order.

        `wait_turn` is called before each batch is embedded, and may block while more urgent work is done.
        A document that can't be read is an outcome, not an error. Raises: BackendUnavailable if a store or an
        embedding endpoint fails, Overtaken if another generation became the active one or another run was faster:
        the documents without an outcome yet are as they were before, and may be ingested again.
        """
        run = Run(iter(()))
        run.outcomes = self._outcomes(scope, sources, submitted_at or datetime.now(UTC), wait_turn, run)
        return run

    def _outcomes(
        self,
        scope: Scope,
        sources: Iterable[DocumentSource],
        submitted_at: datetime,
        wait_turn: Callable[[], None],
        run: Run,
    ) -> Iterator[Outcome]:
        try:
            with self._corpus.pinned() as view:
                chunker = chunker_for(view.chunking, view.embedder)
                pass_ = _Pass(view, self._parser, chunker, scope, submitted_at, wait_turn, run)
                yield from pass_.outcomes(sources)
        except Overtaken:
            # The next try is not to wait until this process notices by itself.
            self._corpus.refresh()
            raise


@dataclass(slots=True)
class _Pass:
    """The state of one run."""

    corpus: CorpusView
    parser: DocumentParser
    chunker: Chunker
    scope: Scope
    submitted_at: datetime
    wait_turn: Callable[[], None]
    run: Run
    underway: dict[DocumentKey, VersionId] = field(default_factory=dict)
    """Versions that are read and not yet live. Written by both threads, each key by one at a time."""
    unflushed: int = 0

    def outcomes(self, sources: Iterable[DocumentSource]) -> Iterator[Outcome]:
        batch = Batch()
        ready = read_ahead(self._read(sources), _weight, max_items=_AHEAD_DOCUMENTS, max_weight=_AHEAD_CHARS)
        for item in ready:
            if isinstance(item, Outcome):
                yield item
                continue
            if batch.holds(item):
                # The same document again, changed: the version before it goes first, so that the last one wins.
                yield from self._write(batch)
                batch = Batch()
            self.corpus.writer.stage(self.scope, item.draft, item.document, item.outline)
            keys = embedding_keys(item.draft.title, item.chunks)
            vectors = self.corpus.writer.known_vectors(self.scope, keys)
            for chunk, key in zip(item.chunks, keys, strict=True):
                batch.add(item, chunk, key, vectors.get(key))
                if batch.is_full:
                    yield from self._write(batch)
                    batch = Batch()
        if batch:
            yield from self._write(batch)

    def _read(self, sources: Iterable[DocumentSource]) -> Iterator[Outcome | Parsed]:
        for position, source in enumerate(sources):
            yield from self._read_one(position, source, None)

    def _read_one(
        self, position: int, source: DocumentSource, attached_to: DocumentId | None
    ) -> Iterator[Outcome | Parsed]:
        catalog = self.corpus.writer.catalog
        draft = draft_of(self.scope, source, self.submitted_at, self.corpus.index_version)
        known = self.underway.get(draft.key) or catalog.live_versions(self.scope, [draft.key]).get(draft.key)
        if known == draft.version:
            yield Outcome(position, source.id, source.uri, OutcomeStatus.UNCHANGED, attached_to=attached_to)
            return
        try:
            parsed = self._parse(position, source, draft, attached_to)
        except DocumentRejected as error:
            log.info("document_rejected", uri=source.uri, code=error.reason)
            if attached_to is None or error.reason not in _NOT_WORTH_TELLING:
                catalog.note_failure(self.scope, draft, f"{error.reason}: {error.detail}")
                yield Outcome(
                    position,
                    source.id,
                    source.uri,
                    OutcomeStatus.FAILED,
                    code=error.reason,
                    detail=error.detail,
                    attached_to=attached_to,
                )
            return
        # What is attached comes first: once a document is live, whatever came with it is, too.
        if len(source.ancestors) < _ATTACHED_DEPTH:
            for file in attached(draft, source, parsed.document):
                parsed.attachments.add(file.id)
                yield from self._read_one(position, file, source.id)
        self.underway[draft.key] = draft.version
        yield parsed

    def _parse(
        self, position: int, source: DocumentSource, draft: DocumentDraft, attached_to: DocumentId | None
    ) -> Parsed:
        if source.unreadable is not None:
            raise DocumentRejected(RejectionCode.UNREADABLE, f"the file can't be read: {source.unreadable}")
        started = time.perf_counter()
        document = self.parser.parse(source)
        parsed_at = time.perf_counter()
        self.run.stage_seconds["parse"] += parsed_at - started
        chunks = self.chunker.chunk(document)
        self.run.stage_seconds["chunk"] += time.perf_counter() - parsed_at
        if not chunks:
            raise DocumentRejected(RejectionCode.NO_TEXT, "the document holds no text that could be searched")
        return Parsed(position, completed(draft, source, document), document, outline(document), chunks, attached_to)

    def _write(self, batch: Batch) -> Iterator[Outcome]:
        self.wait_turn()
        started = time.perf_counter()
        self.run.embedded += batch.embed(self.corpus.embedder)
        embedded_at = time.perf_counter()
        self.run.stage_seconds["embed"] += embedded_at - started
        finished = []
        for parsed, chunks in batch.by_document():
            self.corpus.writer.add_chunks(self.scope, parsed.draft, chunks)
            parsed.written += len(chunks)
            self.unflushed += len(chunks)
            if parsed.is_complete:
                finished.append(self._publish(parsed))
        if self.unflushed >= _FLUSH_CHUNKS:
            self.corpus.writer.flush()
            self.unflushed = 0
        self.run.stage_seconds["index"] += time.perf_counter() - embedded_at
        yield from finished

    def _publish(self, parsed: Parsed) -> Outcome:
        draft, writer = parsed.draft, self.corpus.writer
        published = writer.publish(self.scope, draft, chunk_count=len(parsed.chunks))
        if published is not PublishOutcome.SUPERSEDED:
            writer.delete_attachments(self.scope, draft.key, keep=parsed.attachments)
        if self.underway.get(draft.key) == draft.version:
            del self.underway[draft.key]
        created = published is PublishOutcome.CREATED
        return Outcome(
            parsed.position,
            draft.id,
            draft.uri,
            OutcomeStatus.CREATED if created else OutcomeStatus.UPDATED,
            chunks=len(parsed.chunks),
            attached_to=parsed.attached_to,
        )


def _weight(item: Outcome | Parsed) -> int:
    return len(item.document.text) if isinstance(item, Parsed) else 0
