"""What is kept of a job: its progress, exact counts with a bounded record, filters, and an end to old jobs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, func, select

from ingestion.corpus import tables
from ingestion.corpus.database import migrate_corpus, open_database
from ingestion.corpus.records import DocumentId
from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import NotFound
from ingestion.job_store import ItemStatus, JobFilter, JobId, JobItem, JobKind, JobState, JobStore
from ingestion.job_store.store import MAX_RECORDED
from ingestion.jobs.progress import Meter, Standing
from ingestion.settings import Settings
from tests.ingestion.corpora import SCOPE, markdown

OTHER = Scope(TenantId("other"))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(Settings(data_dir=tmp_path))
    migrate_corpus(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def store(database: Engine) -> JobStore:
    return JobStore(database)


def _sync(store: JobStore, source: str, scope: Scope = SCOPE) -> JobId:
    return store.add_bulk(
        scope, JobId(f"{scope.tenant}-{source}-{datetime.now(UTC).timestamp()}"), JobKind.SYNC, source
    )


def _upload(store: JobStore, name: str) -> JobId:
    store.uploads.add(SCOPE, JobId(name), [markdown("a", "# A\n\nOne.\n"), markdown("b", "# B\n\nTwo.\n")])
    return JobId(name)


def test_a_source_has_one_job_that_is_not_over(store: JobStore) -> None:
    first = _sync(store, "wiki")
    assert _sync(store, "wiki") == first
    assert _sync(store, "other") != first
    assert _sync(store, "wiki", OTHER) != first
    store.finish(SCOPE, first, state=JobState.SUCCEEDED)
    second = _sync(store, "wiki")
    assert second != first
    store.cancel(SCOPE, second)
    assert _sync(store, "wiki") not in (first, second)


def test_many_callers_at_once_get_the_same_job(store: JobStore) -> None:
    found: list[JobId] = []
    start = threading.Barrier(8)

    def submit(number: int) -> None:
        start.wait()
        found.append(store.add_bulk(SCOPE, JobId(f"job-{number}"), JobKind.SYNC, "wiki"))

    callers = [threading.Thread(target=submit, args=(number,)) for number in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_sync_tells_how_far_it_is_and_when_it_will_be_done(store: JobStore) -> None:
    job, now_s = _sync(store, "wiki"), 0.0
    store.start(SCOPE, job)
    meter = Meter(store, job, lambda: now_s, {"parse": 1.0})
    meter.update(Standing("scanning", 0, 0, False, {"created": 0}), {})
    assert store.reader.get(SCOPE, job).eta_s is None
    now_s = 10.0
    meter.update(Standing("scanning", 50, 70, False, {"created": 50}), {"parse": 2.0, "embed": 3.0})
    unknown = store.reader.get(SCOPE, job)
    now_s = 20.0
    meter.update(Standing("scanning", 100, 400, True, {"created": 90, "failed": 10}), {"parse": 2.0, "embed": 5.0})
    known = store.reader.get(SCOPE, job)
    now_s = 20.5
    meter.update(Standing("scanning", 400, 400, True, {}), {})
    assert store.reader.get(SCOPE, job) == known
    now_s = 30.0
    meter.update(Standing("scanning", 401, 450, False, {"created": 401}), {})
    more_than_last_time = store.reader.get(SCOPE, job)
    store.finish(SCOPE, job, state=JobState.SUCCEEDED)

    assert (unknown.done, unknown.total, unknown.eta_s) == (50, 70, None)
    assert (known.done, known.total, known.eta_s) == (100, 400, 60.0)
    assert known.counts == {"created": 90, "failed": 10}
    assert known.stage_seconds == {"parse": 3.0, "embed": 5.0}
    assert (known.state, known.stage, known.kind, known.source) == (JobState.RUNNING, "scanning", JobKind.SYNC, "wiki")
    assert (more_than_last_time.total, more_than_last_time.eta_s) == (450, None)
    assert store.reader.get(SCOPE, job).stage is None


def test_of_a_sync_a_thousand_failures_are_kept_and_all_are_counted(store: JobStore) -> None:
    job = _sync(store, "wiki")
    meter = Meter(store, job, lambda: 0.0, {})
    for number in range(MAX_RECORDED + 200):
        meter.record(JobItem(DocumentId(f"bad{number}"), f"bad{number}.md", ItemStatus.FAILED, "corrupt", "no"))
    for number in range(10):
        meter.record(JobItem(DocumentId(f"good{number}"), f"good{number}.md", ItemStatus.CREATED))
    meter.record(JobItem(DocumentId("good1"), "good1.md", ItemStatus.FAILED, "corrupt", "not any more"))
    meter.update(Standing("scanning", 5000, 5000, True, {"failed": 1201, "created": 9}), {}, at_once=True)
    stored = store.reader.get(SCOPE, job)
    (listed,) = store.reader.list_jobs(SCOPE, JobFilter()).items

    statuses = [item.status for item in stored.items]
    assert statuses.count(ItemStatus.FAILED) == MAX_RECORDED
    assert statuses.count(ItemStatus.CREATED) == 9
    assert stored.counts == {"failed": 1201, "created": 9}
    assert len(listed.items) == 20


def test_jobs_are_listed_by_kind_state_and_source(store: JobStore) -> None:
    upload, wiki, shop = _upload(store, "up"), _sync(store, "wiki"), _sync(store, "shop")
    store.start(SCOPE, shop)

    def listed(wanted: JobFilter) -> set[JobId]:
        return {job.id for job in store.reader.list_jobs(SCOPE, wanted).items}

    assert listed(JobFilter()) == {upload, wiki, shop}
    assert listed(JobFilter(kind=JobKind.UPLOAD)) == {upload}
    assert listed(JobFilter(kind=JobKind.SYNC)) == {wiki, shop}
    assert listed(JobFilter(state=JobState.RUNNING)) == {shop}
    assert listed(JobFilter(source="wiki")) == {wiki}
    assert listed(JobFilter(kind=JobKind.SYNC, state=JobState.QUEUED, source="shop")) == set()
    first = store.reader.list_jobs(SCOPE, JobFilter(kind=JobKind.SYNC), limit=1)
    rest = store.reader.list_jobs(SCOPE, JobFilter(kind=JobKind.SYNC), limit=1, cursor=first.next_cursor)
    assert {job.id for job in (*first.items, *rest.items)} == {wiki, shop}
    assert store.reader.list_jobs(OTHER, JobFilter()).items == ()


def test_counting_reads_no_bytes(store: JobStore, database: Engine) -> None:
    plans = []
    _upload(store, "up")

    @event.listens_for(database, "before_cursor_execute")
    def explain(connection: object, cursor: object, statement: str, parameters: object, *_: object) -> None:
        if "count(" in statement and "job_items" in statement:
            plans.append((statement, parameters))

    store.reader.get(SCOPE, JobId("up"))
    ((statement, parameters),) = plans
    with database.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()  # type: ignore[arg-type]
    assert "COVERING INDEX ix_job_items_status" in str(plan)


def test_a_job_that_is_over_stays_as_it_ended(store: JobStore) -> None:
    job = _upload(store, "up")
    store.start(SCOPE, job)
    store.uploads.finish(job, 0, ItemStatus.CREATED)
    assert store.finish(SCOPE, job, detail="the disk is full") is JobState.PARTIAL
    ended = store.reader.get(SCOPE, job)
    assert store.finish(SCOPE, job, detail="again") is JobState.PARTIAL
    store.cancel(SCOPE, job)
    assert not store.start(SCOPE, job)
    assert store.reader.get(SCOPE, job) == ended
    assert [item.detail for item in ended.items] == [None, "the disk is full"]
    with pytest.raises(NotFound):
        store.start(OTHER, job)


def test_old_jobs_are_forgotten_with_their_items(store: JobStore, database: Engine) -> None:
    old, young, open_ = _upload(store, "old"), _upload(store, "young"), _upload(store, "open")
    for job in (old, young):
        store.finish(SCOPE, job)
    with database.begin() as connection:
        month_ago = datetime.now(UTC) - timedelta(days=31)
        connection.execute(tables.jobs.update().where(tables.jobs.c.id == old).values(finished_at=month_ago))
        connection.execute(tables.jobs.update().where(tables.jobs.c.id == open_).values(created_at=month_ago))

    assert store.prune(datetime.now(UTC) - timedelta(days=30)) == [old]
    assert store.prune(datetime.now(UTC) - timedelta(days=30)) == []
    assert {job.id for job in store.reader.list_jobs(SCOPE, JobFilter()).items} == {young, open_}
    with database.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(tables.job_items)) == 4
