"""From scope, collections and filter expression to an engine's filter: the only place where one is made.

`scoped` puts the tenant, and on reads the readers, into every filter; engines accept no other kind. What differs
between the engines' classes is a `Dialect`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NewType, Protocol

from ingestion.corpus.filters import (
    METADATA_PREFIX,
    Condition,
    FieldKind,
    Filter,
    Number,
    Value,
    kind_of,
    parse_time,
    walk,
)
from ingestion.corpus.index.engine import IndexQuery
from ingestion.corpus.index.payload import fact, metadata_path, presence, timestamp
from ingestion.corpus.records import ChunkId, DocumentKey, VersionId
from ingestion.corpus.scope import Scope
from ingestion.errors import InvalidRequest

ScopedFilter = NewType("ScopedFilter", object)
"""An engine's filter that holds the tenant condition. Made by `reading`, `among` and `writing` alone."""

_PATHS = {"label": "labels"}


class Dialect(Protocol):
    """The filter classes of one engine. Conditions and filters are the vendor's own objects."""

    def group(self, *, must: list[Any], should: list[Any], must_not: list[Any]) -> Any: ...

    def match(self, path: str, values: Sequence[str]) -> Any: ...

    def number_range(self, path: str, bounds: Mapping[str, Number]) -> Any: ...

    def time_range(self, path: str, bounds: Mapping[str, str]) -> Any: ...

    def is_empty(self, path: str) -> Any: ...


class PointDialect(Dialect, Protocol):
    """And for points, which have ids."""

    def has_id(self, ids: Sequence[ChunkId]) -> Any: ...


def vendor_filter(where: ScopedFilter) -> Any:
    """What the engine takes: only a filter with a scope in it can become one."""
    return where


def reading(dialect: Dialect, scope: Scope, query: IndexQuery) -> ScopedFilter:
    """What this scope may read and the query selects."""
    must = [_tenant(dialect, scope)]
    readers = scope.readers()
    if readers is not None:
        must.append(dialect.match("readers", readers))
    if query.collections:
        must.append(dialect.match("collection", query.collections))
    if query.filter is not None:
        must.append(_group(dialect, query.filter))
    return ScopedFilter(dialect.group(must=must, should=[], must_not=[]))


def among(dialect: PointDialect, scope: Scope, ids: Sequence[ChunkId]) -> ScopedFilter:
    """Those of the chunks that this scope may read."""
    must = [_tenant(dialect, scope), dialect.has_id(ids)]
    readers = scope.readers()
    if readers is not None:
        must.append(dialect.match("readers", readers))
    return ScopedFilter(dialect.group(must=must, should=[], must_not=[]))


def writing(dialect: Dialect, scope: Scope, key: DocumentKey, version: VersionId) -> ScopedFilter:
    """The chunks of one version within the tenant. Labels don't count: a deletion must leave nothing behind."""
    must = [_tenant(dialect, scope), dialect.match("document_key", (key,)), dialect.match("version", (version,))]
    return ScopedFilter(dialect.group(must=must, should=[], must_not=[]))


def metadata_ranges(filter_: Filter | None) -> set[tuple[str, bool]]:
    """Payload paths of the metadata that the filter compares with bounds, each with whether these are times."""
    return {
        (_path(condition.key), any(isinstance(bound, datetime) for bound in condition.bounds.values()))
        for _, condition in (walk(filter_) if filter_ is not None else ())
        if condition.key is not None and condition.bounds and kind_of(condition.key) is FieldKind.METADATA
    }


def _tenant(dialect: Dialect, scope: Scope) -> Any:
    return dialect.match("tenant", (scope.tenant,))


def _group(dialect: Dialect, group: Filter | Condition) -> Any:
    return dialect.group(
        must=[_condition(dialect, condition) for condition in group.must],
        should=[_condition(dialect, condition) for condition in group.should],
        must_not=[_condition(dialect, condition) for condition in group.must_not],
    )


def _condition(dialect: Dialect, condition: Condition) -> Any:
    if condition.key is None:
        return _group(dialect, condition)
    if condition.exists is not None:
        return _existence(dialect, condition.key, condition.exists)
    if condition.bounds:
        return _range(dialect, _path(condition.key), condition.bounds)
    values = condition.any_of if condition.any_of is not None else (condition.equals,)
    return _equality(dialect, condition.key, [value for value in values if value is not None])


def _existence(dialect: Dialect, key: str, wanted: bool) -> Any:
    if kind_of(key) is FieldKind.METADATA:
        present = dialect.match("facts", (presence(_name(key)),))
        return present if wanted else dialect.group(must=[], should=[], must_not=[present])
    empty = dialect.is_empty(_path(key))
    return dialect.group(must=[], should=[], must_not=[empty]) if wanted else empty


def _range(dialect: Dialect, path: str, bounds: Mapping[str, Number | datetime]) -> Any:
    times = {name: timestamp(bound) for name, bound in bounds.items() if isinstance(bound, datetime)}
    if times:
        return dialect.time_range(path, times)
    return dialect.number_range(path, {name: b for name, b in bounds.items() if not isinstance(b, datetime)})


def _equality(dialect: Dialect, key: str, values: Sequence[Value]) -> Any:
    match kind_of(key):
        case FieldKind.METADATA:
            return dialect.match("facts", [fact(_name(key), value) for value in values])
        case FieldKind.TIME:
            moments = [parse_time(str(value)) for value in values]
            ranges = [_range(dialect, _path(key), {"gte": moment, "lte": moment}) for moment in moments]
            return dialect.group(must=[], should=ranges, must_not=[])
        case _:
            return dialect.match(_path(key), [str(value) for value in values])


def _path(key: str) -> str:
    match kind_of(key):
        case None:
            raise InvalidRequest(f"filter: unknown field {key}")
        case FieldKind.METADATA:
            return metadata_path(_name(key))
        case _:
            return _PATHS.get(key, key)


def _name(key: str) -> str:
    return key.removeprefix(METADATA_PREFIX)
