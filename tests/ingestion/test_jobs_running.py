"""A worker under real jobs: who goes first, what a document that kills the process costs, what came attached."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ingestion.corpus.corpus import open_corpus
from ingestion.corpus.records import DocumentId, DocumentSource
from ingestion.corpus.scope import Scope
from ingestion.errors import BackendUnavailable, SourceUnavailable
from ingestion.job_store import ItemStatus, Job, JobId, JobKind, JobState, JobStore
from ingestion.jobs import open_jobs
from ingestion.jobs.bulk import Bulk, BulkWork
from ingestion.jobs.lanes import Lanes
from ingestion.jobs.runner import PAUSES_S, Interrupted, JobRunner
from ingestion.jobs.uploads import Uploads
from ingestion.parsing import DocumentParser
from ingestion.pipeline import Pipeline
from ingestion.source_store import SourceStore
from ingestion.sources.definitions import FolderOrigin, SourceDefinition
from ingestion.syncing import Oversight, SyncProgress, SyncReport, SyncStage
from tests.ingestion.corpora import SCOPE, Bench, markdown, open_bench, settings_for
from tests.ingestion.test_pipeline_attachments import NOTES, mail

WAIT_S = 300


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Bench]:
    with open_bench(settings_for(tmp_path_factory.mktemp("running"), models_dir)) as bench:
        yield bench


@dataclass
class Worker:
    """A runner without a queue: the test says what runs when."""

    bench: Bench
    stopping: threading.Event
    lanes: Lanes
    clock_s: float = 0.0

    def __post_init__(self) -> None:
        self.store = JobStore(self.bench.corpus.database)
        self.sources = SourceStore(self.bench.corpus.database)

    def upload(self, name: str, *documents: DocumentSource) -> JobId:
        self.store.uploads.add(SCOPE, JobId(name), documents)
        return JobId(name)

    def sync(self, name: str) -> JobId:
        return self.store.add_bulk(SCOPE, JobId(name), JobKind.SYNC, name)

    def run(self, job: JobId, work: BulkWork | None = None, *, pipeline: Pipeline | None = None) -> Job:
        """The job after it ran; pauses take no time."""
        uploads = Uploads(self.store.uploads, pipeline or self.bench.pipeline, 3)
        bulk = Bulk({JobKind.SYNC: work} if work else {}, self.sources, self.lanes)
        JobRunner(self.store, uploads, bulk, self.lanes, self.stopping).run(job, SCOPE.tenant, self._clock)
        return self.store.reader.get(SCOPE, job)

    def _clock(self) -> float:
        self.clock_s += 60.0
        return self.clock_s


@pytest.fixture
def worker(opened: Bench) -> Worker:
    return Worker(opened, threading.Event(), Lanes(time.monotonic, patience_s=1e9))


def _text(number: int) -> str:
    return f"# Valve {number}\n\nThe valve of boiler {number} is opened by hand.\n"


def test_an_upload_is_searchable_before_the_bulk_job_around_it_ends(worker: Worker) -> None:
    between_batches, upload_came = threading.Event(), threading.Event()

    def work(scope: Scope, source: str | None, oversight: Oversight) -> SyncReport:
        def wait_turn() -> None:
            between_batches.set()
            assert upload_came.wait(WAIT_S)
            oversight.wait_turn()

        documents = [markdown(f"bulk{number}", _text(number)) for number in range(300)]
        created = 0
        for _ in worker.bench.pipeline.ingest(scope, documents, wait_turn=wait_turn):
            created += 1
        return SyncReport(seen=created, created=created)

    class Announced(Lanes):
        """Says when an upload has begun."""

        @contextmanager
        def upload(self) -> Iterator[None]:
            with super().upload():
                upload_came.set()
                yield

    worker.lanes = Announced(time.monotonic, patience_s=1e9)
    ended: list[Job] = []
    bulk = threading.Thread(target=lambda: ended.append(worker.run(worker.sync("bulk"), work)))
    bulk.start()
    assert between_batches.wait(WAIT_S)
    upload = worker.run(worker.upload("interactive", markdown("urgent", "# Urgent\n\nCall `oncall-9`.\n")))
    meanwhile = worker.store.reader.get(SCOPE, JobId("bulk"))
    assert len(worker.bench.corpus.find_exact(SCOPE, "oncall-9")) == 1
    bulk.join(WAIT_S)

    assert upload.state is JobState.SUCCEEDED
    assert meanwhile.state is JobState.RUNNING
    assert [(job.state, job.counts["created"]) for job in ended] == [(JobState.SUCCEEDED, 300)]


def test_what_is_attached_is_told_with_the_job(worker: Worker) -> None:
    message = mail({"notes.md": NOTES, "broken.pdf": b"%PDF-1.7 and no more"})
    source = DocumentSource(DocumentId("mail"), "mails/failover.eml", "failover.eml", message)
    job = worker.run(worker.upload("mails", source, markdown("last", _text(1000))))

    assert [(item.uri, item.status) for item in job.items[:2]] == [
        ("mails/failover.eml", ItemStatus.CREATED),
        ("last.md", ItemStatus.CREATED),
    ]
    assert {(item.uri, item.status) for item in job.items[2:]} == {
        ("mails/failover.eml#notes.md", ItemStatus.CREATED),
        ("mails/failover.eml#broken.pdf", ItemStatus.FAILED),
    }
    assert (job.done, job.total, job.counts) == (4, 4, {"created": 3, "failed": 1})
    assert job.state is JobState.PARTIAL
    assert set(job.stage_seconds) == {"parse", "chunk", "embed", "index"}


@dataclass
class Broken:
    """A parser with a bug: of some documents it raises what nobody expects."""

    parser: DocumentParser
    tries: list[str]

    def parse(self, source: DocumentSource) -> object:
        self.tries.append(source.id)
        if b"BUG" in source.data:
            raise ZeroDivisionError("a bug")
        return self.parser.parse(source)


def test_a_document_that_meets_a_bug_costs_itself_only(worker: Worker, models_dir: Path) -> None:
    bench = worker.bench
    with DocumentParser(settings_for(Path(), models_dir).parsing) as parser:
        broken = Broken(parser, [])
        pipeline = Pipeline(bench.corpus, broken)  # type: ignore[arg-type]
        documents = [markdown(f"bug{n}", _text(2000 + n) + ("BUG" if n == 3 else "")) for n in range(6)]
        job = worker.run(worker.upload("bugs", *documents), pipeline=pipeline)

    assert [item.status for item in job.items] == [ItemStatus.CREATED] * 3 + [ItemStatus.FAILED] + [
        ItemStatus.CREATED
    ] * 2
    assert job.items[3].code == "quarantined"
    assert "ZeroDivisionError" in (job.items[3].detail or "")
    assert broken.tries.count("bug3") == 3
    assert job.state is JobState.PARTIAL


def _failing(error: Exception, times: int) -> tuple[BulkWork, list[int]]:
    tries: list[int] = []

    def work(scope: Scope, source: str | None, oversight: Oversight) -> SyncReport:
        tries.append(1)
        if len(tries) <= times:
            raise error
        oversight.progress(SyncProgress(SyncStage.SCANNING, seen=1, failed=1))
        return SyncReport(seen=2, created=1, failed=1)

    return work, tries


def test_a_job_is_tried_again_while_a_store_does_not_answer(worker: Worker) -> None:
    work, tries = _failing(BackendUnavailable("Qdrant does not answer"), 2)
    job = worker.run(worker.sync("patient"), work)
    assert (job.state, job.done, job.total, len(tries)) == (JobState.PARTIAL, 2, 2, 3)


def test_a_store_that_never_answers_ends_the_job(worker: Worker) -> None:
    work, tries = _failing(BackendUnavailable("Qdrant does not answer"), 1000)
    job = worker.run(worker.sync("hopeless"), work)
    assert (job.state, job.detail) == (JobState.FAILED, "Qdrant does not answer")
    assert len(tries) == len(PAUSES_S) + 1


@pytest.mark.parametrize(("interval_s", "tries"), [(60, 1), (None, len(PAUSES_S) + 1)])
def test_a_source_with_a_schedule_is_left_to_it(worker: Worker, interval_s: int | None, tries: int) -> None:
    name = f"down-{tries}"
    origin = FolderOrigin(path=Path("/nowhere"))
    worker.sources.add(SCOPE, SourceDefinition(id=name, origin=origin, interval_s=interval_s))
    work, made = _failing(SourceUnavailable("the folder is not there"), 1000)
    assert worker.run(worker.sync(name), work).state is JobState.FAILED
    assert len(made) == tries


def test_a_bug_in_a_sync_ends_its_job_alone(worker: Worker) -> None:
    work, tries = _failing(ZeroDivisionError("a bug"), 1000)
    job = worker.run(worker.sync("buggy"), work)
    assert (job.state, len(tries)) == (JobState.FAILED, 1)
    assert "log" in (job.detail or "")


def test_a_cancelled_sync_stops_and_its_source_can_be_synced_again(worker: Worker) -> None:
    job = worker.sync("cancelled")

    def work(scope: Scope, source: str | None, oversight: Oversight) -> SyncReport:
        assert not oversight.should_stop()
        worker.store.cancel(scope, job)
        assert oversight.should_stop()
        return SyncReport(seen=1, stopped=True)

    ended = worker.run(job, work)
    assert (ended.state, ended.done) == (JobState.CANCELLED, 1)
    assert worker.store.add_bulk(SCOPE, JobId("again"), JobKind.SYNC, "cancelled") == "again"


def test_a_closing_worker_leaves_the_job_open(worker: Worker) -> None:
    job = worker.sync("interrupted")

    def work(scope: Scope, source: str | None, oversight: Oversight) -> SyncReport:
        worker.stopping.set()
        assert oversight.should_stop()
        return SyncReport(stopped=True)

    with pytest.raises(Interrupted):
        worker.run(job, work)
    assert worker.store.reader.get(SCOPE, job).state is JobState.RUNNING
    worker.stopping.clear()
    assert worker.run(job, lambda *_: SyncReport()).state is JobState.SUCCEEDED


def test_tries_that_ended_in_order_are_not_held_against_a_document(worker: Worker) -> None:
    job = worker.upload("orderly", *(markdown(f"calm{n}", _text(3000 + n)) for n in range(4)))
    worker.stopping.set()
    with pytest.raises(Interrupted):
        worker.run(job)
    worker.stopping.clear()
    assert [document.attempts for document in worker.store.uploads.waiting(job)] == [0] * 4
    assert worker.run(job).state is JobState.SUCCEEDED


_MARKER = "POISONED"
_DIES = """
import os, signal, sys
from pathlib import Path
from ingestion.corpus.corpus import open_corpus
from ingestion.jobs import open_jobs
from ingestion.pipeline.batches import Batch
from ingestion.telemetry import configure_logging
from tests.ingestion.corpora import SCOPE, settings_for
from tests.ingestion.test_jobs_running import _MARKER, poisoned

