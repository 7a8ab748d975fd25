"""How far a job has come: its pace, written to its row about once a second, and whether it is to stop."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ingestion.corpus.scope import Scope
from ingestion.job_store import JobId, JobItem, JobState, JobStore, Progress
from ingestion.jobs.lanes import Clock

_WRITE_S = 1.0
_LOOK_S = 0.2
_RECENT_S = 30.0
_SHORTEST_S = 1.0
_MOST_ITEMS = 200


class Pace:
    """Items per second of the recent past: half a minute, or since the beginning where that is less."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, at_s: float, done: int) -> None:
        """So many were done at that time."""
        self._samples.append((at_s, done))
        while len(self._samples) > 2 and self._samples[1][0] <= at_s - _RECENT_S:
            self._samples.popleft()

    def per_s(self) -> float | None:
        """None while nothing was done, or too little time has passed to tell."""
        if len(self._samples) < 2:
            return None
        (first_s, first), (last_s, last) = self._samples[0], self._samples[-1]
        if last_s - first_s < _SHORTEST_S or last <= first:
            return None
        return (last - first) / (last_s - first_s)


@dataclass(frozen=True, slots=True)
class Task:
    """A job as its worker knows it."""

    scope: Scope
    job: JobId
    source: str | None
    submitted_at: datetime
    meter: Meter
    stop: Stop


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job ended; without a state, its items tell."""

    state: JobState | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What a job did so far, since it was last started. `total` is what was met so far, unless it `is_known`.

    `counts` are those of a sync or rebuild; of an upload, its items tell how much there is.
    """

    stage: str
    done: int
    total: int = 0
    is_known: bool = True
    counts: Mapping[str, int] | None = None


class Meter:
    """Writes a job's progress, at most once a second. Safe from several threads.

    `seconds` is the time per stage that was spent before the job was last started.
    """

    def __init__(self, store: JobStore, job: JobId, clock: Clock, seconds: Mapping[str, float]) -> None:
        self._store = store
        self._job = job
        self._clock = clock
        self._before = dict(seconds)
        self._pace = Pace()
        self._items: list[JobItem] = []
        self._written_s: float | None = None
        self._lock = threading.Lock()

    def record(self, item: JobItem) -> None:
        """Keep an item of a sync, to be written with the progress."""
        with self._lock:
            self._items.append(item)
            if len(self._items) >= _MOST_ITEMS:
                self._write_items()

    def update(self, standing: Standing, seconds: Mapping[str, float], *, at_once: bool = False) -> None:
        """`seconds` is the time per stage since the job was last started."""
        with self._lock:
            now_s = self._clock()
            if self._written_s is not None and now_s - self._written_s < _WRITE_S and not at_once:
                return
            self._written_s = now_s
            self._pace.add(now_s, standing.done)
            self._write_items()
            self._store.progress(
                self._job,
                Progress(
                    stage=standing.stage,
                    stage_seconds=Counter(self._before) + Counter(dict(seconds)),
                    pace=self._pace.per_s() if standing.is_known else None,
                    done=standing.done,
                    total=standing.total,
                    counts=standing.counts,
                ),
            )

    def _write_items(self) -> None:
        if self._items:
            self._store.record(self._job, self._items)
            self._items = []


class Stop:
    """Whether a job is to stop: its worker closes, or it was cancelled, which is looked up now and then."""

    def __init__(self, stopping: threading.Event, is_cancelled: Callable[[], bool], clock: Clock) -> None:
        self._stopping = stopping
        self._is_cancelled = is_cancelled
        self._clock = clock
        self._looked_s: float | None = None
        self._cancelled = False

    def __call__(self) -> bool:
        if self._stopping.is_set() or self._cancelled:
            return True
        now_s = self._clock()
        if self._looked_s is None or now_s - self._looked_s >= _LOOK_S:
            self._looked_s = now_s
            self._cancelled = self._is_cancelled()
        return self._cancelled

    def wait(self, seconds: float) -> bool:
        """Whether the time has passed without that it is to stop."""
        until_s = self._clock() + seconds
        while not self():
            if (left := until_s - self._clock()) <= 0:
                return True
            self._stopping.wait(min(left, _LOOK_S))
        return False
