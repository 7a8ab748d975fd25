"""The list of sources as its users see it: who may name which place, what removing means, what readiness is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from ingestion.corpus.catalog_reader import DocumentQuery
from ingestion.errors import Conflict, InvalidRequest, NotFound, SourceUnavailable
from ingestion.settings import SourcesSettings
from ingestion.sources.definitions import SourceId
from ingestion.syncing import Oversight, SourceHealth, Sources, SyncProgress
from tests.ingestion.syncing.parts import SCOPE, WIKI, SyncBench, definition


def sources_with(bench: SyncBench, **changed: Any) -> Sources:
    settings = bench.settings.model_copy(update={"sources": SourcesSettings(**changed)})
    return Sources(bench.corpus, bench.store, settings)


def folder(path: Path | str) -> dict[str, str]:
    return {"kind": "folder", "path": str(path)}


def repository(url: str) -> dict[str, str]:
    return {"kind": "git", "url": url}


def test_a_caller_from_elsewhere_names_folders_below_the_allowed_ones_only(bench: SyncBench, tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    (allowed / "docs").mkdir(parents=True)
    (allowed / "out").symlink_to(tmp_path)
    sources = sources_with(bench, folders=(allowed,))
    for number, origin in enumerate((folder(allowed / "docs"), folder(allowed), repository(f"file://{allowed}/docs"))):
        sources.add(SCOPE, definition(f"fine{number}", origin=origin), remote=True)
    refused = (folder(tmp_path), folder(allowed / "out"), folder(f"{allowed}-not"), repository(f"{tmp_path}/x"))
    for origin in (*refused, repository(f"file://{tmp_path}/x")):
        with pytest.raises(InvalidRequest, match="PLUMBLINE_SOURCES__FOLDERS"):
            sources.add(SCOPE, definition("bad", origin=origin), remote=True)
    with pytest.raises(InvalidRequest):
        sources.update(SCOPE, definition(origin=folder(tmp_path)), remote=True)
    sources.add(SCOPE, definition("own", origin=folder(tmp_path)), remote=False)


@pytest.mark.parametrize("url", ["http://127.0.0.1/x.git", "ssh://git@127.0.0.1:2222/x", "git@127.0.0.1:x/y.git"])
def test_a_repository_at_a_private_address_must_be_allowed(bench: SyncBench, url: str) -> None:
    with pytest.raises(InvalidRequest, match="PLUMBLINE_SOURCES__ALLOWED_HOSTS"):
        sources_with(bench).add(SCOPE, definition("repo", origin=repository(url)), remote=True)
    sources = sources_with(bench, allowed_hosts=("127.0.0.0/8",))
    assert sources.add(SCOPE, definition("repo", origin=repository(url)), remote=True).id == "repo"


def test_a_database_must_have_an_address(bench: SyncBench) -> None:
    origin = {"kind": "sql", "database": "Shop", "table": "items", "key": "id", "text": ["body"]}
    with pytest.raises(InvalidRequest, match="PLUMBLINE_SOURCES__DATABASES__SHOP"):
        sources_with(bench).add(SCOPE, definition("shop", origin=origin), remote=False)
    sources = sources_with(bench, databases={"SHOP": SecretStr("sqlite:///x")})
    assert sources.add(SCOPE, definition("shop", origin=origin), remote=True).definition.origin.kind == "sql"


def test_the_documents_of_a_removed_source_are_not_found(bench: SyncBench) -> None:
    bench.store.add(SCOPE, definition("other"))
    bench.place.texts |= {"a": "Alpha text.", "b": "Beta text."}
    bench.sync()
    bench.place.texts = {"a": "Alpha elsewhere."}
    bench.sync(id_=SourceId("other"))
    bench.sources.remove(SCOPE, WIKI)
    assert bench.texts("Alpha") == ["Alpha elsewhere."]
    assert len(list(bench.corpus.writer.points(SCOPE))) == 1
    with pytest.raises(NotFound):
        bench.sources.remove(SCOPE, WIKI)
    with pytest.raises(NotFound):
        bench.sync()


def test_a_removed_source_can_be_added_again(bench: SyncBench) -> None:
    bench.place.texts["a"] = "Alpha text."
    bench.sync()
    bench.sources.remove(SCOPE, WIKI)
    bench.store.add(SCOPE, definition())
    assert bench.sync().created == 1
    assert bench.reconcile().equal


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_sync_that_runs_while_its_source_is_removed_leaves_nothing(bench: SyncBench, at: int) -> None:
    long = {number: "\n\n".join(f"Text {number} about word{part}. " * 20 for part in range(20)) for number in range(60)}
    bench.place.texts |= {f"n{number}": text for number, text in long.items()}
    turns = 0

    def remove() -> None:
        nonlocal turns
        turns += 1
        if turns == at + 1:
            bench.sources.remove(SCOPE, WIKI)

    with pytest.raises(NotFound, match="removed while"):
        bench.sync(Oversight(wait_turn=remove))
    assert turns == at + 1
    assert bench.corpus.list_documents(SCOPE, DocumentQuery()).items == ()
    assert bench.texts("Text") == []


def test_readiness_and_metrics_are_told_who_fails(bench: SyncBench) -> None:
    assert bench.sources.health_states() == {}
    bench.place.fails = SourceUnavailable("told to fail")
    with pytest.raises(SourceUnavailable):
        bench.sync()
    assert bench.sources.health_states() == {"source default/wiki": "failing: source_unavailable: told to fail"}
    bench.place.fails = None
    bench.place.texts["a"] = "Alpha text."
    bench.sync()
    bench.clock.pass_(7)
    assert bench.sources.health_states() == {}
    (numbers,) = bench.sources.numbers()
    assert (numbers.kind, numbers.health, numbers.since_success_s) == ("folder", SourceHealth.OK, 7)
    assert numbers.counts["created"] == 1


def test_a_stalled_source_says_since_when(bench: SyncBench) -> None:
    bench.sources.update(SCOPE, definition(interval_s=60), remote=False)
    bench.sync()
    bench.clock.pass_(1000)
    assert bench.sources.health_states() == {"source default/wiki": "stalled: last synced at 2026-01-02 03:04:00 UTC"}
    assert bench.sources.pause(SCOPE, WIKI).health is SourceHealth.PAUSED
    assert bench.sources.health_states() == {}
    assert bench.sources.resume(SCOPE, WIKI).health is SourceHealth.STALLED


def test_a_source_that_is_being_synced_is_not_a_failing_one(bench: SyncBench) -> None:
    def second(_: SyncProgress) -> None:
        with pytest.raises(Conflict):
            bench.sync()

    bench.sync(Oversight(progress=second))
    assert bench.wiki().health is SourceHealth.OK
