"""What ingestion costs beyond embedding: `python -m benchmarks.ingestion [--chunks N] [--rounds N]`.

Bulk documents, taken evenly from all collections, are ingested into an empty corpus, and the texts of the same chunks
are embedded alone, in turn and in one process. Equal texts are embedded once in both. Then the documents are ingested
again, unchanged, and once more under other names.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from benchmarks.corpora import SCOPE, mixed_bulk_documents
from ingestion.chunking import Chunker, chunker_for
from ingestion.corpus.corpus import open_corpus
from ingestion.corpus.records import DocumentId, DocumentSource
from ingestion.parsing import DocumentParser
from ingestion.pipeline import BATCH_CHUNKS, Pipeline, embedding_text
from ingestion.settings import Settings


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--chunks", type=int, default=1_500)
    arguments.add_argument("--rounds", type=int, default=3)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        rounds = [run(Path(temporary), number, chosen.chunks) for number in range(chosen.rounds)]
    rates, again, renamed = (statistics.median(ratios) for ratios in zip(*rounds, strict=True))
    print(f"\nrate of ingestion / rate of embedding alone, median: {rates:.2f}  (promised: 0.90)")
    print(f"time of an unchanged second pass / time of the first, median: {again:.4f}")
    print(f"time of a pass under other names / time of the first, median: {renamed:.4f}")


def run(folder: Path, number: int, wanted: int) -> tuple[float, float, float]:
    """The three ratios of one round."""
    settings = Settings(data_dir=folder / f"data-{number}", models_dir=folder / "models")
    with open_corpus(settings) as corpus, DocumentParser(settings.parsing) as parser:
        chunker = chunker_for(settings.chunking, corpus.embedder)
        documents, chunks, texts = _documents(parser, chunker, wanted)
        corpus.embedder.embed_documents(texts[:32])
        started = time.perf_counter()
        for first in range(0, len(texts), BATCH_CHUNKS):
            corpus.embedder.embed_documents(texts[first : first + BATCH_CHUNKS])
        alone_s = time.perf_counter() - started
        pipeline = Pipeline(corpus, parser)
        started = time.perf_counter()
        first_pass = pipeline.ingest(SCOPE, documents)
        written = sum(outcome.chunks for outcome in first_pass)
        ingest_s = time.perf_counter() - started
        started = time.perf_counter()
        statuses = Counter(outcome.status.value for outcome in pipeline.ingest(SCOPE, documents))
        again_s = time.perf_counter() - started
        renamed = [replace(document, id=DocumentId(f"renamed/{document.id}")) for document in documents]
        started = time.perf_counter()
        statuses += Counter(outcome.status.value for outcome in pipeline.ingest(SCOPE, renamed))
        renamed_s = time.perf_counter() - started
    assert written == chunks, (written, chunks)
    assert statuses == {"unchanged": len(documents), "created": len(documents)}, statuses
    stages = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in first_pass.stage_seconds.items())
    print(
        f"round {number + 1}: {len(documents)} documents, {written} chunks, {len(texts)} distinct texts: alone "
        f"{alone_s:.1f} s ({len(texts) / alone_s:.0f} texts/s), ingestion {ingest_s:.1f} s ({stages}), "
        f"again {again_s:.2f} s, under other names {renamed_s:.2f} s",
        flush=True,
    )
    return alone_s / ingest_s, again_s / ingest_s, renamed_s / ingest_s


def _documents(parser: DocumentParser, chunker: Chunker, wanted: int) -> tuple[list[DocumentSource], int, list[str]]:
    """Documents, the number of their chunks, and the distinct texts that are embedded for them."""
    documents: list[DocumentSource] = []
    texts: dict[str, None] = {}
    chunks = 0
    for source in mixed_bulk_documents():
        parsed = parser.parse(source)
        title = source.title or parsed.title
        cut = chunker.chunk(parsed)
        texts |= dict.fromkeys(embedding_text(title, chunk) for chunk in cut)
        chunks += len(cut)
        documents.append(source)
        if chunks >= wanted:
            break
    return documents, chunks, list(texts)


if __name__ == "__main__":
    main()
