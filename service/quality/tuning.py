"""Fits how much each leg counts to one collection, from questions with known answers; adopts it only if it is better.

Each kind of query (`service.retrieval.traits`) has weights of its own. Both ends of the grid are one leg alone: where
fusion loses to its better half, that half is what is adopted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus.records import ChunkId
from service.quality.bootstrap import estimate
from service.quality.splits import fold_of
from service.retrieval.fusion import Weights, fuse
from service.retrieval.profiles import DEFAULTS, Profile
from service.retrieval.traits import QueryClass

LEAST_QUERIES = 25
"""Queries of a kind below which nothing is fitted to them."""
_DENSE = (0.0, 0.15, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0)
_TITLE = (0.0, 0.5, 1.0, 2.0, 4.0)
_FOLDS = 5
_PAGE = 10


@dataclass(frozen=True, slots=True)
class Seen:
    """What both legs say to one query. `titles`: see `fuse`. `judged`: the grade of each relevant document.

    `document` names the document of each chunk that a leg returned, of up to `head` in each.
    """

    id: str
    kind: QueryClass
    dense: Mapping[ChunkId, float]
    sparse: Mapping[ChunkId, float]
    titles: Mapping[ChunkId, float]
    document: Mapping[ChunkId, str]
    judged: Mapping[str, int]
    head: int


@dataclass(frozen=True, slots=True)
class Fit:
    """What was found for one kind of query. Measures are means of nDCG@10 over `queries`.

    `fitted` is cross-validated: each query is ranked by weights that were fitted without it. `low` and `high` bound its
    gain over the defaults with 95 % confidence. `dense`, `sparse`: each leg alone.
    """

    kind: QueryClass
    queries: int
    dense: float
    sparse: float
    default: float
    fitted: float
    low: float
    high: float
    weights: Weights
    adopted: bool


def fit(seen: Sequence[Seen], *, seed: int = 0) -> tuple[Fit, ...]:
    """One fit per kind of query of which there are LEAST_QUERIES; the same queries and seed give the same."""
    fits = []
    for kind in QueryClass:
        of_kind = [one for one in seen if one.kind is kind and one.judged]
        if len(of_kind) >= LEAST_QUERIES:
            fits.append(_fit(kind, of_kind, seed))
    return tuple(fits)


def profile_of(fits: Sequence[Fit], collection: str) -> Profile | None:
    """The defaults with what was adopted; None if nothing was."""
    adopted = {one.kind: one.weights for one in fits if one.adopted}
    return Profile({**DEFAULTS, **adopted}, collection) if adopted else None


def gain(seen: Seen, weights: Weights) -> float:
    """nDCG@10 of the documents of one query, ranked by these weights."""
    ranking = fuse(seen.dense, seen.sparse, weights, head=seen.head, titles=seen.titles).ranking
    return ndcg(seen, [id_ for id_, _ in ranking])


def ndcg(seen: Seen, ranked: Sequence[ChunkId]) -> float:
    """nDCG@10 of the documents of these chunks, best first (Järvelin and Kekäläinen 2002)."""
    documents = list(dict.fromkeys(seen.document[id_] for id_ in ranked if id_ in seen.document))[:_PAGE]
    found = sum(seen.judged.get(document, 0) / math.log2(rank + 2) for rank, document in enumerate(documents))
    best = sorted(seen.judged.values(), reverse=True)[:_PAGE]
    return found / sum(grade / math.log2(rank + 2) for rank, grade in enumerate(best))


def _fit(kind: QueryClass, seen: Sequence[Seen], seed: int) -> Fit:
    default = DEFAULTS[kind]
    grid = [default, *(Weights(dense, title) for dense in _DENSE for title in _TITLE if 0 < dense < 1 or not title)]
    # (queries, weights)
    gains = np.array([[gain(one, weights) for weights in grid] for one in seen])
    folds = np.array([fold_of(one.id, _FOLDS) for one in seen])
    fitted = gains[:, 0].copy()
    for fold in range(_FOLDS):
        held = folds == fold
        if held.any() and not held.all():
            fitted[held] = gains[held, _best(gains[~held])]
    better = estimate(fitted - gains[:, 0], seed)
    means = gains.mean(axis=0)
    return Fit(
        kind,
        len(seen),
        dense=float(means[grid.index(Weights(1.0, 0.0))]),
        sparse=float(means[grid.index(Weights(0.0, 0.0))]),
        default=float(means[0]),
        fitted=float(fitted.mean()),
        low=better.low,
        high=better.high,
        weights=grid[_best(gains)],
        adopted=better.low > 0,
    )


def _best(gains: NDArray[np.float64]) -> int:
    """The weights with the highest mean; of equal ones the first, which are the defaults."""
    means = gains.mean(axis=0)
    return int(np.flatnonzero(means >= means.max() - 1e-9)[0])
