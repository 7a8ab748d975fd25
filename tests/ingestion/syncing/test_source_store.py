"""The list of sources: when each is due, how its health is told, and that only one caller gets a turn."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from ingestion.corpus.database import migrate_corpus, open_database
from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import Conflict, NotFound, SourceUnavailable
from ingestion.settings import Settings
from ingestion.source_store import INCOMPLETE, SourceError, SourceHealth, SourceStore, pause_s
from ingestion.sources.definitions import SourceId
from tests.ingestion.syncing.parts import SCOPE, START, WIKI, Clock, definition

OTHER = Scope(TenantId("other"))
DOWN = SourceUnavailable("told to fail")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[SourceStore]:
    address = SecretStr(request.getfixturevalue("postgres_url")) if request.param == "postgres" else None
    engine = open_database(Settings(data_dir=tmp_path, database_url=address))
    migrate_corpus(engine)
    yield SourceStore(engine, clock)
    engine.dispose()


def due(store: SourceStore, clock: Clock) -> list[str]:
    return [id_ for _, id_ in store.due(clock())]


def test_a_source_is_added_listed_and_removed(store: SourceStore, clock: Clock) -> None:
    for name in ("one", "two", "three"):
        clock.pass_(1)
        added = store.add(SCOPE, definition(name, metadata={"team": "ops"}))
    assert added.definition == definition("three", metadata={"team": "ops"})
    assert (added.health, added.due_at, added.failures) == (SourceHealth.NEVER_SYNCED, None, 0)
    page = store.list(SCOPE, limit=2)
    assert [source.id for source in page.items] == ["three", "two"]
    assert [source.id for source in store.list(SCOPE, cursor=page.next_cursor).items] == ["one"]
    with pytest.raises(Conflict, match="already"):
        store.add(SCOPE, definition("one"))
    store.remove(SCOPE, SourceId("one"))
    with pytest.raises(NotFound):
        store.get(SCOPE, SourceId("one"))
    assert [source.id for source in store.all_sources()] == ["three", "two"]


def test_tenants_do_not_meet(store: SourceStore) -> None:
    store.add(SCOPE, definition())
    with pytest.raises(NotFound):
        store.get(OTHER, WIKI)
    with pytest.raises(NotFound):
        store.set_paused(OTHER, WIKI, True)
    with pytest.raises(NotFound):
        store.begin(OTHER, WIKI)
    store.remove(OTHER, WIKI)
    assert store.list(OTHER).items == ()
    assert [source.tenant for source in store.all_sources()] == ["default"]


def test_a_source_with_an_interval_is_due_at_once_and_then_after_each(store: SourceStore, clock: Clock) -> None:
    store.add(SCOPE, definition(interval_s=60))
    assert due(store, clock) == ["wiki"]
    store.begin(SCOPE, WIKI)
    assert due(store, clock) == []
    store.succeeded(SCOPE, WIKI, {"seen": 3}, "token")
    clock.pass_(59)
    assert due(store, clock) == []
    clock.pass_(1)
    assert due(store, clock) == ["wiki"]
    source = store.get(SCOPE, WIKI)
    assert (source.health, source.counts, source.succeeded_at) == (SourceHealth.OK, {"seen": 3}, START)


def test_a_source_on_demand_is_never_due_by_itself(store: SourceStore, clock: Clock) -> None:
    store.add(SCOPE, definition())
    store.begin(SCOPE, WIKI)
    store.failed(SCOPE, WIKI, DOWN)
    clock.pass_(1e6)
    assert due(store, clock) == []
    store.make_due(SCOPE, WIKI)
    assert due(store, clock) == ["wiki"]
    store.begin(SCOPE, WIKI)
    store.succeeded(SCOPE, WIKI, {}, None)
    assert store.get(SCOPE, WIKI).due_at is None


def test_a_paused_source_is_not_due(store: SourceStore, clock: Clock) -> None:
    store.add(SCOPE, definition(interval_s=60))
    assert store.set_paused(SCOPE, WIKI, True).health is SourceHealth.PAUSED
    assert due(store, clock) == []
    store.set_paused(SCOPE, WIKI, False)
    assert due(store, clock) == ["wiki"]


def test_only_one_of_two_claims_it(store: SourceStore, clock: Clock) -> None:
    store.add(SCOPE, definition(interval_s=60))
    assert store.claim(SCOPE.tenant, WIKI, clock())
    assert not store.claim(SCOPE.tenant, WIKI, clock())
    clock.pass_(901)
    assert due(store, clock) == ["wiki"], "a claim that came to nothing"


def test_what_becomes_due_during_a_sync_is_synced_again(store: SourceStore, clock: Clock) -> None:
    store.add(SCOPE, definition(interval_s=3600))
    store.begin(SCOPE, WIKI)
    clock.pass_(5)
    store.make_due(SCOPE, WIKI)
    clock.pass_(5)
    store.succeeded(SCOPE, WIKI, {}, None)
    assert due(store, clock) == ["wiki"]


def test_a_failing_source_waits_longer_each_time_up_to_six_hours(store: SourceStore, clock: Clock) -> None:
    store.add(SCOPE, definition(interval_s=60))
    waits = []
    for failures in range(1, 12):
        store.begin(SCOPE, WIKI)
        store.failed(SCOPE, WIKI, DOWN)
        source = store.get(SCOPE, WIKI)
        assert source.due_at is not None
        assert (source.failures, source.health) == (failures, SourceHealth.FAILING)
        waits.append((source.due_at - clock()).total_seconds())
        clock.time = source.due_at
    for failures, wait in enumerate(waits, start=1):
        assert wait == pytest.approx(min(60 * 2**failures, 6 * 3600), rel=0.101)
    assert source.error == SourceError("source_unavailable", "told to fail")
    store.begin(SCOPE, WIKI)
    store.succeeded(SCOPE, WIKI, {}, None)
    source = store.get(SCOPE, WIKI)
    assert (source.failures, source.error, source.health) == (0, None, SourceHealth.OK)
    assert source.due_at == clock() + timedelta(seconds=60)


def test_pauses_differ_between_sources_and_are_the_same_every_time() -> None:
    assert pause_s("a", 60, 1) == pause_s("a", 60, 1)
    assert len({pause_s(name, 60, 1) for name in "abcdefgh"}) > 4
    assert 54 <= pause_s("a", 0, 1) <= 66
    assert pause_s("a", 60, 10_000) <= 6 * 3600 * 1.1


def test_an_incomplete_scan_shows_and_is_tried_again_as_usual(store: SourceStore, clock: Clock) -> None:
    store.add(SCOPE, definition(interval_s=60))
    store.begin(SCOPE, WIKI)
    store.incomplete(SCOPE, WIKI, {"seen": 1}, "a folder can't be listed")
    source = store.get(SCOPE, WIKI)
    assert source.error == SourceError(INCOMPLETE, "a folder can't be listed")
    assert (source.health, source.succeeded_at) == (SourceHealth.FAILING, None)
    assert source.due_at == clock() + timedelta(seconds=60)


def test_a_source_that_nobody_syncs_is_stalled(store: SourceStore, clock: Clock) -> None:
    store.add(SCOPE, definition(interval_s=60))
    store.begin(SCOPE, WIKI)
    store.succeeded(SCOPE, WIKI, {}, None)
    clock.pass_(180)
    assert store.get(SCOPE, WIKI).health is SourceHealth.OK
    clock.pass_(1)
    assert store.get(SCOPE, WIKI).health is SourceHealth.STALLED


def test_another_definition_replaces_the_first_unless_its_kind_is_another(store: SourceStore) -> None:
    store.add(SCOPE, definition())
    changed = definition(labels=["staff"], interval_s=60)
    assert store.update(SCOPE, changed).definition == changed
    assert store.get(SCOPE, WIKI).due_at == START
    with pytest.raises(Conflict, match="another kind"):
        store.update(SCOPE, definition(origin={"kind": "web", "url": "https://example.org"}))
    with pytest.raises(NotFound):
        store.update(SCOPE, definition("unknown"))


def test_one_holds_a_source_at_a_time(store: SourceStore) -> None:
    other = SourceStore(store.engine)
    with store.exclusively(SCOPE, WIKI):
        with pytest.raises(Conflict), other.exclusively(SCOPE, WIKI):
            pytest.fail("two hold it")
        with other.exclusively(SCOPE, SourceId("another")), other.exclusively(OTHER, WIKI):
            pass
    with other.exclusively(SCOPE, WIKI):
        pass
