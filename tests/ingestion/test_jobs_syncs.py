"""Syncs as jobs, with a real worker, a real folder and a process that is really killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ingestion.corpus.corpus import open_corpus
from ingestion.corpus.embedding import Embedder
from ingestion.errors import NotFound
from ingestion.job_store import ItemStatus, JobFilter, JobId, JobKind, JobState
from ingestion.jobs import open_jobs
from ingestion.pipeline.batches import Batch
from ingestion.source_store import SourceStore
from ingestion.sources.definitions import FolderOrigin, SourceDefinition, SourceId
from tests.ingestion.corpora import SCOPE, markdown, settings_for

WAIT_S = 300
DOCUMENTS = 400
NOTES = SourceId("notes")


def text(number: int) -> str:
    return f"# Boiler {number}\n\nThe boiler of hall {number} is vented by hand.\n\n```sh\nvent --hall {number}\n```\n"


def fill(folder: Path, documents: int) -> SourceDefinition:
    """A source over a folder with so many documents."""
    folder.mkdir(exist_ok=True)
    for number in range(documents):
        (folder / f"n{number}.md").write_text(text(number))
    return SourceDefinition(id=NOTES, origin=FolderOrigin(path=folder))


def test_a_sync_is_a_job_with_its_changes(tmp_path: Path, models_dir: Path) -> None:
    settings = settings_for(tmp_path / "data", models_dir)
    definition = fill(tmp_path / "notes", 3)
    with open_corpus(settings) as corpus, open_jobs(settings, corpus) as jobs:
        with pytest.raises(NotFound):
            jobs.sync(SCOPE, NOTES)
        SourceStore(corpus.database).add(SCOPE, definition)
        queued = jobs.sync(SCOPE, NOTES)
        first = jobs.wait(SCOPE, queued.id, WAIT_S)
        (tmp_path / "notes" / "n1.md").unlink()
        (tmp_path / "notes" / "n2.md").write_text(text(2) + "\nChanged.\n")
        (tmp_path / "notes" / "bad.pdf").write_bytes(b"%PDF-1.7 and no more")
        second = jobs.wait(SCOPE, jobs.sync(SCOPE, NOTES).id, WAIT_S)
        listed = jobs.list(SCOPE, JobFilter(kind=JobKind.SYNC, source=NOTES)).items

    assert (queued.kind, queued.source) == (JobKind.SYNC, NOTES)
    assert (first.state, first.done, first.total) == (JobState.SUCCEEDED, 3, 3)
    assert first.counts["created"] == 3
    assert {"parse", "chunk", "embed", "index"} <= set(first.stage_seconds)
    assert second.state is JobState.PARTIAL
    assert {name: second.counts[name] for name in ("created", "updated", "unchanged", "deleted", "failed")} == {
        "created": 0,
        "updated": 1,
        "unchanged": 1,
        "deleted": 1,
        "failed": 1,
    }
    assert sorted(item.status for item in second.items) == [
        ItemStatus.DELETED,
        ItemStatus.FAILED,
        ItemStatus.UPDATED,
    ]
    assert [job.id for job in listed] == [second.id, first.id]


def test_an_upload_goes_before_the_sync_that_runs(
    tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, embed = threading.Event(), Batch.embed

    def embed_and_tell(batch: Batch, embedder: Embedder) -> int:
        begun.set()
        return embed(batch, embedder)

    monkeypatch.setattr(Batch, "embed", embed_and_tell)
    settings = settings_for(tmp_path / "data", models_dir)
    definition = fill(tmp_path / "notes", DOCUMENTS)
    with open_corpus(settings) as corpus, open_jobs(settings, corpus) as jobs:
        SourceStore(corpus.database).add(SCOPE, definition)
        sync = jobs.sync(SCOPE, NOTES)
        assert jobs.sync(SCOPE, NOTES).id == sync.id
        assert begun.wait(WAIT_S)
        upload = jobs.wait(SCOPE, jobs.submit(SCOPE, [markdown("urgent", "# Urgent\n\nCall `oncall-9`.\n")]).id, WAIT_S)
        meanwhile = jobs.get(SCOPE, sync.id)
        assert len(corpus.find_exact(SCOPE, "oncall-9")) == 1
        ended = jobs.wait(SCOPE, sync.id, WAIT_S)

    assert upload.state is JobState.SUCCEEDED
    assert meanwhile.state is JobState.RUNNING
    assert (ended.state, ended.counts["created"]) == (JobState.SUCCEEDED, DOCUMENTS)


_SYNC_AND_HANG_ON = """
import sys
from pathlib import Path
from ingestion.corpus.corpus import open_corpus
from ingestion.jobs import open_jobs
from ingestion.source_store import SourceStore
from ingestion.telemetry import configure_logging
from tests.ingestion.corpora import SCOPE, settings_for
from tests.ingestion.test_jobs_syncs import DOCUMENTS, NOTES, fill

settings = settings_for(Path(sys.argv[1]), Path(sys.argv[2]))
configure_logging(settings)
with open_corpus(settings) as corpus, open_jobs(settings, corpus) as jobs:
    SourceStore(corpus.database).add(SCOPE, fill(Path(sys.argv[3]), DOCUMENTS))
    job = jobs.sync(SCOPE, NOTES)
    while corpus.count_documents(SCOPE) == 0:
        job = jobs.wait(SCOPE, job.id, 0.02)
    print(job.id, flush=True)
    jobs.wait(SCOPE, job.id, 300)
print("finished", flush=True)
"""


def test_a_killed_sync_is_finished_by_the_next_process(tmp_path: Path, models_dir: Path, repo_root: Path) -> None:
    settings = settings_for(tmp_path / "data", models_dir)
    process = subprocess.Popen(
        [sys.executable, "-c", _SYNC_AND_HANG_ON, str(settings.data_dir), str(models_dir), str(tmp_path / "notes")],
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
        assert job.state is JobState.SUCCEEDED
        assert corpus.count_documents(SCOPE) == DOCUMENTS


def test_a_due_source_is_synced_unasked(tmp_path: Path, models_dir: Path) -> None:
    settings = settings_for(tmp_path / "data", models_dir)
    definition = fill(tmp_path / "notes", 2).model_copy(update={"interval_s": 3600})
    with open_corpus(settings) as corpus, open_jobs(settings, corpus) as jobs:
        sources = SourceStore(corpus.database)
        sources.add(SCOPE, definition)
        while not (found := jobs.list(SCOPE, JobFilter(source=NOTES)).items):
            threading.Event().wait(0.05)
        assert jobs.wait(SCOPE, found[0].id, WAIT_S).state is JobState.SUCCEEDED
        assert sources.get(SCOPE, NOTES).due_at is not None
        assert corpus.count_documents(SCOPE) == 2
