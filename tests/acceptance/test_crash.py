"""An ingest that is killed and run again ends in the same corpus as one that was never disturbed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ingestion.corpus.corpus import open_corpus
from ingestion.corpus.database import DATABASE_FILE
from tests.ingestion.corpora import SCOPE, settings_for, stored

DOCUMENTS = 420
START_S = 120


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of more documents than fit into one batch of the embedder."""
    root = tmp_path / "docs"
    root.mkdir()
    for number in range(DOCUMENTS):
        text = f"# Pump {number}\n\nPump {number} is primed by hand.\n\n```sh\nprime --pump {number}\n```\n"
        (root / f"pump-{number:03}.md").write_text(text)
    return root


def _ingest(folder: Path, data_dir: Path, models_dir: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PLUMBLINE_DATA_DIR": str(data_dir), "PLUMBLINE_MODELS_DIR": str(models_dir)}
    return subprocess.Popen(
        [sys.executable, "-m", "service.cli", "ingest", str(folder)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def _documents_appearing(database: Path) -> Iterator[int]:
    """How many documents are live, asked again and again from outside until some are."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if database.exists():
            with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
                try:
                    yield connection.execute("SELECT count(*) FROM documents").fetchone()[0]
                except sqlite3.OperationalError:
                    yield 0  # not migrated yet
        time.sleep(0.005)


def test_a_killed_ingest_run_again_equals_an_undisturbed_one(folder: Path, tmp_path: Path, models_dir: Path) -> None:
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    with _ingest(folder, killed, models_dir) as process:
        assert any(live > 0 for live in _documents_appearing(killed / DATABASE_FILE))
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=30) == -signal.SIGKILL
    with open_corpus(settings_for(killed, models_dir)) as corpus:
        assert 0 < corpus.count_documents(SCOPE) < DOCUMENTS

    for data_dir in (killed, undisturbed):
        with _ingest(folder, data_dir, models_dir) as process:
            _, errors = process.communicate(timeout=250)
            assert process.returncode == 0, errors.decode()
    with open_corpus(settings_for(killed, models_dir)) as corpus:
        ended = stored(corpus)
    with open_corpus(settings_for(undisturbed, models_dir)) as corpus:
        assert stored(corpus) == ended
        assert corpus.count_documents(SCOPE) == DOCUMENTS
