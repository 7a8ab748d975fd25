"""Whatever happens at real origins and to their syncs: one clean sync later, origin and corpus are the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from ingestion.corpus.catalog_reader import DocumentQuery
from ingestion.errors import RejectionCode, SourceUnavailable
from ingestion.parsing import DocumentParser
from ingestion.sources.origin import End, Fetched, Known, Origin, Sighting, Unavailable
from ingestion.syncing import Oversight
from ingestion.syncing.filing import Filing
from ingestion.syncing.items import ItemBook
from tests.contracts.origins import SERVER_WORLDS, WORLDS, World
from tests.embeddings_endpoint import Endpoint
from tests.ingestion.corpora import stored
from tests.ingestion.syncing.parts import (
    SCOPE,
    Interrupted,
    Killed,
    SyncBench,
    definition,
    open_sync_bench,
    quick_settings,
)

ROUNDS = 12
EDITS = 6
_SERVERS = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in sorted(SERVER_WORLDS)]
_WORDS = [
    "gateway",
    "rollback",
    "certificate",
    "queue",
    "replica",
    "shard",
    "index",
    "tenant",
    "ledger",
    "budget",
    "latency",
    "socket",
]


class Disturbed:
    """An origin that fails now and then: it withholds documents, breaks off, or forgets to say that it is done."""

    def __init__(self, origin: Origin, chance: random.Random) -> None:
        self._origin = origin
        self._chance = chance

    def token(self) -> str | None:
        return self._origin.token()

    def scan(self, known: Known) -> Iterator[Sighting]:
        ends_at = self._chance.randrange(40)
        how = self._chance.choice(["error", "crash", "silence", "incomplete", "fetches", "well"])
        for number, sighting in enumerate(self._origin.scan(known)):
            if number >= ends_at:
                if how == "error":
                    raise SourceUnavailable("told to fail")
                if how == "crash":
                    raise Interrupted
                if how == "silence":
                    return
            if how == "fetches" and isinstance(sighting, Fetched) and self._chance.random() < 0.5:
                yield Unavailable(sighting.key, sighting.document.uri, RejectionCode.FETCH_FAILED, "told to fail")
            elif how == "incomplete" and isinstance(sighting, End):
                yield End(complete=False)
            else:
                yield sighting

    def close(self) -> None:
        self._origin.close()


class Life:
    """Random edits of a world, whose names and texts are remembered."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self._world = world
        self._chance = chance
        self.texts: dict[str, str] = {}
        self._names = 0
        for _ in range(25):
            self.add()

    def edit(self) -> None:
        if len(self.texts) < 5:
            self.add()
            return
        name = self._chance.choice(sorted(self.texts))
        match self._chance.choice(["add", "change", "change", "back", "delete", "rename"]):
            case "add":
                self.add()
            case "change":
                self._put(name, self._text())
            case "back":
                self._put(name, self.texts[name])
            case "delete":
                self._world.delete(name)
                del self.texts[name]
            case "rename":
                new = self._name()
                self._world.rename(name, new)
                self.texts[new] = self.texts.pop(name)

    def add(self) -> None:
        self._put(self._name(), self._text())

    def _put(self, name: str, text: str) -> None:
        self._world.put(name, text)
        self.texts[name] = text

    def _name(self) -> str:
        self._names += 1
        return self._chance.choice(["", "deep/", "deep/er/"]) + f"d{self._names}"

    def _text(self) -> str:
        paragraphs = (" ".join(self._chance.choices(_WORDS, k=30)) for _ in range(self._chance.randint(1, 4)))
        return "\n\n".join(f"{paragraph.capitalize()}." for paragraph in paragraphs)


def disturbance(chance: random.Random) -> Oversight:
    """Others that stop, fail or kill the sync at some point, or leave it alone."""
    left = chance.randrange(30)
    error = chance.choice([Interrupted(), Killed(), None])

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left < 0 and error is not None:
            raise error

    def stop() -> bool:
        return error is None and left < 0

    return Oversight(progress=count, record=count, wait_turn=count, should_stop=stop)


@pytest.fixture(params=["folder", "git", "sql-sqlite", "web-links", "web-sitemap", *_SERVERS])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    name = request.param
    served = name in SERVER_WORLDS
    context = SERVER_WORLDS[name](request.getfixturevalue(f"{name}_url")) if served else WORLDS[name](tmp_path)
    with context as opened:
        yield opened


def _disturbed(world: World, chance: random.Random) -> Origin:
    return Disturbed(world.open(), chance)


def _disturbed_sync(bench: SyncBench, oversight: Oversight, patch: pytest.MonkeyPatch, *, dies: bool) -> None:
    with patch.context() as patched, suppress(SourceUnavailable, Interrupted, Killed):
        if dies:
            # What a killed process would not have done either.
            patched.setattr(ItemBook, "release", lambda *_: None)
        bench.sync(oversight)


def _documents(bench: SyncBench) -> set[str]:
    return {document.id for document in bench.corpus.list_documents(SCOPE, DocumentQuery(), limit=1000).items}


def _held(bench: SyncBench) -> dict[str, object]:
    """What a reader, and a process that starts, find."""
    return {name: rows for name, rows in stored(bench.corpus).items() if name != "versions"}


@pytest.mark.parametrize("seed", [1, 2])
def test_after_random_edits_and_failures_a_clean_sync_ends_equal(
    world: World,
    seed: int,
    tmp_path: Path,
    endpoint: Endpoint,
    parser: DocumentParser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chance = random.Random(seed)
    life = Life(world, chance)
    with ExitStack() as stack:
        bench, fresh = (
            stack.enter_context(open_sync_bench(quick_settings(tmp_path / name, endpoint), endpoint, parser))
            for name in ("corpus", "fresh")
        )
        for one in (bench, fresh):
            one.store.add(SCOPE, definition())
            one.origin = world.open
        filing = Filing(SCOPE, definition(), bench.corpus.index_version)
        for turn in range(ROUNDS):
            for _ in range(EDITS):
                life.edit()
            there = {filing.document_id(world.key(name)) for name in life.texts}
            before = _documents(bench) & there
            bench.origin = partial(_disturbed, world, chance)
            _disturbed_sync(bench, disturbance(chance), monkeypatch, dies=turn % 3 == 0)
            assert before <= _documents(bench), "what is at the origin is never deleted"
            bench.origin = world.open
            if turn % 4 == 3:
                bench.sync()
                found = bench.reconcile()
                assert found.equal, found
                assert found.documents == len(life.texts)
        bench.sync()
        fresh.sync()
        bench.corpus.writer.sweep(staged_before=datetime.now(UTC))
        assert _held(bench) == _held(fresh)
        report = bench.sync()
        assert (report.created, report.updated, report.deleted, report.failed) == (0, 0, 0, 0)
