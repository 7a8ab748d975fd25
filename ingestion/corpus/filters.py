"""The filter expression of the HTTP contract: its model and checks; each index engine compiles it."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from ingestion.errors import InvalidRequest

MAX_DEPTH = 3
MAX_CONDITIONS = 256
MAX_VALUES = 1000
METADATA_PREFIX = "metadata."

Value = str | int | float | bool
Number = int | float


class FieldKind(StrEnum):
    """What a field holds, and so which operators it takes."""

    KEYWORD = "keyword"
    TIME = "time"
    METADATA = "metadata"


FIELDS: dict[str, FieldKind] = {
    "collection": FieldKind.KEYWORD,
    "document_id": FieldKind.KEYWORD,
    "label": FieldKind.KEYWORD,
    "labels": FieldKind.KEYWORD,
    "source": FieldKind.KEYWORD,
    "title": FieldKind.KEYWORD,
    "updated_at": FieldKind.TIME,
}
"""Every field but `metadata.<name>`. `label` is another spelling of `labels`."""

# RFC 3339 full-date or date-time; a date alone is its first moment in UTC.
_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2}))?", re.ASCII)


def parse_time(text: str) -> datetime:
    """The moment in UTC. Raises: ValueError if the text is not an RFC 3339 date or date-time."""
    if not _RFC3339.fullmatch(text):
        raise ValueError(f"not an RFC 3339 time: {text!r}")
    if len(text) == 10:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"time out of range: {text!r}") from error


def kind_of(key: str) -> FieldKind | None:
    """Kind of a known field, None for an unknown one."""
    if key.startswith(METADATA_PREFIX):
        return FieldKind.METADATA if len(key) > len(METADATA_PREFIX) else None
    return FIELDS.get(key)


def _key(value: object) -> str:
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "a field name is a string")
    if kind_of(_encodable(value)) is None:
        raise PydanticCustomError(
            "unknown_field",
            "unknown field {key}; known are metadata.<name>, {known}",
            {"key": value[:100], "known": ", ".join(FIELDS)},
        )
    return value


def _value(value: object) -> Value:
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, bool | int | float) and is_finite(value):
        return value
    raise PydanticCustomError("filter_value", "a value is a string, a finite number or a boolean")


def _bound(value: object) -> Number | datetime:
    if isinstance(value, str):
        try:
            return parse_time(value)
        except ValueError as error:
            raise PydanticCustomError("filter_bound", "a bound is a number or an RFC 3339 time") from error
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if isinstance(value, int | float) and not isinstance(value, bool) and is_finite(value):
        return value
    raise PydanticCustomError("filter_bound", "a bound is a number or an RFC 3339 time")


def _encodable(text: str) -> str:
    # JSON may carry a lone surrogate, which no engine can take over the wire.
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PydanticCustomError("string_unicode", "the text holds a lone surrogate") from error
    return text


_VALUE_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}
_BOUND_SCHEMA = {"anyOf": [{"type": "number"}, {"type": "string", "format": "date-time"}]}

# Plain validators, because a union would put the name of its member into the error's location.
_FieldKey = Annotated[str, PlainValidator(_key), WithJsonSchema({"type": "string"})]
_FieldValue = Annotated[Value, PlainValidator(_value), WithJsonSchema(_VALUE_SCHEMA)]
_FieldBound = Annotated[Any, PlainValidator(_bound), WithJsonSchema(_BOUND_SCHEMA)]
_OPERATORS = ("any_of", "equals", "exists", "range")


class Condition(BaseModel):
    """A test of one field (`key` and one operator), or a nested group (`must`, `must_not`, `should`).

    A field with several values passes if one of them does. `exists` is false for an absent or empty field.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    key: _FieldKey | None = Field(None, description="`metadata.<name>`, `updated_at`, `source`, `title`, …")
    any_of: tuple[_FieldValue, ...] | None = Field(
        None, alias="in", min_length=1, max_length=MAX_VALUES, description="one of these values"
    )
    equals: _FieldValue | None = Field(None, description="this value")
    gt: _FieldBound | None = Field(None, description="above this number or time")
    gte: _FieldBound | None = Field(None, description="this number or time, or above")
    lt: _FieldBound | None = Field(None, description="below this number or time")
    lte: _FieldBound | None = Field(None, description="this number or time, or below")
    exists: bool | None = Field(None, strict=True, description="whether the field has a value")
    must: tuple[Condition, ...] = Field((), max_length=MAX_CONDITIONS, description="all of these")
    must_not: tuple[Condition, ...] = Field((), max_length=MAX_CONDITIONS, description="none of these")
    should: tuple[Condition, ...] = Field((), max_length=MAX_CONDITIONS, description="at least one of these")

    @property
    def bounds(self) -> dict[str, Number | datetime]:
        """The given bounds by operator name."""
        pairs = {"gt": self.gt, "gte": self.gte, "lt": self.lt, "lte": self.lte}
        return {name: bound for name, bound in pairs.items() if bound is not None}

    @property
    def children(self) -> tuple[Condition, ...]:
        return (*self.must, *self.must_not, *self.should)

    def operators(self) -> list[str]:
        """Names of the operators given, as `_OPERATORS` spells them."""
        given = (self.any_of, self.equals, self.exists, self.bounds or None)
        return [name for name, value in zip(_OPERATORS, given, strict=True) if value is not None]

    @model_validator(mode="after")
    def _is_one_test(self) -> Self:
        operators = self.operators()
        if self.key is None:
            if operators or not self.children:
                raise PydanticCustomError("filter_condition", "a condition needs a key and an operator, or a group")
            return self
        if self.children or len(operators) != 1:
            raise PydanticCustomError("filter_condition", "a key takes exactly one of: in, equals, a range, exists")
        if len({isinstance(bound, datetime) for bound in self.bounds.values()}) > 1:
            raise PydanticCustomError("filter_bound", "bounds are all numbers or all times")
        self._fits_the_field(kind_of(self.key), operators[0])
        return self

    def _fits_the_field(self, kind: FieldKind | None, operator: str) -> None:
        values = (*(self.any_of or ()), *(() if self.equals is None else (self.equals,)))
        if kind is FieldKind.KEYWORD:
            if operator == "range" or not all(isinstance(value, str) for value in values):
                raise PydanticCustomError("filter_type", "{key} takes strings", {"key": self.key})
        elif kind is FieldKind.TIME and (
            not all(is_time(value) for value in values)
            or not all(isinstance(bound, datetime) for bound in self.bounds.values())
        ):
            raise PydanticCustomError("filter_type", "{key} takes RFC 3339 times", {"key": self.key})


