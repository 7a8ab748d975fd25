"""Uploads go before bulk work: two lanes of one worker, who may go on, and who waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE_S = 30.0
"""Longest wait of a batch of bulk work: nobody waits for ever."""
_LOOK_S = 0.2

Clock = Callable[[], float]


class Lanes:
    """Safe from several threads. `clock` counts seconds and never goes back."""

    def __init__(self, clock: Clock, patience_s: float = PATIENCE_S) -> None:
        self._clock = clock
        self._patience_s = patience_s
        self._uploads = 0
        self._changed = threading.Condition()

    @contextmanager
    def upload(self) -> Iterator[None]:
        """An upload is under way until the context ends."""
        with self._changed:
            self._uploads += 1
        try:
            yield
        finally:
            with self._changed:
                self._uploads -= 1
                self._changed.notify_all()

    def wait_turn(self, should_stop: Callable[[], bool]) -> None:
        """Wait until no upload is under way, the patience is used up, or the work is to stop."""
        began = self._clock()
        while not should_stop():
            left = self._patience_s - (self._clock() - began)
            with self._changed:
                if not self._uploads or left <= 0:
                    return
                self._changed.wait(min(left, _LOOK_S))
