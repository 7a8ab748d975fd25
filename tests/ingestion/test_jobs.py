"""Jobs are done once they are accepted, whatever happens to the process in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion.corpus.corpus import Corpus, open_corpus
from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import InvalidRequest, NotFound
from ingestion.job_store import ItemStatus, JobId, JobState
from ingestion.jobs import Jobs, open_jobs
from tests.ingestion.corpora import SCOPE, markdown, open_bench, settings_for, stored

WAIT_S = 120
DOCUMENTS = 150


@pytest.fixture
def opened(tmp_path: Path, models_dir: Path) -> Iterator[tuple[Corpus, Jobs]]:
    settings = settings_for(tmp_path, models_dir)
    with open_corpus(settings) as corpus, open_jobs(settings, corpus) as jobs:
        yield corpus, jobs


def _text(number: int) -> str:
    return f"# Note {number}\n\nThe pump of line {number} is primed by hand.\n\n```sh\nprime --line {number}\n```\n"


def test_a_job_ingests_its_documents_and_says_what_became_of_each(opened: tuple[Corpus, Jobs]) -> None:
    corpus, jobs = opened
    submitted = jobs.submit(SCOPE, [markdown("good", _text(1)), markdown("empty", " ")])
    job = jobs.wait(SCOPE, submitted.id, WAIT_S)

    assert submitted.state is JobState.QUEUED
    assert (job.state, job.done, job.total) == (JobState.PARTIAL, 2, 2)
    assert [(item.document_id, item.status, item.code) for item in job.items] == [
        ("good", ItemStatus.CREATED, None),
        ("empty", ItemStatus.FAILED, "empty"),
    ]
    assert set(job.stage_seconds) == {"parse", "chunk", "embed", "index"}
    assert job.finished_at is not None
    assert len(corpus.find_exact(SCOPE, "prime --line 1")) == 1


def test_what_is_unchanged_is_known_at_once(opened: tuple[Corpus, Jobs]) -> None:
    _, jobs = opened
    jobs.wait(SCOPE, jobs.submit(SCOPE, [markdown("good", _text(1))]).id, WAIT_S)
    again = jobs.submit(SCOPE, [markdown("good", _text(1))])
    assert again.state is JobState.SUCCEEDED
    assert again.items[0].status is ItemStatus.UNCHANGED
    assert jobs.submit(SCOPE, [markdown("good", _text(1)), markdown("new", _text(2))]).done == 1


def test_all_failed_is_failed(opened: tuple[Corpus, Jobs]) -> None:
    _, jobs = opened
    assert jobs.wait(SCOPE, jobs.submit(SCOPE, [markdown("e", "")]).id, WAIT_S).state is JobState.FAILED


def test_a_cancelled_job_stops_and_keeps_what_is_done(opened: tuple[Corpus, Jobs]) -> None:
    corpus, jobs = opened
    job = jobs.submit(SCOPE, [markdown(f"d{n}", _text(n)) for n in range(DOCUMENTS)])
    jobs.cancel(SCOPE, job.id)
    ended = jobs.wait(SCOPE, job.id, WAIT_S)
    assert ended.state is JobState.CANCELLED
    marker = jobs.submit(SCOPE, [markdown("after", _text(0))])
    jobs.wait(SCOPE, marker.id, WAIT_S)
    settled = jobs.get(SCOPE, job.id)
    indexed = sum(item.status is ItemStatus.CREATED for item in settled.items)
    assert {item.status for item in settled.items} <= {ItemStatus.CREATED, ItemStatus.CANCELLED}
    assert corpus.count_documents(SCOPE) == indexed + 1
    assert indexed < DOCUMENTS
    assert jobs.cancel(SCOPE, marker.id).state is JobState.SUCCEEDED


def test_jobs_belong_to_their_tenant(opened: tuple[Corpus, Jobs]) -> None:
    _, jobs = opened
    job = jobs.submit(SCOPE, [markdown("good", _text(1))])
    jobs.wait(SCOPE, job.id, WAIT_S)
    other = Scope(TenantId("other"))
    with pytest.raises(NotFound):
        jobs.get(other, job.id)
    with pytest.raises(NotFound):
        jobs.cancel(other, job.id)
    assert jobs.list(other).items == ()
    assert [found.id for found in jobs.list(SCOPE).items] == [job.id]
    with pytest.raises(NotFound):
        jobs.get(SCOPE, JobId("none"))
    with pytest.raises(InvalidRequest):
        jobs.submit(SCOPE, [])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> dict[str, object]:
    """What a corpus holds after the same documents were ingested without a crash."""
    with open_bench(settings_for(tmp_path_factory.mktemp("undisturbed"), models_dir)) as bench:
        bench.ingest(*(markdown(f"d{n}", _text(n)) for n in range(DOCUMENTS)))
        return stored(bench.corpus)


_SUBMIT_AND_HANG_ON = """
import sys
import threading
from pathlib import Path
from sqlalchemy import event
from ingestion.corpus.corpus import open_corpus
from ingestion.jobs import open_jobs
from ingestion.telemetry import configure_logging
from tests.ingestion.corpora import SCOPE, markdown, settings_for
from tests.ingestion.test_jobs import DOCUMENTS, WAIT_S, _text

