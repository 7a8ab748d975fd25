"""What ingestion costs beyond embedding: `python -m benchmarks.ingestion [--chunks N] [--rounds N]`.

Bulk documents are ingested into an empty corpus, and the texts of the same chunks are embedded alone, in turn and in
one process. Then the documents are ingested again, unchanged.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.corpora import SCOPE, bulk_documents
from ingestion.chunking import Chunker, chunker_for
from ingestion.corpus.corpus import open_corpus
from ingestion.corpus.records import DocumentSource
from ingestion.parsing import DocumentParser
from ingestion.pipeline import BATCH_CHUNKS, Pipeline, embedding_text
from ingestion.settings import Settings


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--chunks", type=int, default=1_500)
    arguments.add_argument("--rounds", type=int, default=3)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        ratios, again = [], []
        for number in range(chosen.rounds):
            ratio, unchanged = run(Path(temporary), number, chosen.chunks)
            ratios.append(ratio)
            again.append(unchanged)
        print(
            f"\nrate of ingestion / rate of embedding alone, median: {statistics.median(ratios):.2f}  (promised: 0.80)"
        )
        print(f"time of an unchanged second pass / time of the first, median: {statistics.median(again):.4f}")


def run(folder: Path, number: int, wanted: int) -> tuple[float, float]:
    """Both ratios of one round."""
    settings = Settings(data_dir=folder / f"data-{number}", models_dir=folder / "models")
    with open_corpus(settings) as corpus, DocumentParser(settings.parsing) as parser:
        chunker = chunker_for(settings.chunking, corpus.embedder)
        documents, texts = _documents(parser, chunker, wanted)
        corpus.embedder.embed_documents(texts[:32])
        started = time.perf_counter()
        for first in range(0, len(texts), BATCH_CHUNKS):
            corpus.embedder.embed_documents(texts[first : first + BATCH_CHUNKS])
        alone_s = time.perf_counter() - started
        pipeline = Pipeline(corpus, parser, chunker)
        started = time.perf_counter()
        first_pass = pipeline.ingest(SCOPE, documents)
        written = sum(outcome.chunks for outcome in first_pass)
        ingest_s = time.perf_counter() - started
        started = time.perf_counter()
        statuses = Counter(outcome.status.value for outcome in pipeline.ingest(SCOPE, documents))
        again_s = time.perf_counter() - started
    assert written == len(texts), (written, len(texts))
    assert set(statuses) == {"unchanged"}, statuses
    stages = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in first_pass.stage_seconds.items())
    print(
        f"round {number + 1}: {len(documents)} documents, {written} chunks: embedding alone {alone_s:.1f} s "
        f"({written / alone_s:.0f} chunks/s), ingestion {ingest_s:.1f} s ({stages}), again {again_s:.2f} s",
        flush=True,
    )
    return alone_s / ingest_s, again_s / ingest_s


def _documents(parser: DocumentParser, chunker: Chunker, wanted: int) -> tuple[list[DocumentSource], list[str]]:
    documents: list[DocumentSource] = []
    texts: list[str] = []
    for source in bulk_documents():
        parsed = parser.parse(source)
        title = source.title or parsed.title
        texts += [embedding_text(title, chunk) for chunk in chunker.chunk(parsed)]
        documents.append(source)
        if len(texts) >= wanted:
            break
    return documents, texts


if __name__ == "__main__":
    main()
