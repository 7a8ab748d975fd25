"""The same corpus and the same queries on Edge and on the server give the same answers."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest

from ingestion.corpus import filters
from ingestion.corpus.index.engine import IndexEngine, IndexHit, IndexPoint, IndexQuery
from ingestion.corpus.scope import Scope
from ingestion.corpus.sparse import SparseEncoder
from tests.contracts.conftest import edge_index_in, server_index_on
from tests.contracts.points import ACME, EPOCH, OTHER, point, unit
from tests.servers import QdrantServer

pytestmark = pytest.mark.qdrant_server

_VOCABULARY = """
gateway restart deadlock ORA-00060 vault key rotate payment settle timeout kubectl pod node disk latency alert error
HTTP_502 retry queue backlog region failover certificate expired Müller straße
"""
_WORDS = _VOCABULARY.split()
_POINTS = 400
_QUERIES = 60


def _random_points(chance: random.Random, scope: Scope, first: int, count: int) -> list[IndexPoint]:
    return [
        point(
            scope,
            number,
            " ".join(chance.choices(_WORDS, k=chance.randint(1, 40))),
            collection=chance.choice(["default", "ops"]),
            labels=tuple(chance.sample(["a", "b", "c"], k=chance.randint(0, 2))),
            source=chance.choice(["upload", "git"]),
            metadata={"n": chance.randint(0, 9), "live": chance.random() < 0.5, "team": chance.choice("xyz")},
        )
        for number in range(first, first + count)
    ]


def _random_query(chance: random.Random, number: int) -> IndexQuery:
    conditions = [
        {"key": "metadata.n", "gte": chance.randint(0, 5), "lt": chance.randint(6, 10)},
        {"key": "metadata.live", "equals": chance.random() < 0.5},
        {"key": "metadata.team", "in": chance.choices("xyz", k=2)},
        {"key": "updated_at", "gte": EPOCH.replace(month=chance.randint(1, 12)).isoformat()},
        {"key": "label", "exists": chance.random() < 0.5},
        {"key": "source", "equals": "git"},
    ]
    groups = {name: chance.sample(conditions, k=chance.randint(0, 2)) for name in ("must", "must_not", "should")}
    text = " ".join(chance.choices(_WORDS, k=chance.randint(1, 4)))
    return IndexQuery(
        unit(10_000 + number),
        SparseEncoder().encode_query(text),
        limit=_POINTS,  # no cut, so that equal scores at the edge cannot differ
        collections=tuple(chance.sample(["default", "ops"], k=chance.randint(0, 2))),
        filter=filters.parse(groups) if chance.random() < 0.7 else None,
    )


@pytest.fixture(scope="module")
def pair(qdrant: QdrantServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[IndexEngine, IndexEngine]]:
    """Both engines with the same points of two tenants."""
    chance = random.Random(11)
    mine = _random_points(chance, ACME, 0, _POINTS)
    theirs = _random_points(chance, OTHER, 0, 50)
    folder = tmp_path_factory.mktemp("congruence")
    with edge_index_in(folder) as edge, server_index_on(qdrant, folder) as server:
        for one in (edge, server):
            one.engine.upsert(ACME, mine)
            one.engine.upsert(OTHER, theirs)
        yield edge.engine, server.engine


def _same(one: tuple[IndexHit, ...], other: tuple[IndexHit, ...], tolerance: float) -> None:
    left, right = ({hit.id: hit.score for hit in hits} for hits in (one, other))
    assert left.keys() == right.keys()
    assert list(left.values()) == pytest.approx([right[id_] for id_ in left], rel=tolerance, abs=tolerance)
    assert np.all(np.diff(list(left.values())) <= 0)
    assert np.all(np.diff(list(right.values())) <= 0)


@pytest.mark.parametrize("labels", [None, frozenset({"a"}), frozenset()], ids=["all", "one", "public"])
def test_the_engines_agree(pair: tuple[IndexEngine, IndexEngine], labels: frozenset[str] | None) -> None:
    edge, server = pair
    chance = random.Random(12)
    scope = Scope(ACME.tenant, labels)
    found = 0
    for number in range(_QUERIES):
        query = _random_query(chance, number)
        on_edge, on_server = edge.search(scope, query), server.search(scope, query)
        _same(on_edge.dense, on_server.dense, 1e-5)
        _same(on_edge.sparse, on_server.sparse, 1e-4)
        assert edge.count(scope, query) == server.count(scope, query) == len(on_edge.dense)
        found += len(on_edge.sparse)
    assert found > _QUERIES
    assert list(edge.scan(scope)) == list(server.scan(scope))
