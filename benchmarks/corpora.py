"""Documents and servers that the benchmarks share."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from ingestion.corpus.records import DocumentId, DocumentSource
from ingestion.corpus.scope import Scope, TenantId
from ingestion.parsing.formats import SUFFIXES
from ingestion.sources.files import Attributes, read_files, select_files

REPO = Path(__file__).resolve().parent.parent
SCOPE = Scope(TenantId("default"))
_MAX_BYTES = 50_000_000
_START_S = 120
_STRIDE = 97


def eval_data() -> Path:
    """Folder of the evaluation data. Exits with a sentence where it is absent."""
    folder = Path(os.environ.get("PLUMBLINE_EVAL_DATA") or REPO.parent / "shared" / "eval")
    if not folder.is_dir():
        sys.exit(f"no evaluation data in {folder}: set PLUMBLINE_EVAL_DATA to its folder")
    return folder


def sample_documents() -> Iterator[DocumentSource]:
    """The documents of sample_docs/."""
    files = select_files([REPO / "sample_docs"], SUFFIXES).files
    return read_files(files, Attributes(), max_bytes=_MAX_BYTES)


def bulk_documents() -> Iterator[DocumentSource]:
    """Operations documents in Markdown, file by file in the order of their names."""
    for path in sorted((eval_data() / "bulk").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                yield DocumentSource(
                    id=DocumentId(f"{path.name}/{row['id']}"),
                    uri=row["id"],
                    name=f"{row['id']}.md",
                    title=row["title"] or None,
                    data=row["text"].encode(),
                    media_type="text/markdown",
                    source=path.name,
                )


def mixed_bulk_documents() -> list[DocumentSource]:
    """The bulk documents that hold any text, in an order in which every collection comes up early."""
    documents = [document for document in bulk_documents() if document.data.strip()]
    return [document for first in range(_STRIDE) for document in documents[first::_STRIDE]]


@contextmanager
def running_api(
    data_dir: Path, models_dir: Path, variables: Mapping[str, str] | None = None
) -> Iterator[tuple[str, int]]:
    """A served corpus: its address and the process id. It is stopped at the end. `variables` are further settings."""
    command = [sys.executable, "-m", "service.cli", "serve", "--port", "0"]
    environment = os.environ | {
        "PLUMBLINE_DATA_DIR": str(data_dir),
        "PLUMBLINE_MODELS_DIR": str(models_dir),
        "PLUMBLINE_LOG_LEVEL": "warning",
        **(variables or {}),
    }
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        address = next(
            (word for line in process.stdout for word in line.split() if word.startswith("http://127.0.0.1:")), None
        )
        if address is None:
            sys.exit("the API did not start")
        address = address.rstrip("/,.")
        _wait_until_ready(address)
        yield address, process.pid
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _wait_until_ready(address: str) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/health/ready").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    sys.exit(f"{address} was not ready within {_START_S} s")
