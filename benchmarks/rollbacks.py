"""How often the watch over releases goes back, from releases that are no worse and from some that are: simulated.

    python -m benchmarks.rollbacks [--releases 1000]

Answers before and since are drawn from the same shares, or since the release from a worse one; the watch looks after
every 25 answers, up to 1,000, with the bounds and the confidence of the default settings.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Mapping
from statistics import median

from service.releasing.comparing import compare_signals
from service.releasing.signals import Share, Signal
from service.settings import ReleaseSettings

BEFORE = 500
MOST = 1_000
LOOK_EVERY = 25
USUAL: Mapping[Signal, float] = {
    Signal.WEAK_RELEVANCE: 0.3,
    Signal.ZERO_RESULTS: 0.02,
    Signal.REFUSALS: 0.15,
    Signal.UNSUPPORTED: 0.08,
    Signal.DEGRADED: 0.05,
}
WORSE: Mapping[str, Mapping[Signal, float]] = {
    "no worse": {},
    "unsupported sentences 8 % to 18 %": {Signal.UNSUPPORTED: 0.18},
    "unsupported sentences 8 % to 40 %": {Signal.UNSUPPORTED: 0.4},
    "refused answers 15 % to 35 %": {Signal.REFUSALS: 0.35},
    "refused answers 15 % to 60 %": {Signal.REFUSALS: 0.6},
    "queries without a hit 2 % to 15 %": {Signal.ZERO_RESULTS: 0.15},
    "unsupported sentences 8 % to 12 %, within the bound": {Signal.UNSUPPORTED: 0.12},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--releases", type=int, default=1_000)
    releases = parser.parse_args().releases
    print(f"{releases} releases each; {BEFORE} answers before, up to {MOST} since, a look after every {LOOK_EVERY}")
    print("| since the release | went back | median answers until then |\n| --- | --- | --- |")
    for name, changed in WORSE.items():
        draw = random.Random(7)
        ended = [_until(draw, {**USUAL, **changed}) for _ in range(releases)]
        back = [one for one in ended if one is not None]
        print(f"| {name} | {len(back) / releases:.1%} | {median(back) if back else ''} |")


def _until(draw: random.Random, since: Mapping[Signal, float]) -> int | None:
    """After how many answers the watch goes back; None: it does not."""
    settings = ReleaseSettings()
    before = {signal: Share(_drawn(draw, signal, share, BEFORE), BEFORE) for signal, share in USUAL.items()}
    bad = dict.fromkeys(USUAL, 0.0)
    for n in range(LOOK_EVERY, MOST + 1, LOOK_EVERY):
        for signal in bad:
            bad[signal] += _drawn(draw, signal, since[signal], LOOK_EVERY)
        now = {signal: Share(count, n) for signal, count in bad.items()}
        if any(one.fallen for one in compare_signals(before, now, settings)):
            return n
    return None


def _drawn(draw: random.Random, signal: Signal, share: float, n: int) -> float:
    """How many of `n` are bad; of sentences the sum of each answer's share of three."""
    if signal is Signal.UNSUPPORTED:
        return sum(sum(draw.random() < share for _ in range(3)) / 3 for _ in range(n))
    return sum(draw.random() < share for _ in range(n))


if __name__ == "__main__":
    main()
