"""A rebuild that is killed goes on where it was; jobs rebuild by themselves; other processes notice a switch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from ingestion.corpus.corpus import Corpus, open_corpus
from ingestion.corpus.versions import GenerationState
from ingestion.job_store import JobState
from ingestion.jobs import open_jobs
from ingestion.jobs.rebuilds import OWNER
from ingestion.rebuilding import Rebuilder
from ingestion.settings import RebuildPolicy, Settings
from tests.ingestion.corpora import SCOPE, open_bench, settings_for, stored
from tests.ingestion.generations import pumps, reading, with_other_model, with_smaller_chunks
from tests.servers import running_qdrant

DOCUMENTS = 400
_BUILDER = """
import sys
from pathlib import Path
from ingestion.corpus.corpus import Corpus, open_corpus
from ingestion.rebuilding import Rebuilder, Watch
from tests.ingestion.corpora import settings_for
from tests.ingestion.generations import with_smaller_chunks

settings = with_smaller_chunks(settings_for(Path(sys.argv[1]), Path(sys.argv[2])))
with open_corpus(settings) as corpus:
    Rebuilder(corpus).build(watch=Watch(progress=lambda told: print("built", told.done, flush=True)))
"""


def test_a_build_that_was_killed_goes_on_where_it_was(tmp_path: Path, models_dir: Path, repo_root: Path) -> None:
    settings = settings_for(tmp_path / "data", models_dir)
    with open_bench(settings) as bench:
        bench.ingest(*pumps(DOCUMENTS))
    command = [sys.executable, "-c", _BUILDER, str(settings.data_dir), str(models_dir)]
    with subprocess.Popen(command, cwd=repo_root, stdout=subprocess.PIPE, text=True) as builder:
        assert builder.stdout is not None
        assert any(line.startswith("built") and line != "built 0\n" for line in builder.stdout)
        os.kill(builder.pid, signal.SIGKILL)
        builder.wait(timeout=30)

    changed = with_smaller_chunks(settings)
    with open_corpus(changed) as corpus:
        rebuilder = Rebuilder(corpus)
        old = corpus.index_version
        report = rebuilder.rebuild()
        assert 0 < report.documents < DOCUMENTS
        rebuilder.drop(old)
        held = stored(corpus)
    with open_bench(changed.model_copy(update={"data_dir": tmp_path / "fresh"})) as bench:
        bench.ingest(*pumps(DOCUMENTS))
        assert stored(bench.corpus) == held


def test_a_worker_rebuilds_by_itself_unless_it_is_told_not_to(tmp_path: Path, models_dir: Path) -> None:
    settings = settings_for(tmp_path, models_dir)
    with open_bench(settings) as bench:
        bench.ingest(*pumps(3))
        old = bench.corpus.index_version
    changed = with_smaller_chunks(settings)
    manual = changed.model_copy(update={"index": changed.index.model_copy(update={"rebuild": RebuildPolicy.MANUAL})})
    with open_corpus(manual) as corpus, open_jobs(manual, corpus) as jobs:
        assert corpus.wanted is not None
        assert jobs.list(OWNER).items == ()
    with open_corpus(changed) as corpus, open_jobs(changed, corpus) as jobs:
        (job,) = jobs.list(OWNER).items
        assert jobs.wait(OWNER, job.id, 120).state is JobState.SUCCEEDED
        assert corpus.index_version != old
        assert corpus.wanted is None
    with open_corpus(changed) as corpus, open_jobs(changed, corpus) as jobs:
        assert len(jobs.list(OWNER).items) == 1


@pytest.mark.qdrant_server
@pytest.mark.postgres
def test_other_processes_notice_a_switch_and_the_way_back(tmp_path: Path, models_dir: Path, postgres_url: str) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(running_qdrant(Path(os.environ["PLUMBLINE_TEST_QDRANT"]), tmp_path / "qdrant"))
        settings = Settings(
            data_dir=tmp_path / "data",
            models_dir=models_dir,
            database_url=SecretStr(postgres_url),
            index=server.settings("generations"),
        )
        with open_bench(settings) as bench:
            bench.ingest(*pumps(30))
            first = bench.corpus.index_version
        changed = with_other_model(settings)
        reader = stack.enter_context(open_corpus(changed))
        worker = stack.enter_context(open_corpus(changed))
        rebuilder = Rebuilder(worker)
        with reading(reader) as readers:
            second = rebuilder.rebuild().generation
            assert worker.index_version == second
            _becomes(reader, second)
            assert reader.find_exact(SCOPE, "Pump 7 is")[0].document.id == "pump-7"
            rebuilder.roll_back()
            _becomes(reader, first)
        assert readers.generations == {first, second}
        states = {status.generation.name: status.generation.state for status in rebuilder.generations()}
        assert states == {first: GenerationState.ACTIVE, second: GenerationState.LEFT}
        rebuilder.drop(second)
        assert [status.generation.name for status in rebuilder.generations()] == [first]


def _becomes(corpus: Corpus, generation: str) -> None:
    deadline = time.monotonic() + 120
    while corpus.index_version != generation and time.monotonic() < deadline:
        time.sleep(0.05)
    assert corpus.index_version == generation
