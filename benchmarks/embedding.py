"""How fast the embedder is, and what it weighs: chunks a second by length, query latency, memory.

    python -m benchmarks.embedding [--model ID_OR_FOLDER] [--threads N] [--tokens 50 150 400] [--chunks 128]

Texts come from the folder `bulk` of PLUMBLINE_EVAL_DATA (default: ../shared/eval).
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from ingestion.corpus.embedding import Embedder, open_embedder
from ingestion.settings import DEFAULT_EMBEDDING_MODEL, EmbedderSettings

_MIB = 1 << 20
_WARM_UP = 5
_QUERY = "how do I restart the gateway when it answers 502"


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    words = _words(options.data / "bulk")
    before = _rss_mib()
    started = time.perf_counter()
    settings = EmbedderSettings(model=options.model, threads=options.threads)
    with closing(open_embedder(settings, options.models_dir)) as embedder:
        opened_s = time.perf_counter() - started
        loaded = _rss_mib()
        table = Table(
            "measure", "value", title=f"{embedder.name}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        )
        table.add_row("open, s", f"{opened_s:.1f}")
        table.add_row("resident before / loaded, MiB", f"{before:.0f} / {loaded:.0f}")
        p50, p95 = _query_latency_ms(embedder, options.queries)
        table.add_row("query p50 / p95, ms", f"{p50:.1f} / {p95:.1f}")
        for tokens in options.tokens:
            texts = _texts_of(embedder, words, tokens, options.chunks)
            mean = statistics.mean(embedder.count_tokens(texts))
            table.add_row(f"chunks of about {tokens} tokens (mean {mean:.0f}), 1/s", f"{_rate(embedder, texts):.1f}")
        table.add_row("resident after, MiB", f"{_rss_mib():.0f}")
    Console().print(table)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    repo = Path(__file__).resolve().parent.parent
    data = Path(os.environ.get("PLUMBLINE_EVAL_DATA") or repo.parent / "shared" / "eval")
    parser.add_argument("--model", default=DEFAULT_EMBEDDING_MODEL)
    parser.add_argument("--models-dir", type=Path, default=repo / ".plumbline" / "models")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--tokens", type=int, nargs="+", default=[50, 150, 400])
    parser.add_argument("--chunks", type=int, default=128)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--data", type=Path, default=data)
    options = parser.parse_args(arguments)
    if not (options.data / "bulk").is_dir():
        sys.exit(f"no folder {options.data / 'bulk'}: set PLUMBLINE_EVAL_DATA")
    return options


def _words(folder: Path) -> Iterator[str]:
    """Every word of the bulk documents, in order."""
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield from json.loads(line)["text"].split()


def _texts_of(embedder: Embedder, words: Iterator[str], tokens: int, count: int) -> list[str]:
    """Texts of about so many tokens."""
    sample = [next(words) for _ in range(2_000)]
    per_word = embedder.count_tokens([" ".join(sample)])[0] / len(sample)
    size = max(1, round(tokens / per_word))
    return [" ".join(next(words) for _ in range(size)) for _ in range(count)]


def _rate(embedder: Embedder, texts: Sequence[str]) -> float:
    embedder.embed_documents(texts[:_WARM_UP])
    started = time.perf_counter()
    embedder.embed_documents(texts)
    return len(texts) / (time.perf_counter() - started)


def _query_latency_ms(embedder: Embedder, count: int) -> tuple[float, float]:
    """Median and 95th percentile over so many queries, one at a time."""
    durations = []
    for i in range(count + _WARM_UP):
        started = time.perf_counter()
        embedder.embed_query(f"{_QUERY} {i}")
        durations.append((time.perf_counter() - started) * 1000)
    measured = durations[_WARM_UP:]
    return statistics.median(measured), statistics.quantiles(measured, n=20)[-1]


def _rss_mib() -> float:
    return float(psutil.Process().memory_info().rss) / _MIB


if __name__ == "__main__":
    main()
