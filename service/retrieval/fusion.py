"""One ranking out of two: score-aware fusion of the dense and the sparse leg, and the guarantee for exact hits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ingestion.corpus.records import ChunkId

Ranking = list[tuple[ChunkId, float]]
"""Chunks with their fused score in [0, 1], best first; ties in the order of the ids."""

EXACT_BONUS = 0.12
"""What one exact match of a needle adds to the fused score, shared among the chunks that hold the needle."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What counts how much: the dense leg `dense` in [0, 1], the sparse leg the rest of 1, and a title whose words
    are all in the query as much as `title` average excesses of a leg.
    """

    dense: float = 0.6
    title: float = 0.0


@dataclass(frozen=True, slots=True)
class Fused:
    """A ranking and what it was made of: `parts` has each chunk's share from the dense leg, the sparse leg and the
    title, which add up to its score in the ranking.
    """

    ranking: Ranking
    parts: Mapping[ChunkId, tuple[float, float, float]] = field(default_factory=dict)


def fuse(
    dense: Mapping[ChunkId, float],
    sparse: Mapping[ChunkId, float],
    weights: Weights,
    *,
    head: int | None = None,
    titles: Mapping[ChunkId, float] | None = None,
) -> Fused:
    """Sum of the legs' scaled scores, divided by the largest such sum.

    A chunk that a leg did not return counts as its worst there. `head` is how many hits each leg was asked for, and
    `titles` the share of each title's words that the query has. Compared with reciprocal rank fusion and other
    scalings in docs/quality/fusion.md.
    """
    if not dense or not sparse:
        weights = Weights(1.0 if dense else 0.0, weights.title)
    by_meaning = scale(dense, min(dense.values(), default=0.0))
    by_words = scale(sparse, min(sparse.values()) if head is not None and len(sparse) >= head else 0.0)
    titles = titles or {}
    parts = {}
    for id_ in {**by_meaning, **by_words}:
        meaning = weights.dense * by_meaning.get(id_, 0.0)
        words = (1 - weights.dense) * by_words.get(id_, 0.0)
        parts[id_] = (meaning, words, weights.title * titles.get(id_, 0.0))
    best = max((sum(part) for part in parts.values()), default=0.0)
    if best > 0:
        parts = {id_: (a / best, b / best, c / best) for id_, (a, b, c) in parts.items()}
    return Fused(in_order({id_: sum(part) for id_, part in parts.items()}), parts)


def scale(scores: Mapping[ChunkId, float], floor: float) -> dict[ChunkId, float]:
    """How far each score is above the floor, in units of the mean such excess.

    So a leg in which a few hits stand out from the crowd says more than one whose hits are all alike, as an embedder
    does of a language that it was not trained on.
    """
    if not scores:
        return {}
    excess = {id_: max(0.0, score - floor) for id_, score in scores.items()}
    mean = sum(excess.values()) / len(excess)
    # Divided by the largest first: however small the scores are, no quotient overflows.
    largest = max(excess.values())
    if mean <= 0 or largest <= 0:
        return dict.fromkeys(scores, 1.0 if len(scores) == 1 else 0.0)
    return {id_: (value / largest) * (largest / mean) for id_, value in excess.items()}


def normalise(scores: Mapping[ChunkId, float]) -> Ranking:
    """One leg alone, its scores divided by the best."""
    best = max(scores.values(), default=0.0)
    return in_order({id_: score / best if best > 0 else 0.0 for id_, score in scores.items()})


def in_order(scores: Mapping[ChunkId, float]) -> Ranking:
    """Best first; equal scores in the order of their ids, so that the same index gives the same bytes."""
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def add_exact(ranking: Ranking, needles: Sequence[Sequence[ChunkId]]) -> Ranking:
    """The ranking with a bonus for each needle that a chunk holds, the rarer the needle the larger.

    `needles` are the exact hits of each needle; hits that no leg found join the ranking.
    """
    scores = dict(ranking)
    for hits in needles:
        for id_ in hits:
            scores[id_] = scores.get(id_, 0.0) + EXACT_BONUS * (1 + 1 / len(hits))
    return in_order(scores)


def keep_on_page(ranking: Ranking, exact: frozenset[ChunkId], page: int) -> Ranking:
    """The ranking with the exact hits beyond the first `page` entries put in place of the last others on it.

    Both keep their order among themselves, so pages of one size never overlap.
    """
    outvoted = [entry for entry in ranking[page:] if entry[0] in exact]
    if not outvoted:
        return ranking
    first = ranking[:page]
    others = [entry for entry in first if entry[0] not in exact]
    moved = frozenset(entry[0] for entry in outvoted[: len(others)])
    displaced = frozenset(entry[0] for entry in others[len(others) - len(moved) :])
    top = [entry for entry in first if entry[0] not in displaced]
    top += [entry for entry in outvoted if entry[0] in moved]
    rest = [entry for entry in first if entry[0] in displaced]
    return top + rest + [entry for entry in ranking[page:] if entry[0] not in moved]
