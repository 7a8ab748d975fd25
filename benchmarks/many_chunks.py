"""A corpus of as many chunks as wanted, within minutes: real texts, and vectors that stand in for embeddings.

The bulk documents are cut at line ends into chunks of some 600 characters, and written through the product's own write
side. Only `EMBEDDED` chunks, spread over all, go through the model. Every other chunk takes the vector of one of these
with noise of the same length added: it lies at a cosine of some 0.7 from it, and is the same in every run. Beyond the
bulk data its documents come again, eight to a document, under other names. So what a search costs is as in a real
corpus of this size; what it finds means little.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count, islice

import numpy as np
from numpy.typing import NDArray

from benchmarks.corpora import SCOPE, bulk_documents
from ingestion.corpus.corpus import Corpus, open_corpus
from ingestion.corpus.embedding import Embedder
from ingestion.corpus.literal import literal_text
from ingestion.corpus.records import Chunk, DocumentId, DocumentSource, ElementKind, ParsedDocument, Span
from ingestion.corpus.writer import EmbeddedChunk
from ingestion.pipeline import draft_of
from ingestion.settings import Settings

EMBEDDED = 512
_CHUNK_CHARS = 600
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
_TOGETHER = 8
_GAP = "\n\n"
_BATCH = 256
_FLUSH_CHUNKS = 4_096


@dataclass(frozen=True, slots=True)
class Cut:
    """A document with its chunks."""

    source: DocumentSource
    document: ParsedDocument
    chunks: tuple[Chunk, ...]


def fill(settings: Settings, wanted: int) -> int:
    """Bring the corpus to at least `wanted` chunks; returns how many it holds. Documents carry the metadata `number`
    (as many different ones as documents) and `even`, and are a day apart.
    """
    with open_corpus(settings) as corpus:
        if corpus.count(SCOPE) < wanted:
            print(f"writing a corpus of {wanted} chunks into {settings.data_dir} ...", flush=True)
            with corpus.pinned() as view:
                cuts = [one for one in map(pieces_of, bulk_documents()) if one.chunks]
                vectors = _Vectors(view.embedder, [chunk for cut in cuts for chunk in cut.chunks])
                written = 0
                for number, cut in enumerate(_again(cuts)):
                    write(corpus, cut, number, vectors.of(written, len(cut.chunks)))
                    written += len(cut.chunks)
                    if written // _FLUSH_CHUNKS > (written - len(cut.chunks)) // _FLUSH_CHUNKS:
                        view.writer.flush()
                    if written >= wanted:
                        break
        return corpus.count(SCOPE)


class _Vectors:
    """Vectors for any number of chunks, `(dim,) float32`, L2-normalised."""

    def __init__(self, embedder: Embedder, chunks: Sequence[Chunk]) -> None:
        spread = chunks[:: max(1, len(chunks) // EMBEDDED)][:EMBEDDED]
        self._stride = max(1, len(chunks) // EMBEDDED)
        self._real = np.vstack(
            [
                np.asarray(embedder.embed_documents([chunk.text for chunk in spread[start : start + _BATCH]]))
                for start in range(0, len(spread), _BATCH)
            ]
        )

    def of(self, first: int, length: int) -> list[NDArray[np.float32]]:
        """Those of the chunks `first` to `first + length`."""
        near = self._real[[number // self._stride % len(self._real) for number in range(first, first + length)]]
        noise = np.random.default_rng(first).standard_normal(near.shape).astype(np.float32)
        mixed = near + noise / np.linalg.norm(noise, axis=1, keepdims=True)
        return list((mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32))


def pieces_of(source: DocumentSource) -> Cut:
    """The document as it is, in pieces of whole lines."""
    text, chunks, start = source.data.decode(), list[Chunk](), 0
    for line in re.finditer(r".*(?:\n|$)", text):
        if line.end() - start >= _CHUNK_CHARS or line.end() == len(text):
            if text[start : line.end()].strip():
                span = Span(start, line.end())
                chunks.append(Chunk(len(chunks), span, span.of(text), (), (ElementKind.PARAGRAPH,), 150))
            start = line.end()
    return Cut(source, ParsedDocument(text, (), source.title or source.name, "text/plain"), tuple(chunks))


def _again(cuts: Sequence[Cut]) -> Iterator[Cut]:
    """The documents, and then the same ones together in new ones, without end."""
    yield from cuts
    for turn in count(1):
        rest = iter(cuts)
        while some := list(islice(rest, _TOGETHER)):
            yield _joined(some, f"{turn}/{some[0].source.id}")


def _joined(cuts: Sequence[Cut], name: str) -> Cut:
    text, chunks = "", list[Chunk]()
    for cut in cuts:
        for chunk in cut.chunks:
            span = Span(chunk.span.start + len(text), chunk.span.end + len(text))
            chunks.append(replace(chunk, position=len(chunks), span=span))
        text += cut.document.text + _GAP
    source = replace(cuts[0].source, id=DocumentId(name), uri=name)
    return Cut(source, replace(cuts[0].document, text=text), tuple(chunks))


def write(corpus: Corpus, cut: Cut, number: int, vectors: Iterable[NDArray[np.float32]]) -> None:
    """Make a document live as the pipeline does, with these vectors."""
    source = replace(cut.source, metadata={"number": number, "even": number % 2 == 0})
    draft = replace(
        draft_of(SCOPE, source, datetime.now(UTC), corpus.index_version),
        title=source.title or cut.document.title,
        updated_at=EPOCH + timedelta(days=number),
    )
    writer = corpus.writer
    writer.stage(SCOPE, draft, cut.document, ())
    embedded = [
        EmbeddedChunk(chunk, "", vector, literal_text(cut.document.text, cut.chunks, chunk.position))
        for chunk, vector in zip(cut.chunks, vectors, strict=True)
    ]
    writer.add_chunks(SCOPE, draft, embedded)
    writer.publish(SCOPE, draft, chunk_count=len(cut.chunks))
