"""Preferences reorder near ties and nothing else; what was superseded waits for its replacement."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.corpus.facts_reader import DocumentFacts
from ingestion.corpus.records import ChunkId, Document, DocumentId, DocumentKey, IndexedChunk, Metadata
from ingestion.errors import InvalidRequest
from service.retrieval.fusion import in_order
from service.retrieval.preferences import MOST_LIFT, prefer
from service.retrieval.query import Preference
from service.retrieval.superseding import NEAR, Demotion
from tests.service.retrieval_parts import WHEN, document_of, indexed

ids = st.integers(0, 20).map(lambda number: ChunkId(f"{number:02}"))
rankings = st.dictionaries(ids, st.floats(0, 1.5), max_size=20).map(in_order)
weights = st.dictionaries(st.sampled_from(("wiki", "git", "mail")), st.floats(-1, 1))


def facts(id_: str, *, days: float = 0.0, source: str = "wiki", collection: str = "default") -> DocumentFacts:
    when = WHEN - timedelta(days=days)
    return DocumentFacts(DocumentKey(f"key-{id_}"), DocumentId(id_), f"{id_}.md", collection, source, (), {}, when)


@given(
    data=st.data(), ranking=rankings, sources=weights, collections=weights, half_life=st.none() | st.floats(0.1, 900)
)
def test_who_leads_by_more_than_the_bound_stays_ahead(
    data: st.DataObject, ranking: list[tuple[ChunkId, float]], sources: dict[str, float],
    collections: dict[str, float], half_life: float | None,
) -> None:  # fmt: skip
    names = st.sampled_from(("wiki", "git", "mail", "other"))
    documents = {
        id_: facts(id_, days=data.draw(st.floats(0, 4000)), source=data.draw(names), collection=data.draw(names))
        for id_, _ in ranking
        if data.draw(st.integers(0, 9)) > 0
    }
    preferred, effects = prefer(ranking, documents, Preference(half_life, sources, collections))

    assert sorted(id_ for id_, _ in preferred) == sorted(id_ for id_, _ in ranking)
    place = {id_: at for at, (id_, _) in enumerate(preferred)}
    for id_, score in ranking:
        for other, other_score in ranking:
            if score > other_score + MOST_LIFT + 1e-9:
                assert place[id_] < place[other]
    assert all(abs(effect.change) <= MOST_LIFT / 2 for effect in effects.values())


@given(ranking=rankings)
def test_no_preference_changes_nothing(ranking: list[tuple[ChunkId, float]]) -> None:
    documents = {id_: facts(id_) for id_, _ in ranking}

    assert prefer(ranking, documents, Preference(sources={"elsewhere": 1.0}))[0] == ranking
    assert prefer(ranking, {}, Preference(freshness_half_life_days=1.0))[0] == ranking


def test_near_ties_go_by_freshness_and_source() -> None:
    ranking = [(ChunkId("old"), 0.80), (ChunkId("new"), 0.78)]
    documents = {ChunkId("old"): facts("old", days=400, source="mail"), ChunkId("new"): facts("new", source="git")}

    def first(preference: Preference) -> str:
        return prefer(ranking, documents, preference)[0][0][0]

    assert first(Preference(freshness_half_life_days=30)) == "new"
    assert first(Preference(sources={"git": 1.0})) == "new"
    assert first(Preference(sources={"mail": -1.0})) == "new"
    assert first(Preference(sources={"mail": 1.0})) == "old"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"freshness_half_life_days": 0.0}, "/prefer/freshness_half_life_days"),
        ({"freshness_half_life_days": float("nan")}, "/prefer/freshness_half_life_days"),
        ({"sources": {"wiki": 1.1}}, "/prefer/sources/wiki"),
        ({"collections": {"wiki": float("nan")}}, "/prefer/collections/wiki"),
        ({"sources": {str(at): 0.5 for at in range(101)}}, "/prefer/sources"),
    ],
)
def test_what_is_out_of_bounds_is_named(changes: Mapping[str, object], pointer: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Preference(**changes)  # type: ignore[arg-type]

    assert caught.value.pointer == pointer


def passage(name: str, metadata: Metadata | None = None) -> IndexedChunk:
    return indexed(name, f"text of {name}", document_of(name, metadata))


def shown(scores: Mapping[str, float], metadata: Mapping[str, Metadata]) -> list[str]:
    """Names in the order in which they are shown, where `metadata` has what documents say of themselves."""
    passages = [passage(name, metadata.get(name)) for name in scores]
    by_id = {entry.id: scores[entry.document.id] for entry in passages}

    def successors(document: Document) -> dict[DocumentKey, float]:
        name = document.metadata.get("superseded_by")
        return {DocumentKey(f"key-{name}"): scores[str(name)]} if name in scores else {}

    return [entry.document.id for entry in Demotion(by_id, successors).apply(passages)]


def test_what_was_superseded_comes_after_its_replacement_and_others_keep_their_order() -> None:
    scores = {"old": 0.9, "x": 0.7, "new": 0.6, "y": 0.5}

    assert shown(scores, {"old": {"superseded_by": "new"}}) == ["x", "new", "old", "y"]
    assert shown(scores, {"old": {"status": "active"}}) == ["old", "x", "new", "y"]
    # What was hardly found is no replacement.
    assert shown({**scores, "new": 0.3, "y": 0.2}, {"old": {"superseded_by": "new"}})[0] == "old"


def test_what_was_superseded_by_something_unknown_gives_way_to_near_ties_only() -> None:
    scores = {"old": 0.9, "near": 0.9 - NEAR / 2, "far": 0.9 - 2 * NEAR}

    assert shown(scores, {"old": {"status": "deprecated"}}) == ["near", "old", "far"]


def test_chains_and_circles_end() -> None:
    scores = {"a": 0.9, "b": 0.8, "c": 0.7}

    assert shown(scores, {"a": {"superseded_by": "b"}, "b": {"superseded_by": "c"}}) == ["c", "b", "a"]
    assert sorted(shown(scores, {"a": {"superseded_by": "b"}, "b": {"superseded_by": "a"}})) == ["a", "b", "c"]


@given(
    data=st.data(),
    scores=st.lists(st.floats(0, 1), max_size=12).map(lambda values: sorted(values, reverse=True)),
)
def test_every_passage_is_shown_once_and_a_shorter_look_gives_the_same(
    data: st.DataObject, scores: list[float]
) -> None:
    names = [f"d{at}" for at in range(len(scores))]
    told = {
        name: {"superseded_by": data.draw(st.sampled_from(names))} if data.draw(st.booleans()) else {"status": "ok"}
        for name in names
    }
    order = shown(dict(zip(names, scores, strict=True)), told)

    assert sorted(order) == sorted(names)
    current = [name for name in order if told[name] == {"status": "ok"}]
    assert current == [name for name in names if told[name] == {"status": "ok"}]
