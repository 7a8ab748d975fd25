"""Fusion is deterministic and score-aware, and exact hits keep their place on the first page."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from ingestion.corpus.records import ChunkId
from service.retrieval.fusion import add_exact, fuse, in_order, keep_on_page

ids = st.integers(0, 40).map(lambda number: ChunkId(f"{number:02}"))
cosines = st.dictionaries(ids, st.floats(-1, 1), max_size=20)
weights = st.dictionaries(ids, st.floats(0, 60), max_size=20)


@given(dense=cosines, sparse=weights, weight=st.floats(0, 1))
@example(dense={ChunkId("00"): 0.0}, sparse={ChunkId("00"): 0.0, ChunkId("01"): 5e-324}, weight=0.0)
def test_every_candidate_comes_once_best_first_ties_by_id(
    dense: dict[ChunkId, float], sparse: dict[ChunkId, float], weight: float
) -> None:
    ranking = fuse(dense, sparse, weight)

    assert sorted(id_ for id_, _ in ranking) == sorted(dense.keys() | sparse.keys())
    assert ranking == sorted(ranking, key=lambda entry: (-entry[1], entry[0]))
    backwards = fuse(dict(reversed(dense.items())), dict(reversed(sparse.items())), weight)
    assert backwards == ranking


def test_a_chunk_that_both_legs_like_beats_one_that_a_single_leg_likes() -> None:
    dense = {ChunkId("both"): 0.80, ChunkId("dense"): 0.82, ChunkId("far"): 0.5}
    sparse = {ChunkId("both"): 20.0, ChunkId("sparse"): 21.0}

    assert next(id_ for id_, _ in fuse(dense, sparse, 0.6)) == "both"


def test_one_leg_alone_keeps_its_order() -> None:
    dense = {ChunkId("a"): -0.2, ChunkId("b"): 0.1}

    assert [id_ for id_, _ in fuse(dense, {}, 0.6)] == ["b", "a"]
    assert [id_ for id_, _ in fuse({}, {ChunkId("a"): 1.0, ChunkId("b"): 3.0}, 0.6)] == ["b", "a"]
    assert fuse({}, {}, 0.6) == []


@given(
    order=st.lists(ids, unique=True, max_size=40),
    exact=st.frozensets(ids, max_size=20),
    page=st.integers(1, 15),
)
def test_no_exact_hit_waits_behind_the_first_page_while_another_stands_on_it(
    order: list[ChunkId], exact: frozenset[ChunkId], page: int
) -> None:
    ranking = [(id_, 1 - rank / 100) for rank, id_ in enumerate(order)]

    kept = keep_on_page(ranking, exact, page)

    first, rest = [id_ for id_, _ in kept[:page]], [id_ for id_, _ in kept[page:]]
    assert sorted(kept) == sorted(ranking)
    assert not (any(id_ in exact for id_ in rest) and any(id_ not in exact for id_ in first))
    for group in (exact, frozenset(order) - exact):
        assert [id_ for id_, _ in kept if id_ in group] == [id_ for id_ in order if id_ in group]


def test_the_rarer_needle_counts_more_and_unknown_hits_join() -> None:
    ranking = in_order({ChunkId("x"): 0.5, ChunkId("y"): 0.5})

    found = add_exact(ranking, [[ChunkId("rare")], [ChunkId(name) for name in ("x", "y", "z", "w")], []])

    assert [id_ for id_, _ in found] == ["x", "y", "rare", "w", "z"]
