"""Whether a share has risen by more than it may, and beyond chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any

from service.releasing.signals import Share, Signal
from service.settings import ReleaseSettings

WORDS = {
    Signal.WEAK_RELEVANCE: ("queries with weak or no relevance", "queries"),
    Signal.ZERO_RESULTS: ("queries without a hit", "queries"),
    Signal.REFUSALS: ("refused answers", "answers"),
    Signal.UNSUPPORTED: ("unsupported sentences", "answers"),
    Signal.DEGRADED: ("degraded answers", "answers"),
    Signal.DOWN_RATINGS: ("bad ratings", "ratings"),
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A signal before and since. `rise` may be negative; `at_least` is the lower end of its interval."""

    signal: Signal
    before: Share
    since: Share
    bound: float
    enough: bool
    rise: float
    at_least: float

    @property
    def fallen(self) -> bool:
        """Whether it is worse than it may be, beyond chance."""
        return self.enough and self.bound < 1 and self.at_least > self.bound

    def figures(self) -> dict[str, Any]:
        """For whoever keeps it."""
        return {
            "before": {"bad": round(self.before.bad, 3), "of": self.before.of},
            "since": {"bad": round(self.since.bad, 3), "of": self.since.of},
            "rise": round(self.rise, 4),
            "at_least": round(self.at_least, 4),
            "bound": self.bound,
            "judged": self.enough,
        }

    def reason(self, confidence: float) -> str:
        """What happened, for people."""
        what, counted = WORDS[self.signal]
        return (
            f"{what} rose from {self.before.value:.1%} of {self.before.of} {counted} to {self.since.value:.1%} of "
            f"{self.since.of}: by at least {self.at_least:.1%} (with {confidence:.1%} confidence), "
            f"where {self.bound:.1%} is allowed"
        )


def compare_signals(
    before: Mapping[Signal, Share], since: Mapping[Signal, Share], settings: ReleaseSettings
) -> tuple[Comparison, ...]:
    """Each signal that both have, in the order in which they are declared."""
    return tuple(_compare(signal, before[signal], since[signal], settings) for signal in Signal if signal in before)


def rise_at_least(before: Share, since: Share, confidence: float) -> float:
    """Lower end of the interval of `since - before`, two shares that are independent of each other.

    Newcombe's hybrid score interval (Statistics in Medicine 17:873-890, 1998, method 10): with p the shares and
    l, u the ends of their Wilson intervals, `p1 - p0 - sqrt((p1 - l1)^2 + (u0 - p0)^2)`. It holds for small numbers
    and shares near 0, as these are. A mean of values in [0, 1] varies no more than a share of whole successes, so
    that it holds, if somewhat too wide, for shares of sentences with an answer as the unit.
    """
    p0, p1 = before.value, since.value
    low = _wilson(since, confidence)[0]
    high = _wilson(before, confidence)[1]
    return p1 - p0 - sqrt((p1 - low) ** 2 + (high - p0) ** 2)


def _compare(signal: Signal, before: Share, since: Share, settings: ReleaseSettings) -> Comparison:
    least = settings.min_ratings if signal is Signal.DOWN_RATINGS else settings.min_queries
    enough = before.of >= least and since.of >= least
    return Comparison(
        signal=signal,
        before=before,
        since=since,
        bound=float(getattr(settings, signal.value)),
        enough=enough,
        rise=since.value - before.value,
        at_least=rise_at_least(before, since, settings.confidence),
    )


def _wilson(share: Share, confidence: float) -> tuple[float, float]:
    """The score interval of Wilson (1927); all of [0, 1] where nothing was counted."""
    if not share.of:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    n, p = share.of, share.value
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, middle - reach), min(1.0, middle + reach)
