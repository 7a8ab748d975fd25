"""Documents in a bare catalogue, live in one generation, for the contract of exact search: no parser, no vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import Engine

from ingestion.corpus.catalog import Catalog
from ingestion.corpus.database import migrate_corpus, open_database
from ingestion.corpus.generation_store import GenerationStore
from ingestion.corpus.literal import literal_text
from ingestion.corpus.literal_store import LiteralQuery, LiteralStore
from ingestion.corpus.records import (
    Chunk,
    ChunkId,
    DocumentDraft,
    DocumentId,
    ParsedDocument,
    Span,
    chunk_id,
    document_key,
)
from ingestion.corpus.scope import Scope, TenantId
from ingestion.corpus.versions import Generation, version_in
from ingestion.settings import Settings

ACME = Scope(TenantId("acme"))
OTHER = Scope(TenantId("other"))
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Written:
    """A document as the test knows it."""

    draft: DocumentDraft
    text: str
    chunks: tuple[Chunk, ...]

    def holding(self, needle: str) -> set[ChunkId]:
        """The chunks in which the needle begins, by comparing every place of the text with it."""
        text, sought = self.text.casefold(), needle.casefold()
        found = {0} if sought in self.draft.title.casefold() else set()
        ends = [len(self.text[: chunk.span.end].casefold()) for chunk in self.chunks]
        start = text.find(sought)
        while start >= 0:
            found.add(next((number for number, end in enumerate(ends) if start < end), len(ends) - 1))
            start = text.find(sought, start + 1)
        return {chunk_id(self.draft.key, self.draft.version, position) for position in found}


@dataclass(frozen=True, slots=True)
class LiteralWorld:
    """A catalogue with one generation, and exact search over it."""

    engine: Engine
    catalog: Catalog
    store: LiteralStore
    generation: str = "v1-test"

    def write(self, scope: Scope, name: str, text: str, cuts: Sequence[int] = (), **changes: Any) -> Written:
        """A live document, cut at these places. White space around a cut belongs to no chunk, as the chunker does."""
        staged = self.stage(scope, name, text, cuts, **changes)
        self.catalog.publish(scope, staged.draft, chunk_count=len(staged.chunks), generation=self.generation)
        return staged

    def stage(
        self, scope: Scope, name: str, text: str, cuts: Sequence[int] = (), *, generation: str = "", **changes: Any
    ) -> Written:
        """A version with its chunks that is not live yet."""
        generation = generation or self.generation
        draft = _draft(scope, name, text, generation, changes)
        chunks = _cut(text, cuts)
        self.catalog.stage(scope, draft, ParsedDocument(text, (), draft.title, "text/plain"), (), generation)
        self.fill(scope, Written(draft, text, chunks), generation)
        return Written(draft, text, chunks)

    def fill(self, scope: Scope, written: Written, generation: str = "") -> None:
        """Write the chunks of a staged version (again)."""
        rows = [(chunk, "", literal_text(written.text, written.chunks, chunk.position)) for chunk in written.chunks]
        self.catalog.add_chunks(scope, written.draft, rows, generation or self.generation)

    def find(self, scope: Scope, needle: str, **changes: Any) -> list[ChunkId]:
        return list(self.store.find(scope, LiteralQuery(needle, self.generation, **({"limit": 10_000} | changes))))


@contextmanager
def literal_world(settings: Settings) -> Iterator[LiteralWorld]:
    """An empty catalogue."""
    engine = open_database(settings)
    try:
        migrate_corpus(engine)
        GenerationStore(engine).add(Generation("v1-test", "any", 4, "any", "any"))
        yield LiteralWorld(engine, Catalog(engine), LiteralStore(engine))
    finally:
        engine.dispose()


def _draft(scope: Scope, name: str, text: str, generation: str, changes: dict[str, Any]) -> DocumentDraft:
    digest = hashlib.sha256(repr((text, sorted(changes.items()))).encode(errors="replace")).hexdigest()
    collection = changes.get("collection", "default")
    fields: dict[str, Any] = {
        "key": document_key(scope.tenant, collection, DocumentId(name)),
        "id": DocumentId(name),
        "tenant": scope.tenant,
        "collection": collection,
        "uri": f"{name}.txt",
        "title": "",
        "source": "upload",
        "labels": (),
        "metadata": {},
        "media_type": "text/plain",
        "content_sha256": digest,
        "version": version_in(generation, digest),
        "size_bytes": len(text),
        "submitted_at": datetime.now(UTC),
        "updated_at": EPOCH + timedelta(days=len(name)),
    }
    return DocumentDraft(**(fields | changes))


def _cut(text: str, cuts: Sequence[int]) -> tuple[Chunk, ...]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    spans = []
    for start, end in pairwise(places):
        piece = text[start:end]
        if bare := piece.strip():
            begin = start + piece.index(bare)
            spans.append(Span(begin, begin + len(bare)))
    return tuple(
        Chunk(position, span, span.of(text), (), (), 1) for position, span in enumerate(spans or [Span(0, len(text))])
    )
