"""Compares ways to join the two legs: `python -m benchmarks.fusion [--data FOLDER] [--cache FOLDER]`.

nDCG@10 of documents on the judged collections that benchmarks.relevance cuts, embeds and searches by brute force.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmarks.relevance import CANDIDATES, COLLECTIONS, Collection, legs, load, parse_arguments
from ingestion.corpus.embedding import open_embedder
from ingestion.corpus.records import ChunkId
from ingestion.corpus.sparse import SparseEncoder
from ingestion.settings import EmbedderSettings
from service.retrieval import fusion

Scores = Mapping[ChunkId, float]
Fusion = Callable[[Scores, Scores], Sequence[ChunkId]]


def reciprocal(k: int) -> Fusion:
    """Reciprocal rank fusion (Cormack et al. 2009)."""

    def fuse(dense: Scores, sparse: Scores) -> Sequence[ChunkId]:
        scores: dict[ChunkId, float] = {}
        for leg in (dense, sparse):
            for rank, (id_, _) in enumerate(fusion.in_order(leg)):
                scores[id_] = scores.get(id_, 0.0) + 1 / (k + rank)
        return [id_ for id_, _ in fusion.in_order(scores)]

    return fuse


def convex(weight: float, *, from_worst: bool) -> Fusion:
    """Both legs scaled from their worst candidate to their best; or, as the product does, BM25 from zero."""

    def fuse(dense: Scores, sparse: Scores) -> Sequence[ChunkId]:
        if from_worst and len(sparse) == CANDIDATES:
            worst = min(sparse.values())
            sparse = {id_: score - worst for id_, score in sparse.items()}
        return [id_ for id_, _ in fusion.fuse(dense, sparse, fusion.Weights(weight)).ranking]

    return fuse


FUSIONS: Mapping[str, Fusion] = {
    "dense alone": lambda dense, _: [id_ for id_, _ in fusion.in_order(dense)],
    "BM25 alone": lambda _, sparse: [id_ for id_, _ in fusion.in_order(sparse)],
    **{f"RRF k={k}": reciprocal(k) for k in (2, 10, 60)},
    **{f"convex min-max {w}": convex(w, from_worst=True) for w in (0.5, 0.6, 0.7)},
    **{f"convex from zero {w}": convex(w, from_worst=False) for w in (0.5, 0.6, 0.7, 0.8)},
}


def main() -> None:
    arguments = parse_arguments(__doc__)
    embedder = open_embedder(EmbedderSettings(), arguments.cache / "models")
    encoder = SparseEncoder()
    collections = [load(name, arguments.data, arguments.cache, embedder, encoder) for name in COLLECTIONS]
    print(f"{'nDCG@10':22}" + "".join(f"{name[-10:]:>12}" for name in COLLECTIONS) + f"{'mean':>9}")
    rows: dict[str, list[float]] = {name: [] for name in FUSIONS}
    for collection in collections:
        for name, score in evaluate(collection, encoder).items():
            rows[name].append(score)
    for name, scores in rows.items():
        print(f"{name:22}" + "".join(f"{score:12.3f}" for score in scores) + f"{np.mean(scores):9.4f}")


def evaluate(collection: Collection, encoder: SparseEncoder) -> dict[str, float]:
    """Mean nDCG@10 of every fusion over the collection's queries."""
    gains: dict[str, list[float]] = {name: [] for name in FUSIONS}
    for query in zip(collection.queries, collection.vectors, collection.relevant, strict=True):
        dense, sparse = legs(collection, (query[0], query[1]), encoder)
        for name, fuse in FUSIONS.items():
            documents = dict.fromkeys(str(collection.documents[int(id_)]) for id_ in fuse(dense, sparse))
            gains[name].append(ndcg(list(documents), query[2]))
    return {name: float(np.mean(values)) for name, values in gains.items()}


def ndcg(ranked: Sequence[str], relevant: frozenset[str], k: int = 10) -> float:
    """nDCG with binary grades (Järvelin and Kekäläinen 2002)."""
    gain = sum(1 / math.log2(rank + 2) for rank, document in enumerate(ranked[:k]) if document in relevant)
    return gain / sum(1 / math.log2(rank + 2) for rank in range(min(k, len(relevant))))


if __name__ == "__main__":
    main()
