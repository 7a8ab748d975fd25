"""The filter expression over a document of the catalogue: the same rules as in the index, without one."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Row

from ingestion.corpus.filters import Number, parse_time
from ingestion.corpus.index.payload import metadata_facts, timestamp
from ingestion.corpus.literal import encodable
from ingestion.corpus.scope import readers_of

Payload = Mapping[str, Any]
Test = Callable[[Payload], bool]


def document_payload(row: Row[Any] | SimpleNamespace) -> Payload:
    """What of a document's row a filter may ask for, as its points carry it."""
    return {
        "tenant": row.tenant,
        "collection": row.collection,
        "readers": readers_of(tuple(row.labels)),
        "labels": row.labels,
        "document_id": row.id,
        "source": row.source,
        "title": encodable(row.title),
        "updated_at": timestamp(row.updated_at),
        **metadata_facts(row.metadata),
    }


class PlainDialect:
    """`conditions.Dialect` as tests of a payload."""

    def group(self, *, must: list[Test], should: list[Test], must_not: list[Test]) -> Test:
        return lambda payload: (
            all(test(payload) for test in must)
            and (not should or any(test(payload) for test in should))
            and not any(test(payload) for test in must_not)
        )

    def match(self, path: str, values: Sequence[str]) -> Test:
        wanted = set(values)
        return lambda payload: not wanted.isdisjoint(_values(payload, path))

    def number_range(self, path: str, bounds: Mapping[str, Number]) -> Test:
        return lambda payload: any(
            _lies_within(value, bounds) for value in _values(payload, path) if isinstance(value, float)
        )

    def time_range(self, path: str, bounds: Mapping[str, str]) -> Test:
        moments = {name: parse_time(bound) for name, bound in bounds.items()}
        return lambda payload: any(
            _lies_within(parse_time(value), moments) for value in _values(payload, path) if isinstance(value, str)
        )

    def is_empty(self, path: str) -> Test:
        return lambda payload: not _values(payload, path)


def _values(payload: Payload, path: str) -> Sequence[Any]:
    field, _, name = path.partition(".")
    value = payload.get(field, ())
    if name:
        value = value.get(name.strip('"'), ())
    return (value,) if isinstance(value, str) else value


def _lies_within(value: Any, bounds: Mapping[str, Any]) -> bool:
    return all(_OPERATORS[name](value, bound) for name, bound in bounds.items())


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
