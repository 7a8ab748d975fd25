"""No read or write leaves its scope: by behaviour, and by watching every request that reaches the vendor."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from ingestion.corpus.index.engine import IndexEngine, IndexQuery
from ingestion.corpus.records import VersionId
from ingestion.corpus.scope import Scope, TenantId
from ingestion.corpus.sparse import SparseEncoder
from tests.contracts.conftest import Index
from tests.contracts.points import ACME, OTHER, ids, key_of, point, points, selecting, unit

_QUERY = IndexQuery(dense=unit(1), sparse=SparseEncoder().encode_query("gateway"))

# Every method that touches points, and one call of it. `test_every_method_is_listed` keeps this complete.
_READS: dict[str, Callable[[IndexEngine, Scope], Any]] = {
    "search": lambda engine, scope: [*engine.search(scope, _QUERY).dense, *engine.search(scope, _QUERY).sparse],
    "count": lambda engine, scope: engine.count(scope) + engine.count(scope, _QUERY),
    "scan": lambda engine, scope: list(engine.scan(scope)),
    "vectors": lambda engine, scope: engine.vectors(scope, [point(ACME, number).id for number in range(9)]),
}
_WRITES: dict[str, Callable[[IndexEngine, Scope], None]] = {
    "upsert": lambda engine, scope: engine.upsert(scope, [point(scope, 77, "gateway")]),
    "delete_version": lambda engine, scope: engine.delete_version(scope, key_of(ACME, 1), VersionId("v1")),
}
_TOUCHES_NO_POINTS = {"flush", "ping", "close"}


def test_every_method_is_listed() -> None:
    methods = {name for name, _ in inspect.getmembers(IndexEngine, inspect.isfunction) if not name.startswith("_")}

    assert methods == _READS.keys() | _WRITES.keys() | _TOUCHES_NO_POINTS


def test_another_tenant_sees_nothing(engine: IndexEngine) -> None:
    engine.upsert(ACME, points(ACME, ["gateway", "gateway", "gateway"]))

    for method, read in _READS.items():
        assert read(engine, ACME), method
        for tenant in ("other", "", "ACME", "acme ", "*", "acme*"):
            assert not read(engine, Scope(TenantId(tenant))), (method, tenant)


def test_another_tenant_deletes_nothing(engine: IndexEngine) -> None:
    engine.upsert(ACME, points(ACME, ["gateway", "gateway"]))

    engine.delete_version(OTHER, key_of(ACME, 1), VersionId("v1"))

    assert engine.count(ACME) == 2


def test_filters_cannot_widen_the_scope(engine: IndexEngine) -> None:
    engine.upsert(ACME, [point(ACME, 1, metadata={"team": "a"})])
    engine.upsert(OTHER, [point(OTHER, 2, metadata={"team": "a"})])

    wide = selecting(should=[{"key": "metadata.team", "equals": "a"}, {"key": "title", "exists": True}])

    assert engine.count(OTHER, wide) == 1
    assert engine.count(OTHER, selecting(must_not=[{"key": "metadata.team", "equals": "b"}])) == 1
    assert [hit.id for hit in engine.search(OTHER, replace(wide, dense=unit(2))).dense] == [point(OTHER, 2).id]


def test_labels_admit_only_their_readers(engine: IndexEngine) -> None:
    public, finance, both = (
        point(ACME, 1, "gateway"),
        point(ACME, 2, "gateway", labels=("finance",)),
        point(ACME, 3, "gateway", labels=("finance", "ops")),
    )
    engine.upsert(ACME, [public, finance, both])

    def visible(labels: frozenset[str] | None) -> set[str]:
        scope = Scope(ACME.tenant, labels)
        return {chunk for chunk, _, _ in engine.scan(scope)}

    assert visible(None) == ids([public, finance, both])
    assert visible(frozenset({"finance"})) == ids([public, finance, both])
    assert visible(frozenset({"ops"})) == ids([public, both])
    assert visible(frozenset()) == ids([public])
    engine.delete_version(ACME, public.document_key, public.version)
    for method, read in _READS.items():
        assert not read(engine, Scope(ACME.tenant, frozenset())), method
        assert not read(engine, Scope(ACME.tenant, frozenset({"hr"}))), method
        assert read(engine, Scope(ACME.tenant, frozenset({"ops"}))), method


def test_collections_narrow_every_read(engine: IndexEngine) -> None:
    engine.upsert(ACME, [point(ACME, n, "gateway", collection=name) for n, name in enumerate("abc")])

    def query(*collections: str) -> IndexQuery:
        return IndexQuery(unit(1), SparseEncoder().encode_query("gateway"), collections=collections)

    assert engine.count(ACME, query()) == 3
    assert engine.count(ACME, query("a", "c")) == 2
    assert len(engine.search(ACME, query("b")).dense) == len(engine.search(ACME, query("b")).sparse) == 1
    assert len(engine.search(ACME, query("b", "d")).dense) == 1
    assert engine.count(ACME, query("d")) == 0


class _Watched:
    """Passes every call on to the vendor's object and keeps its arguments."""

    def __init__(self, vendor: Any, calls: list[tuple[str, list[Any]]]) -> None:
        self._vendor = vendor
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._vendor, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._calls.append((name, [*args, *kwargs.values()]))
            return method(*args, **kwargs)

        return call


