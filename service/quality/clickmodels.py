"""Click models: how likely people look at each rank, and how much each result attracts them once they do.

Clicks alone say neither: what stands first is clicked more, whatever it is. Two models take that apart, both fitted by
expectation maximisation (Dempster, Laird and Rubin 1977) as in Chuklin, Markov and de Rijke, *Click Models for Web
Search* (2015): the position-based model (Richardson, Dominowska and Ragno 2007; Craswell et al. 2008) and a cascade
(Craswell et al. 2008) in which people may stop after any result, as in the dynamic Bayesian network model (Chapelle
and Zhang 2009). Where the log of clicks comes from is left to `clicks`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.quality.splits import fold_of

RANKS = 20
"""Results of a session that are looked at."""
_SHRINKAGE = 2.0
"""Views that the mean of all results weighs beside those of one result."""
_EXAMINATION_VIEWS = 20.0
"""Views that the curve assumed beforehand weighs beside those of one rank."""
_BINS = 5
"""Of the results' scores: what a result is shrunk to is the mean of those with a score like its own."""
_ROUNDS = 200
_SETTLED = 1e-4
_FOLDS = 5
_EDGE = 1e-6

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Session:
    """One list that someone saw: `results` best first, which of them were `clicked`, and their `scores` in [0, 1].

    `query` tells equal questions; without scores no result is known to be better than another beforehand.
    """

    id: str
    query: str
    results: tuple[str, ...]
    clicked: frozenset[str]
    scores: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class ClickLog:
    """Sessions as arrays `(sessions, ranks)`. `pair`: number of the (query, result), -1 behind the end of a list."""

    pairs: Mapping[tuple[str, str], int]
    pair: NDArray[np.int64]
    clicked: NDArray[np.bool_]
    bin: NDArray[np.int64]

    @property
    def seen(self) -> NDArray[np.bool_]:
        return self.pair >= 0


def log_of(sessions: Sequence[Session], pairs: Mapping[tuple[str, str], int] | None = None) -> ClickLog:
    """The first RANKS results of each session. With `pairs` of another log, results that it has not are numbered on."""
    numbers = dict(pairs or {})
    shape = (len(sessions), min(RANKS, max((len(one.results) for one in sessions), default=1)))
    pair, bins = np.full(shape, -1, np.int64), np.zeros(shape, np.int64)
    clicked = np.zeros(shape, np.bool_)
    for row, one in enumerate(sessions):
        for rank, result in enumerate(one.results[:RANKS]):
            pair[row, rank] = numbers.setdefault((one.query, result), len(numbers))
            clicked[row, rank] = result in one.clicked
            if one.scores:
                bins[row, rank] = min(_BINS - 1, int(one.scores[rank] * _BINS))
    return ClickLog(numbers, pair, clicked, bins)


@dataclass(frozen=True, slots=True)
class Attraction:
    """How likely each result is clicked by whoever looks at it, and `means`, to which results rarely seen are drawn."""

    values: Floats
    means: Floats

    @classmethod
    def begin(cls, log: ClickLog) -> Attraction:
        rate = _clip(np.array([log.clicked.sum() / max(1, log.seen.sum())]))
        return cls(np.full(len(log.pairs), rate[0]), np.repeat(rate, _BINS))

    def of(self, log: ClickLog) -> Floats:
        """`(sessions, ranks)`. A result that the model was not fitted on has the mean of those with its score."""
        known = (log.pair >= 0) & (log.pair < len(self.values))
        values = self.values[np.where(known, log.pair, 0)] if len(self.values) else np.zeros(log.pair.shape)
        return _clip(np.where(known, values, self.means[log.bin]))

    def again(self, log: ClickLog, wins: Floats, views: Floats) -> Attraction:
        """From `wins` of `views` at each place, both expected."""
        seen = log.seen
        pair, bins = log.pair[seen], log.bin[seen]
        by_bin = [np.bincount(bins, one[seen], _BINS) for one in (wins, views)]
        overall = by_bin[0].sum() / max(_EDGE, by_bin[1].sum())
        means = (by_bin[0] + _SHRINKAGE * overall) / (by_bin[1] + _SHRINKAGE)
        size = len(self.values)
        prior = np.bincount(pair, means[bins], size) / np.maximum(1, np.bincount(pair, minlength=size))
        won, viewed = np.bincount(pair, wins[seen], size), np.bincount(pair, views[seen], size)
        return Attraction(_clip((won + _SHRINKAGE * prior) / (viewed + _SHRINKAGE)), _clip(means))