settings = settings_for(Path(sys.argv[1]), Path(sys.argv[2]))
configure_logging(settings)
embed = Batch.embed

def deadly(batch, embedder):
    if any(_MARKER in text for text in batch._texts.values()):
        os.kill(os.getpid(), signal.SIGKILL)
    return embed(batch, embedder)

Batch.embed = deadly
with open_corpus(settings) as corpus:
    with open_jobs(settings, corpus) as jobs:
        job = jobs.list(SCOPE).items[0] if sys.argv[3] else jobs.submit(SCOPE, poisoned())
        print(job.id, flush=True)
        print(jobs.wait(SCOPE, job.id, 300).state, flush=True)
"""


def poisoned() -> list[DocumentSource]:
    """Documents of which the fourth ends the process that embeds it."""
    return [markdown(f"d{n}", _text(n) + (_MARKER if n == 3 else "")) for n in range(6)]


def test_a_document_that_kills_the_process_is_quarantined_and_its_neighbours_go_on(
    tmp_path: Path, models_dir: Path, repo_root: Path
) -> None:
    settings = settings_for(tmp_path / "poisoned", models_dir)
    job = ""
    for _ in range(3):
        died = subprocess.run(
            [sys.executable, "-c", _DIES, str(settings.data_dir), str(models_dir), job],
            stdout=subprocess.PIPE,
            text=True,
            cwd=repo_root,
            timeout=WAIT_S,
            check=False,
        )
        job = died.stdout.split()[0]
        assert died.returncode == -signal.SIGKILL, died.stdout

    # Nothing would kill this process: that the document was not tried again is seen from its outcome.
    with open_corpus(settings) as corpus, open_jobs(settings, corpus) as jobs:
        found = jobs.wait(SCOPE, JobId(job), WAIT_S)
    assert [item.status for item in found.items] == [ItemStatus.CREATED] * 3 + [ItemStatus.FAILED] + [
        ItemStatus.CREATED
    ] * 2
    assert (found.items[3].code, found.state) == ("quarantined", JobState.PARTIAL)
    assert "3 times" in (found.items[3].detail or "")
