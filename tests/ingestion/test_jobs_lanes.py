"""Uploads go first, bulk work is not starved, and what is said of the time left is honest."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ingestion.jobs.lanes import Lanes
from ingestion.jobs.progress import Pace, Stop

WAIT_S = 30


class Hand:
    """A clock that is moved by hand, or by so much at every look."""

    def __init__(self, step_s: float = 0.0) -> None:
        self.now_s = 0.0
        self._step_s = step_s

    def __call__(self) -> float:
        self.now_s += self._step_s
        return self.now_s


def _go_on() -> bool:
    return False


def _waiting(lanes: Lanes, should_stop: Callable[[], bool]) -> tuple[threading.Thread, threading.Event]:
    looked = threading.Event()

    def look() -> bool:
        looked.set()
        return should_stop()

    waiter = threading.Thread(target=lanes.wait_turn, args=(look,), daemon=True)
    waiter.start()
    return waiter, looked


def test_bulk_work_goes_on_at_once_when_there_is_no_upload() -> None:
    lanes = Lanes(Hand(), patience_s=1e9)
    with lanes.upload():
        pass
    lanes.wait_turn(_go_on)


def test_bulk_work_waits_for_all_uploads() -> None:
    lanes = Lanes(Hand(), patience_s=1e9)
    with lanes.upload():
        with lanes.upload():
            waiter, looked = _waiting(lanes, _go_on)
            assert looked.wait(WAIT_S)
        looked.clear()
        assert looked.wait(WAIT_S)
        assert waiter.is_alive()
    waiter.join(WAIT_S)
    assert not waiter.is_alive()


def test_bulk_work_is_never_starved() -> None:
    clock = Hand(step_s=10.0)
    lanes = Lanes(clock, patience_s=30.0)
    with lanes.upload():
        lanes.wait_turn(_go_on)
    assert 30.0 <= clock.now_s <= 60.0


def test_who_is_to_stop_waits_no_longer() -> None:
    lanes, stopped = Lanes(Hand(), patience_s=1e9), threading.Event()
    with lanes.upload():
        waiter, looked = _waiting(lanes, stopped.is_set)
        assert looked.wait(WAIT_S)
        stopped.set()
        waiter.join(WAIT_S)
        assert not waiter.is_alive()


def test_the_pace_is_that_of_the_last_half_minute() -> None:
    pace = Pace()
    assert pace.per_s() is None
    pace.add(0.0, 0)
    assert pace.per_s() is None
    pace.add(0.5, 10)
    assert pace.per_s() is None
    pace.add(10.0, 100)
    assert pace.per_s() == 10.0
    for second in range(11, 100):
        pace.add(float(second), 100 + second - 10)
    rate = pace.per_s()
    assert rate is not None
    assert abs(rate - 1.0) < 0.01


def test_no_pace_where_nothing_moves() -> None:
    pace = Pace()
    for second in range(50):
        pace.add(float(second), 7)
    assert pace.per_s() is None


def test_a_cancellation_is_looked_up_now_and_then() -> None:
    clock, looks = Hand(), []

    def is_cancelled() -> bool:
        looks.append(clock.now_s)
        return len(looks) > 1

    stop = Stop(threading.Event(), is_cancelled, clock)
    assert [stop() for _ in range(100)] == [False] * 100
    assert len(looks) == 1
    clock.now_s = 0.3
    assert stop()
    assert stop()
    assert len(looks) == 2
    assert not stop.wait(1e9)


def test_a_closing_worker_stops_without_a_look() -> None:
    stopping = threading.Event()
    stopping.set()
    stop = Stop(stopping, _go_on, Hand())
    assert stop()


def test_a_pause_ends_by_itself() -> None:
    assert Stop(threading.Event(), _go_on, Hand(step_s=1.0)).wait(5.0)
