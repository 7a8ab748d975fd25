"""Fills one generation with what is live in another: from the catalogue's own text, never from the origin.

What is built is not built again, so a build that was stopped or killed goes on where it was; what changes meanwhile is
built in a further round. When to switch is not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import structlog

from ingestion.chunking import Chunker, chunker_for
from ingestion.corpus.corpus import CorpusView
from ingestion.corpus.generation_store import GenerationStore, StoredDocument
from ingestion.corpus.records import Chunk, DocumentKey
from ingestion.corpus.scope import Scope
from ingestion.errors import Overtaken
from ingestion.pipeline.batches import Batch, Parsed, embedding_keys

log = structlog.get_logger(__name__)

_FRUITLESS_ROUNDS = 5


class RebuildStage(StrEnum):
    BUILDING = "building"
    SWITCHING = "switching"


@dataclass(frozen=True, slots=True)
class RebuildProgress:
    """Of `total` documents, `done` are in the generation that is being built."""

    stage: RebuildStage
    done: int
    total: int


def _untold(_: RebuildProgress) -> None:
    """Nobody watches."""


def _never() -> bool:
    return False


def _at_once() -> None:
    """Nobody goes first."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Who watches a build: is told of its progress, may stop it, and may let more urgent work go first."""

    progress: Callable[[RebuildProgress], None] = _untold
    should_stop: Callable[[], bool] = _never
    wait_turn: Callable[[], None] = _at_once


class Build:
    """One run that brings a generation up to date. What it holds is bounded, however many documents there are."""

    def __init__(self, target: CorpusView, source: CorpusView, store: GenerationStore, watch: Watch) -> None:
        """`source` is the active generation, `target` the one to fill."""
        self._target = target
        self._store = store
        self._watch = watch
        self._chunker: Chunker = chunker_for(target.chunking, target.embedder)
        same_space = target.generation.fingerprint == source.generation.fingerprint
        self._source = source if same_space else None
        self._batch = Batch()
        self._total = 0
        self._done = 0
        self.documents = 0
        self.chunks = 0
        self.embedded = 0

    def run(self) -> bool:
        """Whether the generation now holds every document; False if the build was told to stop.

        Raises: BackendUnavailable, after which it may be run again; Overtaken if documents can't be built for long.
        """
        name, fruitless, least = self._target.index_version, 0, self._store.count() + 1
        while missing := self._store.count_missing(name):
            self._total = self._store.count()
            fruitless = 0 if missing < least else fruitless + 1
            if fruitless == _FRUITLESS_ROUNDS:
                raise Overtaken(f"{missing} documents could not be taken into generation {name}: try again")
            least = min(least, missing)
            self._done = self._total - missing - self.documents
            self._tell()
            if not self._round(name):
                return False
        self._target.writer.flush()
        return True

    def _round(self, name: str) -> bool:
        after = ""
        while keys := self._store.missing(name, after=after):
            for key in keys:
                if self._watch.should_stop():
                    return False
                self._take(key)
            after = keys[-1]
        self._write()
        return True

    def _take(self, key: DocumentKey) -> None:
        """Cut a document and put its chunks into the batch. One that is gone or changing is left to the next round."""
        stored = self._store.load(key, self._target.index_version)
        if stored is None:
            return
        draft, scope = stored.draft, Scope(stored.draft.tenant)
        chunks = self._cut(stored)
        try:
            self._target.writer.stage(scope, draft, stored.parsed, stored.outline)
        except Overtaken:
            return
        keys = embedding_keys(draft.title, chunks)
        vectors = self._target.writer.known_vectors(scope, keys)
        if self._source is not None and (rest := [key for key in keys if key not in vectors]):
            vectors |= self._source.writer.known_vectors(scope, rest)
        parsed = Parsed(0, draft, stored.parsed, stored.outline, chunks)
        for chunk, embedding_key in zip(chunks, keys, strict=True):
            self._batch.add(parsed, chunk, embedding_key, vectors.get(embedding_key))
            if self._batch.is_full:
                self._write()

    def _cut(self, stored: StoredDocument) -> tuple[Chunk, ...]:
        """The document's chunks; where its elements were not kept, those that it has, in this model's tokens."""
        chunks = self._chunker.chunk(stored.parsed) if stored.parsed.elements else ()
        if chunks:
            return chunks
        kept = self._store.chunks(stored.draft.key)
        counts = self._target.embedder.count_tokens([chunk.text for chunk in kept]) if kept else []
        return tuple(replace(chunk, tokens=tokens) for chunk, tokens in zip(kept, counts, strict=True))

    def _write(self) -> None:
        batch, self._batch = self._batch, Batch()
        if not batch:
            return
        self._watch.wait_turn()
        self.embedded += batch.embed(self._target.embedder)
        for parsed, chunks in batch.by_document():
            scope = Scope(parsed.draft.tenant)
            try:
                self._target.writer.add_chunks(scope, parsed.draft, chunks)
                parsed.written += len(chunks)
                if parsed.is_complete and self._admit(scope, parsed):
                    self.documents += 1
                    self.chunks += len(parsed.chunks)
            except Overtaken as error:
                log.info("document_changed_during_rebuild", uri=parsed.draft.uri, detail=error.detail)
        self._tell()

    def _admit(self, scope: Scope, parsed: Parsed) -> bool:
        return self._target.writer.admit(scope, parsed.draft, chunk_count=len(parsed.chunks))

    def _tell(self) -> None:
        done = min(self._total, self._done + self.documents)
        self._watch.progress(RebuildProgress(RebuildStage.BUILDING, done, self._total))