settings = settings_for(Path(sys.argv[1]), Path(sys.argv[2]))
configure_logging(settings)
updates = 0
halfway = threading.Event()

def stop_midway(connection, cursor, statement, *rest):
    # The worker stops in the middle of a transaction, with a third of the documents done, until it is killed.
    global updates
    updates += statement.startswith("UPDATE job_items")
    if updates == DOCUMENTS // 3:
        halfway.set()
        threading.Event().wait(WAIT_S)

with open_corpus(settings) as corpus, open_jobs(settings, corpus) as jobs:
    if sys.argv[3] == "midway":
        event.listen(corpus.database, "before_cursor_execute", stop_midway)
    job = jobs.submit(SCOPE, [markdown(f"d{n}", _text(n)) for n in range(DOCUMENTS)])
    if sys.argv[3] == "midway":
        halfway.wait(WAIT_S)
    print(job.id, flush=True)
    jobs.wait(SCOPE, job.id, WAIT_S)
"""


@pytest.mark.parametrize("moment", ["early", "midway"])
def test_a_killed_job_is_finished_by_the_next_process(
    tmp_path: Path, models_dir: Path, repo_root: Path, undisturbed: dict[str, object], moment: str
) -> None:
    settings = settings_for(tmp_path / "killed", models_dir)
    process = subprocess.Popen(
        [sys.executable, "-c", _SUBMIT_AND_HANG_ON, str(settings.data_dir), str(models_dir), moment],
        stdout=subprocess.PIPE,
        text=True,
        cwd=repo_root,
    )
    assert process.stdout is not None
    with process, process.stdout:
        job_id = JobId(process.stdout.readline().strip())
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(timeout=30) == -signal.SIGKILL

    with open_corpus(settings) as corpus, open_jobs(settings, corpus) as jobs:
        assert not jobs.get(SCOPE, job_id).state.is_final
        job = jobs.wait(SCOPE, job_id, WAIT_S)
        assert (job.state, job.done) == (JobState.SUCCEEDED, DOCUMENTS)
        assert stored(corpus) == undisturbed


def test_a_closed_process_leaves_its_job_to_the_next(tmp_path: Path, models_dir: Path) -> None:
    settings = settings_for(tmp_path, models_dir)
    with open_corpus(settings) as corpus, open_jobs(settings, corpus) as jobs:
        job = jobs.submit(SCOPE, [markdown(f"d{n}", _text(n)) for n in range(DOCUMENTS)])
    with open_corpus(settings) as corpus, open_jobs(settings, corpus) as jobs:
        assert jobs.wait(SCOPE, job.id, WAIT_S).state is JobState.SUCCEEDED
        assert corpus.count_documents(SCOPE) == DOCUMENTS