@dataclass(frozen=True, slots=True)
class PositionBased:
    """A click is a look and an attraction, independent of each other: `P(C=1) = a(query, result) * g(rank)`.

    Only products are seen, so that `g` of the first rank is set to 1.
    """

    examination: Floats
    attraction: Attraction
    name: str = "position"

    @classmethod
    def fit(cls, log: ClickLog) -> PositionBased:
        """The most likely one, given what is assumed beforehand of results and ranks that were seen rarely."""
        ranks = log.pair.shape[1]
        assumed = 1 / np.arange(1, ranks + 1)  # Joachims, Swaminathan and Schnabel (2017)
        looks, attraction, seen = assumed, Attraction.begin(log), log.seen
        for _ in range(_ROUNDS):
            a, g = attraction.of(log), looks[np.newaxis, :]
            missed = 1 - a * g
            wins = np.where(log.clicked, 1.0, a * (1 - g) / missed) * seen
            looked = np.where(log.clicked, 1.0, g * (1 - a) / missed) * seen
            before = looks
            looks = (looked.sum(0) + _EXAMINATION_VIEWS * assumed) / (seen.sum(0) + _EXAMINATION_VIEWS)
            looks = _clip(looks)
            looks[0] = 1 - _EDGE
            attraction = attraction.again(log, wins, seen.astype(np.float64))
            if np.abs(looks - before).max() < _SETTLED:
                break
        return cls(looks, attraction)

    def chances(self, log: ClickLog) -> Floats:
        ranks = log.pair.shape[1]
        looks = np.concatenate([self.examination, np.full(max(0, ranks - len(self.examination)), _EDGE)])
        return _clip(self.attraction.of(log) * looks[np.newaxis, :ranks])

    def likelihoods(self, log: ClickLog) -> Floats:
        return _log_likelihoods(log, self.chances(log))


@dataclass(frozen=True, slots=True)
class Cascade:
    """People look from the top down, and go on to the next result with `after_click` or `after_skip`, or stop."""

    after_click: float
    after_skip: float
    examination: Floats
    attraction: Attraction
    name: str = "cascade"

    @classmethod
    def fit(cls, log: ClickLog) -> Cascade:
        attraction, click, skip = Attraction.begin(log), 0.5, 0.9
        more = log.seen.copy()  # a place with another one after it
        more[:, :-1] &= log.seen[:, 1:]
        more[:, -1] = False
        for _ in range(_ROUNDS):
            looked = _looked(log, attraction.of(log), click, skip)
            attraction = attraction.again(log, log.clicked.astype(np.float64), looked)
            went_on = np.zeros_like(looked)
            went_on[:, :-1] = looked[:, 1:]
            before = click, skip
            click, skip = (
                float(np.clip((went_on[at].sum() + 1) / (looked[at].sum() + 2), _EDGE, 1 - _EDGE))
                for at in (more & log.clicked, more & ~log.clicked)
            )
            if max(abs(click - before[0]), abs(skip - before[1])) < _SETTLED:
                break
        ahead = _ahead(log, attraction.of(log), click, skip)
        examination = (ahead * log.seen).sum(0) / np.maximum(1, log.seen.sum(0))
        return cls(click, skip, examination, attraction)

    def chances(self, log: ClickLog) -> Floats:
        a = self.attraction.of(log)
        return _clip(a * _ahead(log, a, self.after_click, self.after_skip))

    def likelihoods(self, log: ClickLog) -> Floats:
        ways = _ways(log, self.attraction.of(log), self.after_click, self.after_skip)
        return np.asarray(np.log(np.maximum(ways.sum(1), 1e-300)))


ClickModel = PositionBased | Cascade
"""Of both: `examination` is how likely a result of each rank is looked at, `chances` how likely each result is clicked,
nothing known of the other clicks (`(sessions, ranks)`), `likelihoods` the natural logarithm of how likely just these
clicks were (`(sessions,)`)."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A model on sessions that it was not fitted on: mean log-likelihood of a session, and perplexity of a click.

    Perplexity is 1 for a model that knows each click beforehand, 2 for one that tosses a coin.
    """

    name: str
    log_likelihood: float
    perplexity: float


