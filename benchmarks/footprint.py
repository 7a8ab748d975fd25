"""How light the API is: `python -m benchmarks.footprint [--rounds N]`.

Time to import `service.app` (no model loaded) beside that of a bare interpreter, and the resident memory of a served
corpus of sample_docs/ with the model loaded, after one search.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

from benchmarks.corpora import SCOPE, running_api, sample_documents
from ingestion.corpus.corpus import open_corpus
from ingestion.parsing import DocumentParser
from ingestion.pipeline import Pipeline
from ingestion.settings import Settings

HEAVY = ("torch", "sentence_transformers", "openai", "qdrant_client", "dbos", "unstructured")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--rounds", type=int, default=7)
    rounds = arguments.parse_args().rounds
    bare_s = _median_s("pass", rounds)
    import_s = _median_s("import service.app", rounds)
    loaded = f"import sys, service.app; print([m for m in {HEAVY!r} if m in sys.modules])"
    heavy = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout.strip()
    print(f"bare interpreter {bare_s:.2f} s, import service.app {import_s:.2f} s  (promised: at most 1.5 s)")
    print(f"heavy modules loaded by that import: {heavy}")
    with tempfile.TemporaryDirectory() as temporary:
        settings = Settings(data_dir=Path(temporary) / "data", models_dir=Path(temporary) / "models")
        with open_corpus(settings) as corpus, DocumentParser(settings.parsing) as parser:
            pipeline = Pipeline(corpus, parser)
            documents = sum(1 for _ in pipeline.ingest(SCOPE, sample_documents()))
        assert settings.models_dir is not None
        with running_api(settings.data_dir, settings.models_dir) as (address, pid):
            httpx.get(f"{address}/v1/search", params={"q": "gateway 502"}, timeout=60).raise_for_status()
            process = psutil.Process(pid)
            api_mb = process.memory_info().rss / 1e6
            children_mb = sum(child.memory_info().rss for child in process.children(recursive=True)) / 1e6
    print(
        f"{documents} documents served: API {api_mb:.0f} MB, its parser process {children_mb:.0f} MB  (promised: 900)"
    )


def _median_s(code: str, rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
