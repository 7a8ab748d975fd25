"""When an endpoint is left alone for a while, so that one that is down does not cost every search its whole budget."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

FAILURES = 3
PAUSE_S = 15.0
MAX_PAUSE_S = 120.0


class Rest:
    """Begins after FAILURES in a row, or at once when the endpoint asks for it. Safe from several threads.

    After it one failure is enough for the next: the endpoint is tried again, not trusted again.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._until = 0.0

    def is_on(self) -> bool:
        return self._clock() < self._until

    def count_failure(self, asked_s: float | None = None) -> None:
        """One more failure; `asked_s` is the wait that the endpoint asked for."""
        with self._lock:
            self._failures += 1
            pause_s = PAUSE_S if self._failures >= FAILURES else 0.0
            self._until = self._clock() + max(pause_s, min(asked_s or 0.0, MAX_PAUSE_S))

    def end(self) -> None:
        """It worked: failures are forgotten."""
        with self._lock:
            self._failures = 0
