"""Reading ahead: bounded, in order, and with the errors of what is read."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from ingestion.pipeline.ahead import read_ahead


class Counted:
    """Numbers from 0, and how many were taken; `reached` is set when that many were."""

    def __init__(self, count: int, notice: int) -> None:
        self.taken = 0
        self.reached = threading.Event()
        self._count = count
        self._notice = notice

    def __iter__(self) -> Iterator[int]:
        for number in range(self._count):
            self.taken += 1
            if self.taken == self._notice:
                self.reached.set()
            yield number


def test_everything_comes_in_order() -> None:
    assert list(read_ahead(iter(range(1000)), lambda _: 1, max_items=3, max_weight=100)) == list(range(1000))


def test_no_more_is_read_than_may_wait() -> None:
    numbers = Counted(100, notice=6)
    ahead = read_ahead(iter(numbers), lambda _: 0, max_items=4, max_weight=0)
    assert next(ahead) == 0
    assert numbers.reached.wait(10)  # one was given, four wait, one is held by the thread that has no room for it
    assert numbers.taken == 6
    ahead.close()  # type: ignore[attr-defined]


def test_heavy_items_wait_alone() -> None:
    numbers = Counted(100, notice=3)
    ahead = read_ahead(iter(numbers), lambda _: 50, max_items=64, max_weight=40)
    assert next(ahead) == 0
    assert numbers.reached.wait(10)  # one was given, one waits although too heavy, one is held
    assert numbers.taken == 3
    ahead.close()  # type: ignore[attr-defined]


def test_what_reading_raises_comes_after_what_was_read() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise LookupError("the origin is gone")

    ahead = read_ahead(failing(), lambda _: 0, max_items=8, max_weight=0)
    assert next(ahead) == 1
    with pytest.raises(LookupError, match="the origin is gone"):
        next(ahead)


def test_the_thread_ends_when_nobody_reads_on() -> None:
    ahead = read_ahead(iter(range(10**9)), lambda _: 1, max_items=2, max_weight=10)
    next(ahead)
    ahead.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ingest-read")]
