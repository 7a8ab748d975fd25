"""Every operator of the filter expression selects the same points on every engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from ingestion.corpus.index.conditions import reading, vendor_filter
from ingestion.corpus.index.engine import IndexEngine, IndexQuery
from ingestion.corpus.index.plain import PlainDialect, document_payload
from ingestion.corpus.sparse import SparseEncoder
from tests.contracts.conftest import ENGINES, Index, edge_index_in, server_index_on
from tests.contracts.points import ACME, point, selecting, unit
from tests.servers import QdrantServer

_METADATA: list[dict[str, Any]] = [
    {"team": "payments", "cost": 3, "live": True, "tags": ["a", "b"], "due": "2024-03-01T00:00:00Z"},
    {"team": "search", "cost": 3.0, "live": False, "tags": ["b"], "due": "2024-03-01T02:00:00+02:00"},
    {"team": "Payments", "cost": 4.5, "tags": [], "due": "2024-04-01"},
    {"cost": -1, "team": "3", "dotted.key": "x", 'quo"te': "y", "spaced key": "z", "ключ": "ж"},
]


@pytest.fixture(scope="module")
def filled_edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexEngine]:
    """Edge with four points, numbered 0 to 3, that no test here changes."""
    with edge_index_in(tmp_path_factory.mktemp("filters")) as index:
        _fill(index.engine)
        yield index.engine


@pytest.fixture(scope="module")
def filled_server(qdrant: QdrantServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexEngine]:
    """The same on the server."""
    with server_index_on(qdrant, tmp_path_factory.mktemp("filters")) as index:
        _fill(index.engine)
        yield index.engine


# Not a parametrised fixture of the module: tests run in random order, and each change of engine would fill anew.
@pytest.fixture(params=ENGINES)
def filled(request: pytest.FixtureRequest) -> IndexEngine:
    """Each engine in turn, filled."""
    engine: IndexEngine = request.getfixturevalue(f"filled_{request.param}")
    return engine


def _fill(engine: IndexEngine) -> None:
    engine.upsert(
        ACME,
        [
            point(
                ACME,
                number,
                "gateway",
                metadata=metadata,
                **_facts(number),
            )
            for number, metadata in enumerate(_METADATA)
        ],
    )


def _facts(number: int) -> dict[str, Any]:
    return {"source": ("upload", "git")[number % 2], "labels": ((), ("ops",), ("ops", "hr"), ())[number]}


def _selected(engine: IndexEngine, query: IndexQuery) -> set[int]:
    found = {hit.id for hit in engine.search(ACME, replace(query, dense=unit(0))).dense}
    return {number for number in range(4) if point(ACME, number).id in found}


def _passing(query: IndexQuery) -> set[int]:
    """The same of the catalogue's documents, without an index."""
    passes = vendor_filter(reading(PlainDialect(), ACME, query))
    documents = [point(ACME, number, metadata=_METADATA[number], **_facts(number)) for number in range(4)]
    rows = [
        SimpleNamespace(
            tenant=ACME.tenant,
            id=one.document_id,
            **{name: getattr(one, name) for name in ("collection", "source", "title", "updated_at", "metadata")},
            labels=list(one.labels),
        )
        for one in documents
    ]
    return {number for number, row in enumerate(rows) if passes(document_payload(row))}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"key": "metadata.team", "equals": "payments"}, {0}),
        ({"key": "metadata.team", "equals": "pay"}, set()),
        ({"key": "metadata.team", "in": ["payments", "search"]}, {0, 1}),
        ({"key": "metadata.team", "in": ["3", 3]}, {3}),
        ({"key": "metadata.team", "equals": 3}, set()),
        ({"key": "metadata.cost", "equals": 3}, {0, 1}),
        ({"key": "metadata.cost", "equals": 3.0}, {0, 1}),
        ({"key": "metadata.cost", "equals": "3"}, set()),
        ({"key": "metadata.cost", "in": [4.5, -1, "x"]}, {2, 3}),
        ({"key": "metadata.cost", "gt": 3}, {2}),
        ({"key": "metadata.cost", "gte": 3}, {0, 1, 2}),
        ({"key": "metadata.cost", "lt": 3}, {3}),
        ({"key": "metadata.cost", "lte": 3, "gt": -1}, {0, 1}),
        ({"key": "metadata.team", "gte": 0}, set()),
        ({"key": "metadata.live", "equals": True}, {0}),
        ({"key": "metadata.live", "equals": False}, {1}),
        ({"key": "metadata.live", "in": [True, False]}, {0, 1}),
        ({"key": "metadata.live", "equals": 1}, set()),
        ({"key": "metadata.live", "equals": "true"}, set()),
        ({"key": "metadata.live", "exists": True}, {0, 1}),
        ({"key": "metadata.live", "exists": False}, {2, 3}),
        ({"key": "metadata.tags", "equals": "b"}, {0, 1}),
        ({"key": "metadata.tags", "in": ["a", "c"]}, {0}),
        ({"key": "metadata.tags", "exists": True}, {0, 1}),
        ({"key": "metadata.due", "gte": "2024-03-01T00:00:00Z"}, {0, 1, 2}),
        ({"key": "metadata.due", "gt": "2024-03-01T00:00:00Z"}, {2}),
        ({"key": "metadata.due", "lt": "2024-03-01T00:00:00-01:00"}, {0, 1}),
        ({"key": "metadata.dotted.key", "equals": "x"}, {3}),
        ({"key": 'metadata.quo"te', "equals": "y"}, {3}),
        ({"key": "metadata.spaced key", "exists": True}, {3}),
        ({"key": "metadata.ключ", "equals": "ж"}, {3}),
        ({"key": "metadata.cost[]", "exists": True}, set()),
        ({"key": "updated_at", "gte": "2024-01-03T00:00:00Z"}, {2, 3}),
        ({"key": "updated_at", "gte": "2024-01-03"}, {2, 3}),
        ({"key": "updated_at", "lt": "2024-01-02T00:00:00.000001Z"}, {0, 1}),
        ({"key": "updated_at", "equals": "2024-01-02T01:00:00+01:00"}, {1}),
        ({"key": "updated_at", "in": ["2024-01-01", "2024-01-04"]}, {0, 3}),
        ({"key": "source", "equals": "git"}, {1, 3}),
        ({"key": "title", "in": ["Document 0", "Document 2"]}, {0, 2}),
        ({"key": "collection", "equals": "default"}, {0, 1, 2, 3}),
        ({"key": "document_id", "equals": "doc-2"}, {2}),
        ({"key": "labels", "equals": "ops"}, {1, 2}),
        ({"key": "label", "in": ["hr"]}, {2}),
        ({"key": "label", "exists": False}, {0, 3}),
        ({"key": "label", "equals": "*"}, set()),
    ],
)
def test_an_operator_selects(filled: IndexEngine, condition: dict[str, Any], expected: set[int]) -> None:
    everything = {0, 1, 2, 3}

    assert _selected(filled, selecting(condition)) == expected
    assert _selected(filled, selecting(should=[condition])) == expected
    assert _selected(filled, selecting(must_not=[condition])) == everything - expected
    assert _passing(selecting(condition)) == _passing(selecting(should=[condition])) == expected
    assert _passing(selecting(must_not=[condition])) == everything - expected
    assert filled.count(ACME, selecting(condition)) == len(expected)


