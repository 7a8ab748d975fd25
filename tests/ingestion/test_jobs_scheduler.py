"""The scheduler submits each due sync once, notices what is added, removed, paused or changed, and forgets old jobs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingestion.corpus.database import migrate_corpus, open_database
from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import BackendUnavailable, NotFound, SourceUnavailable
from ingestion.jobs.scheduler import Duties, Scheduler, scheduling
from ingestion.settings import Settings
from ingestion.source_store import SourceStore
from ingestion.sources.definitions import FolderOrigin, SourceDefinition, SourceId
from tests.ingestion.corpora import SCOPE

WAIT_S = 60
OTHER = Scope(TenantId("other"))


@dataclass
class Clock:
    """A clock that is moved by hand."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


@dataclass
class Office:
    """Takes what a scheduler submits; `under_way` are syncs that are not over."""

    submitted: list[tuple[str, str]] = field(default_factory=list)
    under_way: set[tuple[str, str]] = field(default_factory=set)
    mended: int = 0
    pruned: list[datetime] = field(default_factory=list)
    came: threading.Event = field(default_factory=threading.Event)
    broken: bool = False

    def duties(self) -> Duties:
        return Duties(self.sync, lambda scope, source: (scope.tenant, source) in self.under_way, self.mend, self.prune)

    def sync(self, scope: Scope, source: SourceId) -> None:
        self.submitted.append((scope.tenant, source))
        self.came.set()

    def mend(self) -> None:
        self.mended += 1
        if self.broken:
            self.broken = False
            raise BackendUnavailable("not now")

    def prune(self, now: datetime) -> None:
        self.pruned.append(now)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sources(tmp_path: Path, clock: Clock) -> Iterator[SourceStore]:
    engine = open_database(Settings(data_dir=tmp_path / "data"))
    migrate_corpus(engine)
    yield SourceStore(engine, clock)
    engine.dispose()


def _source(
    id_: str, path: Path = Path("/nowhere"), *, interval_s: int | None = 60, watch: bool = False
) -> SourceDefinition:
    return SourceDefinition(id=id_, origin=FolderOrigin(path=path, watch=watch), interval_s=interval_s)


def test_what_is_due_is_submitted_once_among_several_workers(sources: SourceStore, clock: Clock) -> None:
    office = Office()
    workers = [Scheduler(sources, office.duties()) for _ in range(4)]
    sources.add(SCOPE, _source("wiki"))
    sources.add(OTHER, _source("wiki"))
    sources.add(SCOPE, _source("manual", interval_s=None))
    start = threading.Barrier(len(workers))

    def look(worker: Scheduler) -> None:
        start.wait()
        worker.look(clock.now)

    threads = [threading.Thread(target=look, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(office.submitted) == [("default", "wiki"), ("other", "wiki")]


def test_a_source_is_due_again_after_its_interval_and_later_after_failures(sources: SourceStore, clock: Clock) -> None:
    office = Office()
    scheduler = Scheduler(sources, office.duties())
    sources.add(SCOPE, _source("wiki"))

    def looks_until_submitted() -> int:
        office.submitted.clear()
        for look in range(1000):
            scheduler.look(clock.pass_(10))
            if office.submitted:
                return look
        raise AssertionError("never due again")

    assert looks_until_submitted() == 0
    sources.begin(SCOPE, SourceId("wiki"))
    sources.succeeded(SCOPE, SourceId("wiki"), {}, None)
    pauses = [looks_until_submitted()]
    for _ in range(3):
        sources.begin(SCOPE, SourceId("wiki"))
        sources.failed(SCOPE, SourceId("wiki"), SourceUnavailable("down"))
        pauses.append(looks_until_submitted())
    assert pauses == sorted(pauses)
    assert pauses[0] <= 6
    assert pauses[-1] > 3 * pauses[1]


def test_what_changes_during_a_sync_leads_to_another(sources: SourceStore, clock: Clock) -> None:
    office = Office()
    scheduler = Scheduler(sources, office.duties())
    sources.add(SCOPE, _source("wiki", interval_s=None))
    office.under_way.add(("default", "wiki"))
    scheduler.changed((SCOPE.tenant, SourceId("wiki")))
    scheduler.look(clock.pass_(1))
    assert office.submitted == []
    office.under_way.clear()
    scheduler.look(clock.pass_(1))
    scheduler.look(clock.pass_(1))
    assert office.submitted == [("default", "wiki")]


def test_paused_and_removed_sources_are_left_alone(sources: SourceStore, clock: Clock) -> None:
    office = Office()
    scheduler = Scheduler(sources, office.duties())
    for name in ("paused", "removed"):
        sources.add(SCOPE, _source(name, watch=True))
    assert set(scheduler.watched()) == {("default", "paused"), ("default", "removed")}
    sources.set_paused(SCOPE, SourceId("paused"), True)
    sources.remove(SCOPE, SourceId("removed"))
    scheduler.changed((SCOPE.tenant, SourceId("removed")))
    scheduler.look(clock.pass_(100))
    assert office.submitted == []
    assert scheduler.watched() == {}


def test_a_source_that_vanishes_on_the_way_disturbs_no_other(sources: SourceStore, clock: Clock) -> None:
    office = Office()
    taken = office.sync

    def sync(scope: Scope, source: SourceId) -> None:
        if source == "a":
            raise NotFound("no source 'a'")
        taken(scope, source)

    duties = office.duties()
    scheduler = Scheduler(sources, Duties(sync, duties.is_under_way, duties.mend, duties.prune))
    for name in ("a", "b"):
        sources.add(SCOPE, _source(name))
    scheduler.look(clock.pass_(1))
    assert office.submitted == [("default", "b")]


def test_chores_have_their_times(sources: SourceStore, clock: Clock) -> None:
    office = Office()
    scheduler = Scheduler(sources, office.duties())
    for _ in range(120):
        scheduler.look(clock.pass_(60))
    assert office.mended == 120
    assert len(office.pruned) == 2


def test_a_change_in_a_watched_folder_is_noticed_also_in_a_source_that_came_later(
    sources: SourceStore, tmp_path: Path
) -> None:
    office = Office(broken=True)
    folder = tmp_path / "docs"
    folder.mkdir()
    with scheduling(Scheduler(sources, office.duties()), sources._clock, quiet_s=0.05):
        sources.add(SCOPE, _source("docs", folder, interval_s=None, watch=True))
        assert office.came.wait(WAIT_S)  # once when watching begins
        office.came.clear()
        (folder / "new.md").write_text("# New\n")
        assert office.came.wait(WAIT_S)
    assert set(office.submitted) == {("default", "docs")}
    assert not [thread for thread in threading.enumerate() if thread.name == "scheduler"]
