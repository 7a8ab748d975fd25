"""One ranking out of two: score-aware fusion of the dense and the sparse leg, and the guarantee for exact hits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ingestion.corpus.records import ChunkId

Ranking = list[tuple[ChunkId, float]]
"""Chunks with their fused score in [0, 1], best first; ties in the order of the ids."""

EXACT_BONUS = 0.25
"""What one exact match of a needle adds to the fused score, shared among the chunks that hold the needle."""


def fuse(dense: Mapping[ChunkId, float], sparse: Mapping[ChunkId, float], dense_weight: float) -> Ranking:
    """Convex combination of the legs' normalised scores.

    Cosines have no natural zero, so they are scaled from the worst to the best candidate; BM25 has one, so it is
    divided by the best. A chunk that a leg did not return counts as its worst there. Compared with reciprocal rank
    fusion and other scalings in docs/quality/fusion.md.
    """
    if not dense:
        return normalise(sparse)
    if not sparse:
        return normalise(dense)
    floor = min(dense.values())
    spread = max(dense.values()) - floor
    best = max(sparse.values())
    # Divided before it is weighted: the share is in [0, 1] however small the divisor is.
    fused = {id_: (score - floor) / spread * dense_weight if spread > 0 else 0.0 for id_, score in dense.items()}
    for id_, score in sparse.items():
        fused[id_] = fused.get(id_, 0.0) + (score / best * (1 - dense_weight) if best > 0 else 0.0)
    return in_order(fused)


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
