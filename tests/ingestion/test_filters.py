"""The filter expression: what it accepts, and which part of a bad one it points at."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from ingestion.corpus import filters
from ingestion.corpus.filters import Condition, Filter, check, parse, parse_time
from ingestion.errors import InvalidRequest

_DEEP: dict[str, Any] = {"should": [{"should": [{"should": [{"key": "title", "exists": True}]}]}]}


def test_the_example_of_the_contract_is_read() -> None:
    found = parse(
        {
            "must": [
                {"key": "metadata.team", "in": ["payments"]},
                {"key": "updated_at", "gte": "2024-01-01T01:00:00+01:00"},
            ],
            "must_not": [{"key": "source", "equals": "git"}],
            "should": [{"key": "label", "exists": False}, {"must": [{"key": "metadata.n", "gt": 1, "lte": 2.5}]}],
        }
    )

    assert found.must[0] == Condition(key="metadata.team", any_of=("payments",))
    assert found.must[1].bounds == {"gte": datetime(2024, 1, 1, tzinfo=UTC)}
    assert found.should[1].must[0].bounds == {"gt": 1, "lte": 2.5}
    assert parse({}) == Filter()


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        (3, ""),
        ({"any": []}, "/any"),
        ({"must": {"key": "title"}}, "/must"),
        ({"must": [3]}, "/must/0"),
        ({"must": [{}]}, "/must/0"),
        ({"must": [{"must": []}]}, "/must/0"),
        ({"must": [{"equals": "x"}]}, "/must/0"),
        ({"must": [{"key": "team", "in": ["a"]}]}, "/must/0/key"),
        ({"must": [{"key": "metadata.", "in": ["a"]}]}, "/must/0/key"),
        ({"must": [{"key": "tenant", "equals": "other"}]}, "/must/0/key"),
        ({"must": [{"key": "readers", "equals": "*"}]}, "/must/0/key"),
        ({"must": [{"key": 3, "equals": "x"}]}, "/must/0/key"),
        ({"must": [{"key": "title"}]}, "/must/0"),
        ({"must": [{"key": "title", "equals": "a", "exists": True}]}, "/must/0"),
        ({"must": [{"key": "title", "equals": "a", "must": [{"key": "title", "equals": "b"}]}]}, "/must/0"),
        ({"must": [{"key": "title", "like": "a"}]}, "/must/0/like"),
        ({"must": [{"key": "title", "equals": 3}]}, "/must/0"),
        ({"must": [{"key": "title", "gte": 3}]}, "/must/0"),
        ({"must": [{"key": "title", "in": "a"}]}, "/must/0/in"),
        ({"must": [{"key": "title", "in": []}]}, "/must/0/in"),
        ({"must": [{"key": "title", "exists": "yes"}]}, "/must/0/exists"),
        ({"must": [{"key": "metadata.a", "in": ["x", {}]}]}, "/must/0/in/1"),
        ({"must": [{"key": "metadata.a", "equals": ["x"]}]}, "/must/0/equals"),
        ({"must": [{"key": "metadata.a", "equals": float("nan")}]}, "/must/0/equals"),
        ({"must": [{"key": "metadata.a", "equals": 10**400}]}, "/must/0/equals"),
        ({"must": [{"key": "metadata.a", "equals": "\ud800"}]}, "/must/0/equals"),
        ({"must": [{"key": "metadata.\ud800", "equals": "a"}]}, "/must/0/key"),
        ({"must": [{"key": "metadata.a", "gte": "soon"}]}, "/must/0/gte"),
        ({"must": [{"key": "metadata.a", "gte": True}]}, "/must/0/gte"),
        ({"must": [{"key": "metadata.a", "gte": 1, "lt": "2024-01-01"}]}, "/must/0"),
        ({"must": [{"key": "updated_at", "gte": 3}]}, "/must/0"),
        ({"must": [{"key": "updated_at", "equals": "2024-13-01"}]}, "/must/0"),
        ({"must": [{"key": "updated_at", "lt": "2024-01-01T00:00:00"}]}, "/must/0/lt"),
        ({"should": [{"must_not": [{"key": "nope", "exists": True}]}]}, "/should/0/must_not/0/key"),
        ({"must": [{"key": "title", "exists": True}] * 257}, "/must"),
        ({"must": [{"key": "title", "exists": True}] * 200, "should": [{"key": "title", "exists": True}] * 200}, ""),
        ({"must": [{"key": "title", "in": ["x"] * 1001}]}, "/must/0/in"),
        ({"must": [_DEEP]}, ""),
    ],
)
def test_a_bad_filter_is_refused_with_its_pointer(data: object, pointer: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(data)

    assert caught.value.pointer == "/filter" + pointer


def test_three_levels_of_groups_are_read() -> None:
    assert parse(_DEEP).should[0].should[0].should[0].key == "title"


def test_pointers_are_escaped() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse({"a/b~c": []}, pointer="")

    assert caught.value.pointer == "/a~1b~0c"


def test_errors_inside_a_request_model_have_the_same_place() -> None:
    class Request(BaseModel):
        filter: Filter | None = None

    with pytest.raises(ValidationError) as caught:
        Request.model_validate({"filter": {"must": [{"key": "nope", "exists": True}]}})

    assert caught.value.errors()[0]["loc"] == ("filter", "must", 0, "key")


def test_metadata_keys_are_checked_against_the_known_ones() -> None:
    found = parse(
        {"must": [{"key": "title", "exists": True}], "should": [{"must": [{"key": "metadata.tem", "equals": 1}]}]}
    )

    check(found, None)
    check(found, {"tem"})
    with pytest.raises(InvalidRequest) as caught:
        check(found, {"team"})
    assert caught.value.pointer == "/filter/should/0/must/0/key"


def test_the_schema_is_plain_json() -> None:
    schema = json.dumps(Filter.model_json_schema(by_alias=True))

    assert '"in"' in schema
    assert "any_of" not in schema


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-02-29", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2024-02-29T23:30:00Z", datetime(2024, 2, 29, 23, 30, tzinfo=UTC)),
        ("2024-02-29t23:30:00.5z", datetime(2024, 2, 29, 23, 30, 0, 500_000, tzinfo=UTC)),
        ("2024-02-29 23:30:00-02:00", datetime(2024, 3, 1, 1, 30, tzinfo=UTC)),
        ("2024-02-29T23:30:00.123456789Z", datetime(2024, 2, 29, 23, 30, 0, 123_456, tzinfo=UTC)),
    ],
)
def test_times_are_rfc_3339(text: str, moment: datetime) -> None:
    assert parse_time(text) == moment


@pytest.mark.parametrize(
    "text", ["", "2024", "20240229", "2024-W01-1", "2023-02-29", "2024-02-29T25:00:00Z", "٢٠٢٤-01-01"]
)
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_time(text)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["must", "must_not", "should", "key", "in", "equals", "gt", "gte", "lt", "lte", "exists"])
            | st.text(max_size=5),
            inner | st.sampled_from([*filters.FIELDS, "metadata.a", "2024-01-01"]),
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_any_json_is_read_or_refused(data: object) -> None:
    try:
        found = parse(data)
    except InvalidRequest as error:
        pointer = error.pointer
    else:
        assert isinstance(found, Filter)
        return
    assert pointer is not None
    assert pointer.startswith("/filter")
