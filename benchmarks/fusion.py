"""Compares ways to join the two legs: `python -m benchmarks.fusion [--only NAME …] [--work FOLDER] [--queries N]`.

nDCG@10 of documents on the judged collections, over corpora that the product built (as benchmarks.retrieval keeps them)
and the raw scores of its own legs. Then, kind of query by kind of query, what other weights would give.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.corpora import SCOPE, eval_data
from benchmarks.retrieval import collections
from ingestion.corpus.records import ChunkId
from service.cli.console import settings
from service.quality.evaluating import Plan
from service.quality.observing import Observer
from service.quality.session import Session
from service.quality.tuning import Seen, gain, ndcg
from service.retrieval import fusion
from service.retrieval.fusion import Weights
from service.retrieval.profiles import DEFAULTS
from service.retrieval.traits import QueryClass

Scores = Mapping[ChunkId, float]
Fusion = Callable[[Seen], Sequence[ChunkId]]
GRID = [Weights(dense, title) for title in (0.0, 1.0, 2.0, 4.0) for dense in (0.3, 0.4, 0.5, 0.6, 0.7)]
_HEAD = 50


def reciprocal(k: int) -> Fusion:
    """Reciprocal rank fusion of the first 50 of each leg (Cormack et al. 2009)."""

    def fuse(seen: Seen) -> Sequence[ChunkId]:
        scores: dict[ChunkId, float] = {}
        for leg in (seen.dense, seen.sparse):
            for rank, (id_, _) in enumerate(fusion.in_order(leg)[:_HEAD], start=1):
                scores[id_] = scores.get(id_, 0.0) + 1 / (k + rank)
        return _ids(scores)

    return fuse


def convex(weight: float) -> Fusion:
    """Cosines scaled from the worst to the best candidate, BM25 divided by the best."""

    def fuse(seen: Seen) -> Sequence[ChunkId]:
        low, high = min(seen.dense.values(), default=0.0), max(seen.dense.values(), default=0.0)
        best = max(seen.sparse.values(), default=0.0)
        scores = {id_: weight * (score - low) / ((high - low) or 1.0) for id_, score in seen.dense.items()}
        for id_, score in seen.sparse.items():
            scores[id_] = scores.get(id_, 0.0) + (1 - weight) * score / (best or 1.0)
        return _ids(scores)

    return fuse


def scaled(weights: Callable[[QueryClass], Weights]) -> Fusion:
    """The product's own fusion with these weights."""

    def fuse(seen: Seen) -> Sequence[ChunkId]:
        found = fusion.fuse(seen.dense, seen.sparse, weights(seen.kind), head=seen.head, titles=seen.titles)
        return [id_ for id_, _ in found.ranking]

    return fuse


FUSIONS: Mapping[str, Fusion] = {
    "dense alone": lambda seen: _ids(seen.dense),
    "BM25 alone": lambda seen: _ids(seen.sparse),
    **{f"RRF, k = {k}": reciprocal(k) for k in (2, 60)},
    **{f"convex, min-max, {w}": convex(w) for w in (0.4, 0.6)},
    **{f"mean excess, {w}": scaled(lambda _, w=w: Weights(w)) for w in (0.4, 0.5, 0.6)},  # type: ignore[misc]
    "by kind, no titles": scaled(lambda kind: Weights(DEFAULTS[kind].dense)),
    "by kind": scaled(DEFAULTS.__getitem__),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="*", default=(), help="names of collections")
    parser.add_argument("--work", type=Path, default=Path(".plumbline/evaluation"), help="folder of the corpora")
    parser.add_argument("--queries", type=int, default=400, help="queries of each collection")
    arguments = parser.parse_args()
    plan = Plan(limit_queries=arguments.queries)
    session = Session(settings(quiet=True), plan, SCOPE, arguments.work)
    seen = {path.name: asyncio.run(observe(session, path)) for path in collections(eval_data(), arguments.only)}
    print("| nDCG@10 | " + " | ".join(seen) + " | mean |\n| --- |" + " --- |" * (len(seen) + 1))
    for name, fuse in FUSIONS.items():
        values = [float(np.mean([ndcg(one, fuse(one)) for one in of_set])) for of_set in seen.values()]
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in (*values, float(np.mean(values)))) + " |")
    for kind in QueryClass:
        of_kind = {name: [one for one in of_set if one.kind is kind] for name, of_set in seen.items()}
        weigh(kind, {name: of_set for name, of_set in of_kind.items() if len(of_set) >= 20})


async def observe(session: Session, path: Path) -> list[Seen]:
    """What both legs say to the queries of a collection."""
    async with session.opened(path, lambda *_: None) as (target, golden):
        observer = Observer(target.corpus, target.searcher, target.scope)
        return await asyncio.to_thread(lambda: list(observer.ask(golden.cases)))


def weigh(kind: QueryClass, seen: Mapping[str, Sequence[Seen]]) -> None:
    """Print what each weight gives on the collections that have queries of this kind."""
    if not seen:
        return
    names = [f"{name} ({len(of_set)})" for name, of_set in seen.items()]
    print(f"\n| {kind}: dense, title | " + " | ".join(names) + " | mean |\n| --- |" + " --- |" * (len(names) + 1))
    for weights in GRID:
        values = [float(np.mean([gain(one, weights) for one in of_set])) for of_set in seen.values()]
        cells = " | ".join(f"{value:.3f}" for value in (*values, float(np.mean(values))))
        print(f"| {weights.dense}, {weights.title} | {cells} |")


def _ids(scores: Scores) -> list[ChunkId]:
    return [id_ for id_, _ in fusion.in_order(scores)]


if __name__ == "__main__":
    main()