@dataclass(frozen=True, slots=True)
class Choice:
    """The model with the higher likelihood on held-out sessions, fitted on all of them; `trials` by name."""

    model: ClickModel
    log: ClickLog
    trials: tuple[Trial, ...]
    held_out: int

    def relevance(self, query: str, result: str) -> float:
        """How likely the result is opened by whoever looks at it for that query; 0 for one that was never seen."""
        place = self.log.pairs.get((query, result))
        return 0.0 if place is None else float(self.model.attraction.values[place])


def choose(sessions: Sequence[Session]) -> Choice:
    """The better of both models. The same sessions give the same. Raises: ValueError without sessions."""
    if not sessions:
        raise ValueError("no sessions to fit a click model to")
    kept = [one for one in sessions if fold_of(one.id, _FOLDS)]
    held = [one for one in sessions if not fold_of(one.id, _FOLDS)]
    log = log_of(sessions)
    trials: tuple[Trial, ...] = ()
    better: type[PositionBased] | type[Cascade] = PositionBased
    if kept and held:
        train = log_of(kept)
        test = log_of(held, train.pairs)
        position, cascade = (trial(kind.fit(train), test) for kind in (PositionBased, Cascade))
        trials = (position, cascade)
        better = Cascade if cascade.log_likelihood > position.log_likelihood else PositionBased
    return Choice(better.fit(log), log, trials, len(held))


def trial(model: ClickModel, log: ClickLog) -> Trial:
    """How well the model foretells these clicks."""
    chances = np.where(log.clicked, model.chances(log), 1 - model.chances(log))
    bits = np.where(log.seen, np.log2(_clip(chances)), 0.0).sum(0) / np.maximum(1, log.seen.sum(0))
    return Trial(model.name, float(model.likelihoods(log).mean()), float(np.exp2(-bits).mean()))


def _log_likelihoods(log: ClickLog, chances: Floats) -> Floats:
    terms = np.where(log.clicked, np.log(chances), np.log(1 - chances))
    return np.asarray(np.where(log.seen, terms, 0.0).sum(1))


def _ways(log: ClickLog, a: Floats, click: float, skip: float) -> Floats:
    """`(sessions, ranks)`: how likely these clicks are and the look at that rank was the last one."""
    seen, clicked = log.seen, log.clicked
    ranks = np.arange(a.shape[1])
    last_click = np.where(clicked.any(1), a.shape[1] - 1 - np.argmax(clicked[:, ::-1], axis=1), -1)
    end = seen.sum(1) - 1
    on = np.where(clicked, click, skip)
    told = np.cumprod(np.where(seen, np.where(clicked, a, 1 - a), 1.0), axis=1)
    went = np.concatenate([np.ones((len(a), 1)), np.cumprod(on, axis=1)[:, :-1]], axis=1)
    stop = np.where(ranks == end[:, np.newaxis], 1.0, 1 - on)
    possible = seen & (ranks >= last_click[:, np.newaxis])
    return np.asarray(np.where(possible, told * went * stop, 0.0))


def _looked(log: ClickLog, a: Floats, click: float, skip: float) -> Floats:
    """`(sessions, ranks)`: how likely each result was looked at, given the clicks."""
    ways = _ways(log, a, click, skip)
    beyond = np.cumsum(ways[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(beyond / np.maximum(ways.sum(1, keepdims=True), 1e-300) * log.seen)


def _ahead(log: ClickLog, a: Floats, click: float, skip: float) -> Floats:
    """`(sessions, ranks)`: how likely each result is looked at, nothing known of the clicks."""
    on = a * click + (1 - a) * skip
    return np.concatenate([np.ones((len(a), 1)), np.cumprod(on, axis=1)[:, :-1]], axis=1)


def _clip(values: Floats) -> Floats:
    return np.clip(values, _EDGE, 1 - _EDGE)


def dcg(gains: Sequence[float]) -> float:
    """Discounted cumulative gain, best first (Järvelin and Kekäläinen 2002)."""
    return sum(gain / math.log2(rank + 2) for rank, gain in enumerate(gains))
