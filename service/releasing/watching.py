"""Watches the newest release: are the signals since it worse than those before it, by more than they may be?

How shares are compared is left to `comparing`, how one goes back to `returning`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from service.ledger.metrics import ROLLBACKS, Metrics
from service.ledger.releases import Release, ReleaseKind, Releases, ReleaseState
from service.releasing.comparing import Comparison, compare_signals
from service.releasing.returning import WayBack
from service.releasing.signals import Share, Signal, count_signals
from service.settings import ReleaseSettings

Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


def watch_from(engine: Engine, kind: ReleaseKind, settings: ReleaseSettings, now: datetime) -> dict[str, Any]:
    """What is kept with a release that is made now: the signals before it, and until when it is watched.

    What was asked before the last change of anything released counts only where too little was asked since.
    """
    wanted = now - timedelta(hours=settings.before_hours)
    changed = max((one.ended_at or one.promoted_at for one in Releases(engine).list(limit=20).items), default=wanted)
    since = max(wanted, changed)
    counted = count_signals(engine, kind, since, now)
    if counted[Signal.REFUSALS].of < settings.min_queries and since > wanted:
        since, counted = wanted, count_signals(engine, kind, wanted, now)
    return {
        "from": since.isoformat(),
        "until": (now + timedelta(hours=settings.watch_hours)).isoformat(),
        "before": {signal.value: {"bad": share.bad, "of": share.of} for signal, share in counted.items()},
    }


class Watcher:
    """Compares, and goes back. One look may come from any process; only one of them then goes back."""

    def __init__(
        self,
        engine: Engine,
        settings: ReleaseSettings,
        way_back: WayBack,
        metrics: Metrics,
        clock: Clock = _now,
    ) -> None:
        self._engine = engine
        self._releases = Releases(engine)
        self._settings = settings
        self.way_back = way_back
        self._metrics = metrics
        self._clock = clock

    def look(self) -> None:
        """Go back from the watched release if a signal is worse than it may be. Raises: as `WayBack.leave`."""
        self.way_back.settle()
        release = self.watched()
        if release is None or not self._settings.rollback:
            return
        compared = self.compare(release)
        fallen = [one for one in compared if one.fallen]
        if not fallen:
            return
        reason = "; ".join(one.reason(self._settings.confidence) for one in fallen)
        watch = {**release.watch, "since": {one.signal.value: one.figures() for one in compared}}
        if self.way_back.leave(release, reason, watch) is not None:
            self._metrics.count(ROLLBACKS, release.kind.value)

    def watched(self) -> Release | None:
        """The newest release, while it is live and its time is not over: of an earlier one nobody can tell which of
        them did it.
        """
        newest = next(iter(self._releases.list(limit=1).items), None)
        if newest is None or newest.state is not ReleaseState.ACTIVE or "until" not in newest.watch:
            return None
        return newest if self._clock() < datetime.fromisoformat(newest.watch["until"]) else None

    def compare(self, release: Release) -> tuple[Comparison, ...]:
        """The signals before the release and since."""
        told: Mapping[str, Any] = release.watch["before"]
        before = {Signal(name): Share(one["bad"], one["of"]) for name, one in told.items()}
        since = count_signals(self._engine, release.kind, release.promoted_at, self._clock())
        return compare_signals(before, since, self._settings)

    def figures(self) -> dict[str, dict[str, dict[str, Any]]]:
        """By its id, the signals of the release that is watched, if one is."""
        release = self.watched()
        if release is None:
            return {}
        return {release.id: {one.signal.value: one.figures() for one in self.compare(release)}}
