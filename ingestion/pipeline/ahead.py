"""Reading ahead: an iterator that is run by a thread of its own, so far ahead as its weight allows."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


def read_ahead(items: Iterator[T], weigh: Callable[[T], int], *, max_items: int, max_weight: int) -> Iterator[T]:
    """The same items. At most `max_items` wait, and of more than `max_weight` together only one alone.

    What `items` raises is raised here, after the items before it.
    """
    waiting = _Waiting[T](max_items, max_weight)

    def produce() -> None:
        try:
            for item in items:
                if not waiting.put(item, weigh(item)):
                    return
        finally:
            waiting.end()

    with ThreadPoolExecutor(1, thread_name_prefix="ingest-read") as pool:
        producer = pool.submit(produce)
        try:
            yield from waiting
            producer.result()
        finally:
            waiting.stop()


class _Waiting(Generic[T]):
    """Items between two threads, bounded in number and weight."""

    def __init__(self, max_items: int, max_weight: int) -> None:
        self._max_items = max_items
        self._max_weight = max_weight
        self._items: deque[tuple[T, int]] = deque()
        self._weight = 0
        self._ended = False
        self._stopped = False
        self._changed = threading.Condition()

    def put(self, item: T, weight: int) -> bool:
        """Waits until there is room. False if nobody reads any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._has_room(weight))
            if self._stopped:
                return False
            self._items.append((item, weight))
            self._weight += weight
            self._changed.notify_all()
            return True

    def end(self) -> None:
        """No more items come."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Nobody reads any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._ended)
                if not self._items:
                    return
                item, weight = self._items.popleft()
                self._weight -= weight
                self._changed.notify_all()
            yield item

    def _has_room(self, weight: int) -> bool:
        if not self._items:
            return True
        return len(self._items) < self._max_items and self._weight + weight <= self._max_weight
