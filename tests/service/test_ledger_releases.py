"""The rows of releases: one live of each kind, ended once, and what was before comes back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from ingestion.corpus.database import open_database
from ingestion.errors import Conflict, InvalidRequest
from service.ledger.database import migrate_ledger
from service.ledger.releases import NewRelease, Release, ReleaseKind, Releases, ReleaseState
from service.settings import ServiceSettings

KINDS = pytest.mark.parametrize(
    "engine", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)


@pytest.fixture
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    address = request.getfixturevalue("postgres_url") if getattr(request, "param", "") == "postgres" else None
    opened = open_database(
        ServiceSettings(data_dir=tmp_path, database_url=None if address is None else SecretStr(address))
    )
    migrate_ledger(opened)
    yield opened
    opened.dispose()


def promote(releases: Releases, value: str, kind: ReleaseKind = ReleaseKind.PROMPT, **watch: object) -> Release:
    active = releases.active().get(kind)
    previous = None if active is None else active.value
    return releases.promote(NewRelease(kind, value, previous, active, "tests", watch))


@KINDS
def test_one_of_each_kind_is_live(engine: Engine) -> None:
    releases = Releases(engine)
    assert releases.active() == {}

    promote(releases, "answer@1")
    promote(releases, "small", ReleaseKind.MODEL)
    last = promote(releases, "answer@2", until="then")

    assert {kind: one.value for kind, one in releases.active().items()} == {"prompt": "answer@2", "model": "small"}
    assert releases.active()[ReleaseKind.PROMPT] == last
    assert last.previous == "answer@1"
    assert last.watch == {"until": "then"}
    ended = releases.latest(ReleaseKind.PROMPT, ReleaseState.SUPERSEDED)
    assert ended is not None
    assert ended.value == "answer@1"
    assert ended.ended_at is not None
    assert ended.reason == "answer@2 took its place"


@KINDS
def test_what_was_before_comes_back_and_only_once(engine: Engine) -> None:
    releases = Releases(engine)
    promote(releases, "answer@1")
    second = promote(releases, "answer@2", until="then")

    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(lambda n: releases.end(second, f"process {n}", {"since": n}), range(4)))

    assert sorted(ended) == [False, False, False, True]
    back = releases.active()[ReleaseKind.PROMPT]
    assert (back.value, back.previous, back.watch) == ("answer@1", None, {})
    left = releases.latest(ReleaseKind.PROMPT, ReleaseState.ROLLED_BACK)
    assert left is not None
    assert left.id == second.id
    assert left.reason == f"process {left.watch['since']}"

    assert releases.end(back, "by hand")
    assert releases.active() == {}


@KINDS
def test_two_that_decide_at_once_do_not_both_release(engine: Engine) -> None:
    releases = Releases(engine)

    def try_to(value: str) -> bool:
        try:
            releases.promote(NewRelease(ReleaseKind.MODEL, value, None, None, "tests"))
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(try_to, ["a", "b", "c", "d"])) == [False, False, False, True]


def test_all_are_listed_page_by_page(engine: Engine) -> None:
    releases = Releases(engine)
    made = [promote(releases, f"answer@{n}").id for n in (1, 2, 3)]

    first = releases.list(limit=2)
    second = releases.list(limit=2, cursor=first.next_cursor)

    assert [one.id for one in (*first.items, *second.items)] == made[::-1]
    assert second.next_cursor is None
    with pytest.raises(InvalidRequest, match="not a cursor"):
        releases.list(cursor="nonsense")


def test_facts_are_kept_beside_those_that_are_there(engine: Engine) -> None:
    releases = Releases(engine)
    made = promote(releases, "answer@1", until="then")

    releases.note(made, returned=True)

    assert releases.active()[ReleaseKind.PROMPT].watch == {"until": "then", "returned": True}
    assert releases.supersede(made, "switched elsewhere")
    assert not releases.supersede(made, "again")
    assert releases.active() == {}
