"""Measures of a ranking, by `ir-measures` (trec_eval): nDCG with linear gain, recall, MRR, MAP and hit rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_QUERIES_AT_ONCE = 1_000
DIGITS = 6
"""Of a value: what is stored and read again is what was measured."""


def names(k: int, depth: int) -> tuple[str, ...]:
    """What is measured of rankings of `depth` documents: the first `k` are a page."""
    hits = tuple(f"hit@{rank}" for rank in sorted({1, 3, k}) if rank <= k)
    deep = (f"recall@{depth}",) if depth > k else ()
    return (f"ndcg@{k}", f"recall@{k}", *deep, "mrr", "map", *hits)


def measure(
    judged: Mapping[str, Mapping[str, int]], ranked: Mapping[str, Sequence[str]], k: int, depth: int
) -> dict[str, dict[str, float]]:
    """Query to measure to value in [0, 1], for every query of `judged`: one that was not ranked counts as 0.

    `judged` maps query to document to grade, `ranked` query to documents, best first and each once.
    """
    import ir_measures

    wanted = {ir_measures.parse_measure(_spelt(name)): name for name in names(k, depth)}
    queries = list(judged)
    values: dict[str, dict[str, float]] = {query: {} for query in queries}
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        batch = queries[start : start + _QUERIES_AT_ONCE]
        qrels = {query: dict(judged[query]) for query in batch}
        run = {query: _scores(ranked.get(query, ())[:depth]) for query in batch}
        for found in ir_measures.iter_calc(list(wanted), qrels, run):
            values[found.query_id][wanted[found.measure]] = round(float(found.value), DIGITS)
    return values


def _spelt(name: str) -> str:
    """The library's name of a measure."""
    kind, _, cut = name.partition("@")
    spelt = {"ndcg": "nDCG", "recall": "R", "mrr": "RR", "map": "AP", "hit": "Success"}[kind]
    return f"{spelt}@{cut}" if cut else spelt


def _scores(documents: Sequence[str]) -> dict[str, float]:
    """Scores that fall from each document to the next: the library orders by score, and equal ones by id."""
    return {document: float(len(documents) - rank) for rank, document in enumerate(documents)}
