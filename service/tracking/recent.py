"""Reports that take seconds to make, kept for some minutes, and made once however many ask at the same time.

What a report says is left to who makes it; whatever it depends on belongs into its key.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")

_KEPT = 32


@dataclass(slots=True)
class _Entry:
    """`made_at` is a reading of the clock; None while the first one makes the value."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    made_at: float | None = None
    value: Any = None


class Recent:
    """The last reports, by key. Safe from several threads. `clock` gives seconds."""

    def __init__(self, seconds: float = 300.0, clock: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._entries: dict[Hashable, _Entry] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of the key if it is recent, else a new one. Raises what `make` raises; nothing is kept then."""
        with self._lock:
            entry = self._entries.pop(key, None) or _Entry()
            self._entries[key] = entry  # the last in the order: the one that was asked for last
            while len(self._entries) > _KEPT:
                del self._entries[next(iter(self._entries))]
        with entry.lock:
            if entry.made_at is None or self._clock() - entry.made_at > self._seconds:
                entry.value = make()
                entry.made_at = self._clock()
            value: T = entry.value
            return value
