"""What memory ingestion takes as a corpus grows: `python -m benchmarks.memory [--documents N N ...] [--local-model]`.

For each N, `plumbline ingest` reads a folder of N bulk documents into an empty corpus, in a process of its own, whose
peak resident memory is measured. Then the same folder is read again, unchanged. How much memory grows does not depend
on where vectors come from: unless `--local-model` is given, an endpoint makes them up from hashes, in minutes rather
than half an hour.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.corpora import mixed_bulk_documents
from tests.embeddings_endpoint import KEY, MODEL, Endpoint, running_endpoint

ALLOWED_GROWTH_MB = 300


class Hashes:
    """An embedder of the default model's size whose vectors are hashes: as large, and no work."""

    name = "hashes"
    dimension = 384
    max_tokens = 512

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self.embed_query(text) for text in texts])

    def embed_query(self, text: str) -> NDArray[np.float32]:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
        vector = np.random.default_rng(seed).standard_normal(self.dimension, np.float32)
        return np.asarray(vector / np.linalg.norm(vector), np.float32)

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of the command. `peak_mb` is of the process that ingests, or of its parser if that took more."""

    seconds: float
    peak_mb: float
    summary: dict[str, Any]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--documents", type=int, nargs="+", default=[1_000, 10_000])
    arguments.add_argument("--local-model", action="store_true", help="embed with the default model, in the process")
    chosen = arguments.parse_args()
    counts = chosen.documents
    peaks = []
    with ExitStack() as stack:
        temporary = stack.enter_context(tempfile.TemporaryDirectory())
        variables = {} if chosen.local_model else _variables(stack.enter_context(running_endpoint(Hashes())))
        for documents in counts:
            folder = Path(temporary) / str(documents)
            _write(folder / "documents", documents)
            first, again = (_ingest(folder, variables) for _ in range(2))
            assert first.summary["created"] == again.summary["unchanged"] == documents, (first, again)
            peaks.append(first.peak_mb)
            print(
                f"{documents:,} documents, {first.summary['chunks']:,} chunks: {first.seconds:.1f} s, "
                f"peak {first.peak_mb:.0f} MB; again, unchanged: {again.seconds:.1f} s, peak {again.peak_mb:.0f} MB",
                flush=True,
            )
    print(f"\ngrowth of the peak: {peaks[-1] - peaks[0]:.0f} MB  (promised: at most {ALLOWED_GROWTH_MB})")


def _write(folder: Path, documents: int) -> None:
    folder.mkdir(parents=True)
    for number, text in enumerate(islice(_endless(), documents)):
        (folder / f"{number:06}.md").write_bytes(text)


def _endless() -> Iterator[bytes]:
    """Bulk documents, mixed; from the second time round each paragraph begins anew, so that none is as before."""
    documents = [document.data for document in mixed_bulk_documents()]
    yield from documents
    for edition in count(2):
        for text in documents:
            yield text.replace(b"\n\n", f"\n\nEdition {edition}: ".encode())


def _variables(endpoint: Endpoint) -> dict[str, str]:
    return {
        "PLUMBLINE_EMBEDDER__PROVIDER": "openai",
        "PLUMBLINE_EMBEDDER__BASE_URL": endpoint.url,
        "PLUMBLINE_EMBEDDER__API_KEY": KEY,
        "PLUMBLINE_EMBEDDER__MODEL": MODEL,
    }


def _ingest(folder: Path, variables: Mapping[str, str]) -> Measured:
    environment = os.environ | {
        "PLUMBLINE_DATA_DIR": str(folder / "data"),
        "PLUMBLINE_MODELS_DIR": str(folder.parent / "models"),
        "PLUMBLINE_LOG_LEVEL": "error",
        **variables,
    }
    command = [sys.executable, "-m", "service.cli", "ingest", str(folder / "documents"), "--json"]
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"`plumbline ingest` ended with {process.returncode}: {output.decode(errors='replace')[-2000:]}")
    # Linux counts in KiB.
    return Measured(time.perf_counter() - started, usage.ru_maxrss * 1024 / 1e6, json.loads(output))


if __name__ == "__main__":
    main()
