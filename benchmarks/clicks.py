"""What clicks say once position is taken out of them: `python -m benchmarks.clicks [--seeds N] [--sessions N]`.

Simulated people of known habits search an engine of known skill; both click models are fitted to what they open. It
prints how often two results of a query come in the right order, by raw click rates and by each model; how far off the
chance of a look is, at the worst rank, or the chance of going on; and which model held-out searches speak for.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from benchmarks.crowd import RESULTS, Crowd, attractions, raw_rates
from service.quality.clickmodels import Cascade, PositionBased, choose, log_of

LOOKS = [1 / rank for rank in range(1, RESULTS + 1)]
AFTER_CLICK, AFTER_SKIP = 0.4, 0.8
SKILLS = (0.0, 0.3, 0.6, 0.9)
HABITS = ("position", "cascade")


def row(habit: str, skill: float, *, scored: bool, seeds: int, sessions: int) -> list[str]:
    """The means over the seeds."""
    measured: list[Sequence[float]] = []
    for seed in range(seeds):
        crowd = Crowd(seed, skill=skill, scored=scored)
        seen = (
            crowd.position_based(sessions, LOOKS)
            if habit == "position"
            else crowd.cascading(sessions, AFTER_CLICK, AFTER_SKIP)
        )
        choice = choose(seen)
        position, cascade = choice.trials
        log = log_of(seen)
        if habit == "position":
            off = float(np.abs(PositionBased.fit(log).examination - LOOKS).max())
        else:
            fitted = Cascade.fit(log)
            off = max(abs(fitted.after_click - AFTER_CLICK), abs(fitted.after_skip - AFTER_SKIP))
        measured.append(
            (
                crowd.agreement(raw_rates(seen)),
                crowd.agreement(attractions(seen, PositionBased)),
                crowd.agreement(attractions(seen, Cascade)),
                off,
                position.perplexity,
                cascade.perplexity,
                choice.model.name == habit,
            )
        )
    means = np.mean(measured, axis=0)
    cells = [f"{value:.3f}" for value in means[:-1]]
    return [habit, f"{skill:g}", "yes" if scored else "no", *cells, f"{means[-1]:.0%}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--sessions", type=int, default=3_000)
    parser.add_argument("--habit", choices=HABITS, action="append", help="only these people")
    parser.add_argument("--skill", type=float, action="append", help="only engines with this skill")
    options = parser.parse_args()
    print("| habit | skill | scores | raw rate | position | cascade | off by | perplexity p. | c. | right model |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for habit in options.habit or HABITS:
        for skill in options.skill or SKILLS:
            for scored in (False, True):
                cells = row(habit, skill, scored=scored, seeds=options.seeds, sessions=options.sessions)
                print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