class Filter(BaseModel):
    """`{"must": [...], "must_not": [...], "should": [...]}` over document fields; an empty filter passes everything."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    must: tuple[Condition, ...] = Field((), max_length=MAX_CONDITIONS, description="all of these")
    must_not: tuple[Condition, ...] = Field((), max_length=MAX_CONDITIONS, description="none of these")
    should: tuple[Condition, ...] = Field((), max_length=MAX_CONDITIONS, description="at least one of these")

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        conditions = list(walk(self))
        if len(conditions) > MAX_CONDITIONS:
            raise PydanticCustomError("filter_size", "at most {limit} conditions", {"limit": MAX_CONDITIONS})
        if any(pointer.count("/") > 2 * MAX_DEPTH for pointer, _ in conditions):
            raise PydanticCustomError("filter_depth", "groups nest at most {limit} deep", {"limit": MAX_DEPTH})
        return self


def parse(data: object, *, pointer: str = "/filter") -> Filter:
    """The filter that JSON data states. Raises: InvalidRequest with the pointer of the offending part."""
    try:
        return Filter.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = "".join(f"/{_escape(str(part))}" for part in first["loc"])
        raise InvalidRequest(f"filter: {first['msg']}", pointer=pointer + path) from error


def check(filter_: Filter, known_metadata_keys: Collection[str] | None, *, pointer: str = "/filter") -> None:
    """Raises InvalidRequest for the first metadata key that is not known; None accepts every key."""
    if known_metadata_keys is None:
        return
    for where, condition in walk(filter_):
        key = condition.key
        if key is not None and kind_of(key) is FieldKind.METADATA:
            name = key.removeprefix(METADATA_PREFIX)
            if name not in known_metadata_keys:
                raise InvalidRequest(f"filter: no document has {key}", pointer=f"{pointer}{where}/key")


def walk(group: Filter | Condition, where: str = "") -> Iterator[tuple[str, Condition]]:
    """Every condition with its JSON pointer inside the filter, outermost first."""
    for clause, conditions in (("must", group.must), ("must_not", group.must_not), ("should", group.should)):
        for index, condition in enumerate(conditions):
            pointer = f"{where}/{clause}/{index}"
            yield pointer, condition
            yield from walk(condition, pointer)


def is_finite(value: Number) -> bool:
    """Whether a double can hold the number: the engines compare doubles."""
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 2**1023


def is_time(value: Value) -> bool:
    """Whether the value is an RFC 3339 time."""
    try:
        return isinstance(value, str) and bool(parse_time(value))
    except ValueError:
        return False


def _escape(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")
