"""Where a crawl still has to go: addresses only, each once, in the order in which they were found."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from ingestion.sources.web.media import worth_fetching
from ingestion.sources.web.urls import looks_endless

_MAX_DEPTH = 40


@dataclass(frozen=True, slots=True)
class Lead:
    """An address to fetch. `hops`: redirects that led here. `own`: it stays an item, whatever it calls canonical."""

    url: str
    depth: int = 0
    hops: int = 0
    own: bool = False


class Frontier:
    """A queue of leads. No more than `limit` addresses enter it in one scan; `full` says that more were offered."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._queue: deque[Lead] = deque()
        self._seen: set[str] = set()
        self._done: set[str] = set()
        self.full = False
        self.too_deep = False

    def offer(self, lead: Lead) -> bool:
        """Whether the address was new and is now waiting."""
        if lead.url in self._seen or looks_endless(lead.url) or not worth_fetching(lead.url):
            return False
        if lead.depth > _MAX_DEPTH:
            self.too_deep = True
            return False
        if len(self._seen) >= self._limit:
            self.full = True
            return False
        self._seen.add(lead.url)
        self._queue.append(lead)
        return True

    def again(self, lead: Lead) -> None:
        """Fetch it once more, although it was seen."""
        self._queue.append(lead)

    def take(self, count: int) -> list[Lead]:
        """The next leads, at most so many."""
        return [self._queue.popleft() for _ in range(min(count, len(self._queue)))]

    def done(self, url: str) -> None:
        self._done.add(url)

    def met(self, url: str) -> bool:
        return url in self._seen

    def waits(self, url: str) -> bool:
        """Whether it was seen and its outcome is not known yet."""
        return url in self._seen and url not in self._done
