"""People who search as a click model says: what `benchmarks.clicks` and tests fit models to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from service.quality.clickmodels import Cascade, PositionBased, Session, log_of

QUERIES, RESULTS = 30, 8

Order = NDArray[np.int64]


class Crowd:
    """People of known habits over queries whose results attract them with known chances (`truth`).

    The engine that they ask ranks by `skill` parts of the truth and else by an error of its own, always the same; and
    `mixing` moves results from search to search, as another index or other filters do: without any no model could tell
    a rank from what stands there. `scored`: sessions tell what the engine believes, as searches do.
    """

    def __init__(self, seed: int, *, skill: float = 0.3, mixing: float = 0.3, scored: bool = False) -> None:
        self.random = np.random.default_rng(seed)
        self.truth = self.random.beta(1.0, 3.0, (QUERIES, RESULTS))
        error = self.random.beta(1.0, 3.0, (QUERIES, RESULTS))
        self.believed = skill * self.truth + (1 - skill) * error
        self.mixing = mixing * self.believed.std()
        self.scored = scored

    def position_based(self, sessions: int, looks: Sequence[float]) -> list[Session]:
        """They look at each rank with the chance in `looks`."""

        def clicks(order: Order, query: int) -> list[int]:
            drawn = self.random.random((2, len(order)))
            pulled = drawn[1] < self.truth[query, order]
            return [int(one) for one in order[(drawn[0] < np.array(looks)) & pulled]]

        return [self._session(row, clicks) for row in range(sessions)]

    def cascading(self, sessions: int, after_click: float, after_skip: float) -> list[Session]:
        """They look from the top down, and go on with these chances."""

        def clicks(order: Order, query: int) -> list[int]:
            clicked = []
            for one in order:
                hit = self.random.random() < self.truth[query, one]
                if hit:
                    clicked.append(int(one))
                if self.random.random() >= (after_click if hit else after_skip):
                    break
            return clicked

        return [self._session(row, clicks) for row in range(sessions)]

    def agreement(self, found: Mapping[tuple[str, str], float]) -> float:
        """Share of the pairs of results of one query that stand in the right order; .5 is chance."""
        estimated = np.zeros_like(self.truth)
        for (query, result), value in found.items():
            estimated[int(query[1:]), int(result[1:])] = value
        one, other = np.triu_indices(RESULTS, 1)
        return float(np.mean((self.truth[:, one] > self.truth[:, other]) == (estimated[:, one] > estimated[:, other])))

    def _session(self, row: int, clicks: Callable[[Order, int], list[int]]) -> Session:
        query = int(self.random.integers(QUERIES))
        order = np.argsort(-(self.believed[query] + self.random.normal(0, self.mixing, RESULTS)))
        clicked = clicks(order, query)
        return Session(
            id=f"s{row}",
            query=f"q{query}",
            results=tuple(f"d{one}" for one in order),
            clicked=frozenset(f"d{one}" for one in clicked),
            scores=tuple(float(score) for score in self.believed[query, order]) if self.scored else (),
        )


def raw_rates(sessions: Sequence[Session]) -> dict[tuple[str, str], float]:
    """Clicks over views of each result, wherever it stood."""
    log = log_of(sessions)
    rates = np.bincount(log.pair[log.seen], log.clicked[log.seen]) / np.bincount(log.pair[log.seen])
    return {pair: float(rates[number]) for pair, number in log.pairs.items()}


def attractions(sessions: Sequence[Session], kind: type[PositionBased | Cascade]) -> dict[tuple[str, str], float]:
    """The same, corrected by a model."""
    log = log_of(sessions)
    values = kind.fit(log).attraction.values
    return {pair: float(values[number]) for pair, number in log.pairs.items()}
