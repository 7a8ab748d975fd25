"""When a stamp is trusted: two changes within one tick of its clock are never taken for one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingestion.sources.origin import Fetched, KnownItem, Unchanged
from ingestion.sources.sql.stamps import Look, moment_of, revision_of, time_of
from tests.contracts.origins import Memory
from tests.ingestion.sources.databases import OriginDatabase

NOW = datetime(2030, 1, 10, 12, 0, 30, tzinfo=UTC)
NEWEST = NOW - timedelta(seconds=5)


def look(now: datetime = NOW, *, took_s: float = 0, newest: datetime | None = NEWEST) -> Look:
    return Look(now, now + timedelta(seconds=took_s), newest)


@pytest.mark.parametrize(
    "stamp",
    [
        "2030-01-09T08:00:01",  # past in whichever zone it was written
        "2030-01-10T11:50:01+00:00",
        "2030-01-07",
        "2030-01-08T00:00:00",
        "41",  # a counter has no ticks
        str(int(NOW.timestamp()) - 400),
        str(int(NOW.timestamp() * 1000) - 400_000),
    ],
)
def test_what_is_long_past_is_trusted_at_once(stamp: str) -> None:
    assert revision_of(stamp, None, look()) == (stamp, {})


@pytest.mark.parametrize(
    ("stamp", "tick_s"),
    [
        ("2030-01-10T08:00:01", 1),  # may be now, in local time
        ("2030-01-10T12:00:25+00:00", 1),
        ("2030-01-10T11:59:00+00:00", 60),  # whoever writes whole minutes
        ("2030-01-10", 86400),
        ("2029-12-31T12:00:29+00:00", 1),  # past by our clock, but the newest stamp of all: see below
        ("9999-12-31", 86400),
        (str(int(NOW.timestamp())), 1),
        ("20300110", 86400),
        ("2462512.25", 86400),
        ("10.01.2030 12:00", 86400),
        ("deadbeef", 86400),
    ],
)
def test_what_may_be_now_is_trusted_when_it_was_read_again_later(stamp: str, tick_s: int) -> None:
    newest = time_of(stamp) if stamp.startswith("2029") else NEWEST
    revision, state = revision_of(stamp, None, look(newest=newest))
    assert revision is None
    first = KnownItem("k", None, state)
    too_soon = NOW + timedelta(seconds=tick_s + 9)
    revision, state = revision_of(stamp, first, look(too_soon, newest=newest))
    assert revision is None
    again = KnownItem("k", None, state)
    in_time = NOW + timedelta(seconds=tick_s + 10)
    assert revision_of(stamp, again, look(in_time, newest=newest)) == (stamp, {})


def test_the_wait_is_from_the_answer_of_the_first_read_to_the_question_of_the_second() -> None:
    stamp = "2030-01-10T12:00:25+00:00"
    _, state = revision_of(stamp, None, look(took_s=60))
    before = KnownItem("k", None, state)
    assert revision_of(stamp, before, look(NOW + timedelta(seconds=60)))[0] is None
    assert revision_of(stamp, before, look(NOW + timedelta(seconds=71)))[0] == stamp


def test_another_stamp_starts_the_wait_anew() -> None:
    _, state = revision_of("2030-01-10T12:00:25+00:00", None, look())
    before = KnownItem("k", None, state)
    revision, state = revision_of("2030-01-10T12:00:26+00:00", before, look(NOW + timedelta(seconds=20)))
    assert revision is None
    assert state["seen_at"] == (NOW + timedelta(seconds=20)).isoformat()


def test_a_state_of_another_make_is_no_state() -> None:
    for state in ({"stamp": "41.5"}, {"stamp": "41.5", "seen_at": 7}, {"stamp": "41.5", "seen_at": "then"}):
        assert revision_of("41.5", KnownItem("k", None, state), look())[0] is None


def test_a_stamp_is_a_time_only_if_it_looks_like_one() -> None:
    assert moment_of("2030-01-10 12:00:30") == NOW
    assert moment_of("2030-01-10 13:00:30+01") == NOW
    for stamp in ("20300110", "41", "", "2030-13-01", "infinity", "0044-03-15 BC", "9999-12-31T23:59:59-23:00"):
        assert moment_of(stamp) is None


def test_a_second_change_within_one_second_is_seen(shop: OriginDatabase) -> None:
    """Both by the database's own clock, which in MariaDB and SQLite counts seconds."""
    shop.clock.now = datetime.now(UTC)
    shop.notes()
    stamp = "CURRENT_TIMESTAMP"
    shop.run(f"INSERT INTO notes VALUES (1, 'first', {stamp}), (2, 'other', {stamp})")
    memory = Memory()
    shop.scan(memory, updated_at="changed")
    with shop.engine.begin() as connection:
        # Exactly the stamp that the scan saw, whatever the clock says by now.
        connection.exec_driver_sql("UPDATE notes SET body = 'second' WHERE id = 1")
    assert shop.texts(memory, updated_at="changed")["1"] == "second"


def test_a_bulk_load_of_equal_stamps_is_read_twice_and_no_more(shop: OriginDatabase) -> None:
    shop.notes()
    rows: list[dict[str, Any]] = [
        {"id": n, "body": f"note {n}", "changed": "2030-01-10 12:00:30"} for n in range(1, 301)
    ]
    shop.put(rows)
    shop.clock.now = NOW + timedelta(seconds=1)
    memory = Memory()
    counts = []
    for _ in range(4):
        seen = shop.scan(memory, updated_at="changed")
        counts.append((sum(isinstance(s, Fetched) for s in seen), sum(isinstance(s, Unchanged) for s in seen)))
        shop.clock.wait(60)
    assert counts == [(300, 0), (300, 0), (0, 300), (0, 300)]