def test_groups_combine(filled: IndexEngine) -> None:
    three = {"key": "metadata.cost", "equals": 3}
    payments = {"key": "metadata.team", "equals": "payments"}
    ops = {"key": "label", "equals": "ops"}

    assert _selected(filled, selecting(three, must_not=[payments])) == {1}
    assert _selected(filled, selecting(three, should=[payments, ops])) == {0, 1}
    assert _selected(filled, selecting({"should": [payments, {"must": [ops], "must_not": [three]}]})) == {0, 2}
    assert _selected(filled, selecting({"must_not": [payments, ops]})) == {3}
    assert _selected(filled, selecting()) == {0, 1, 2, 3}
    assert _passing(selecting(three, should=[payments, ops])) == {0, 1}
    assert _passing(selecting({"should": [payments, {"must": [ops], "must_not": [three]}]})) == {0, 2}
    assert _passing(selecting({"must_not": [payments, ops]})) == {3}


def test_a_filter_holds_on_both_legs(filled: IndexEngine) -> None:
    where = selecting({"key": "source", "equals": "git"})
    query = IndexQuery(unit(0), SparseEncoder().encode_query("gateway"), filter=where.filter)

    legs = filled.search(ACME, query)

    expected = {point(ACME, 1).id, point(ACME, 3).id}
    assert {hit.id for hit in legs.dense} == {hit.id for hit in legs.sparse} == expected


def test_numbers_and_times_under_one_key(engine: IndexEngine) -> None:
    values: list[Any] = [3.0, "2024-03-01T00:00:00Z", "soon", 1711929600.0]
    engine.upsert(ACME, [point(ACME, number, metadata={"m": value}) for number, value in enumerate(values)])
    large = selecting({"key": "metadata.m", "gte": 3})
    late = selecting({"key": "metadata.m", "gte": "2024-01-01T00:00:00Z"})

    for _ in range(2):
        assert _selected(engine, large) == {0, 3}
        assert _selected(engine, late) == {1}
    both = selecting(should=[{"key": "metadata.m", "gte": 3}, {"key": "metadata.m", "gte": "2024-01-01"}])
    assert _selected(engine, both) == {0, 1, 3}
    assert engine.count(ACME, large) == 2
    assert engine.count(ACME, late) == 1


def test_a_range_holds_for_what_is_written_later_and_after_opening_again(index: Index) -> None:
    index.engine.upsert(ACME, [point(ACME, 0, metadata={"dotted.key": 1, "due": "2024-03-01"})])
    above = selecting({"key": "metadata.dotted.key", "gt": 0})
    due = selecting({"key": "metadata.due", "gte": "2024-01-01"})
    assert _selected(index.engine, above) == _selected(index.engine, due) == {0}

    index.engine.upsert(ACME, [point(ACME, 1, metadata={"dotted.key": 2, "due": "2024-03-02"})])
    engine = index.reopen()
    engine.upsert(ACME, [point(ACME, 2, metadata={"dotted.key": 3, "due": "2024-03-03"})])

    assert _selected(engine, above) == _selected(engine, due) == {0, 1, 2}
    assert _selected(engine, selecting({"key": "metadata.dotted.key", "gt": 2})) == {2}


def test_numbers_and_times_in_one_filter(engine: IndexEngine) -> None:
    engine.upsert(ACME, [point(ACME, number, metadata={"m": value}) for number, value in enumerate([3, "2024-03-01"])])
    both = selecting(should=[{"key": "metadata.m", "gte": 3}, {"key": "metadata.m", "gte": "2024-01-01"}])

    assert _selected(engine, both) == {0, 1}