def _watch(index: Index) -> list[tuple[str, list[Any]]]:
    calls: list[tuple[str, list[Any]]] = []
    attribute = "_shard" if index.kind == "edge" else "_client"
    setattr(index.engine, attribute, _Watched(getattr(index.engine, attribute), calls))
    return calls


def _filters(argument: Any) -> Iterator[Any]:
    """Every filter in an argument of a vendor call."""
    if type(argument).__name__ == "Filter":
        yield argument
    elif isinstance(argument, list | tuple):
        for item in argument:
            yield from _filters(item)
    else:
        for name in ("queries", "filter", "prefetches", "prefetch"):
            if (inner := getattr(argument, name, None)) is not None:
                yield from _filters(inner)


def _requests(arguments: list[Any]) -> int:
    """How many queries a call carries: a batch must hold one filter for each."""
    batches = [
        argument for one in arguments for argument in [getattr(one, "queries", one)] if isinstance(argument, list)
    ]
    return sum(len(batch) for batch in batches if batch and type(batch[0]).__name__ == "QueryRequest") or 1


def _demands_tenant(filter_: Any, tenant: str) -> bool:
    return any(
        getattr(condition, "key", None) == "tenant" and getattr(condition.match, "value", None) == tenant
        for condition in filter_.must or []
    )


def test_no_read_reaches_the_vendor_without_the_tenant(index: Index) -> None:
    index.engine.upsert(ACME, points(ACME, ["gateway", "gateway"]))
    calls = _watch(index)

    for read in _READS.values():
        assert read(index.engine, ACME)
        read(index.engine, Scope(OTHER.tenant, frozenset({"ops"})))

    assert len(calls) >= 2 * len(_READS)
    for name, arguments in calls:
        found = list(_filters(arguments))
        assert len(found) == _requests(arguments), f"{name} carries a query without a filter"
        assert all(_demands_tenant(one, "acme") or _demands_tenant(one, "other") for one in found), name


@pytest.mark.parametrize("method", _WRITES)
def test_no_write_reaches_the_vendor_without_the_tenant(index: Index, method: str) -> None:
    # What Edge is told to write is opaque, so here the effect is watched: only points of the tenant change.
    mine, theirs = points(ACME, ["gateway"] * 3), points(OTHER, ["gateway"] * 3)
    index.engine.upsert(ACME, mine)
    index.engine.upsert(OTHER, theirs)
    calls = _watch(index)

    _WRITES[method](index.engine, OTHER)

    assert len(calls) == 1
    assert {chunk for chunk, _, _ in index.engine.scan(ACME)} == ids(mine)
    assert index.engine.count(OTHER) == (4 if method == "upsert" else 3)
