"""Fusion is deterministic and score-aware, and exact hits keep their place on the first page."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from ingestion.corpus.records import ChunkId
from service.retrieval.fusion import Weights, add_exact, fuse, in_order, keep_on_page, scale

ids = st.integers(0, 40).map(lambda number: ChunkId(f"{number:02}"))
cosines = st.dictionaries(ids, st.floats(-1, 1), max_size=20)
weights = st.dictionaries(ids, st.floats(0, 60), max_size=20)


@given(dense=cosines, sparse=weights, weight=st.floats(0, 1))
@example(dense={ChunkId("00"): 0.0}, sparse={ChunkId("00"): 0.0, ChunkId("01"): 5e-324}, weight=0.0)
def test_every_candidate_comes_once_best_first_ties_by_id(
    dense: dict[ChunkId, float], sparse: dict[ChunkId, float], weight: float
) -> None:
    fused = fuse(dense, sparse, Weights(weight))
    ranking = fused.ranking

    assert sorted(id_ for id_, _ in ranking) == sorted(dense.keys() | sparse.keys())
    assert ranking == sorted(ranking, key=lambda entry: (-entry[1], entry[0]))
    assert all(0 <= score <= 1 + 1e-9 for _, score in ranking)
    assert all(sum(fused.parts[id_]) == score for id_, score in ranking)
    backwards = fuse(dict(reversed(dense.items())), dict(reversed(sparse.items())), Weights(weight))
    assert [id_ for id_, _ in backwards.ranking] == [id_ for id_, _ in ranking]


def test_a_chunk_that_both_legs_like_beats_one_that_a_single_leg_likes() -> None:
    dense = {ChunkId("both"): 0.80, ChunkId("dense"): 0.82, ChunkId("far"): 0.5}
    sparse = {ChunkId("both"): 20.0, ChunkId("sparse"): 21.0}

    assert fuse(dense, sparse, Weights(0.6)).ranking[0][0] == "both"


def test_one_leg_alone_keeps_its_order() -> None:
    dense = {ChunkId("a"): -0.2, ChunkId("b"): 0.1}

    sparse = {ChunkId("a"): 1.0, ChunkId("b"): 3.0}

    for weight in (0.0, 0.6, 1.0):
        assert [id_ for id_, _ in fuse(dense, {}, Weights(weight)).ranking] == ["b", "a"]
        assert [id_ for id_, _ in fuse({}, sparse, Weights(weight)).ranking] == ["b", "a"]
        assert fuse({}, {}, Weights(weight)).ranking == []


def test_a_leg_whose_hits_are_all_alike_says_less_than_one_in_which_a_hit_stands_out() -> None:
    alike = {ChunkId(name): 0.80 - rank / 1000 for rank, name in enumerate("abcdef")}
    telling = {ChunkId(name): 20.0 if name == "f" else 2.0 - rank / 10 for rank, name in enumerate("bcdef")}

    assert fuse(alike, telling, Weights(0.6)).ranking[0][0] == "f"


def test_scores_are_scaled_by_their_mean_excess_over_the_floor() -> None:
    assert scale({ChunkId("a"): 9.0, ChunkId("b"): 5.0, ChunkId("c"): 1.0}, 1.0) == {"a": 2.0, "b": 1.0, "c": 0.0}
    assert scale({ChunkId("a"): 3.0}, 3.0) == {"a": 1.0}
    assert scale({ChunkId("a"): 3.0, ChunkId("b"): 3.0}, 3.0) == {"a": 0.0, "b": 0.0}


def test_a_title_that_the_query_names_breaks_a_near_tie() -> None:
    dense = {ChunkId("a"): 0.80, ChunkId("b"): 0.79, ChunkId("c"): 0.2}
    sparse = {ChunkId("a"): 10.0, ChunkId("b"): 9.9}

    def best(title: float) -> str:
        return fuse(dense, sparse, Weights(0.6, title), titles={ChunkId("b"): 1.0}).ranking[0][0]

    assert best(0.0) == "a"
    assert best(1.0) == "b"


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
