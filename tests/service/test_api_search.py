"""`/v1/search` and `/v1/context` over HTTP, and how they refuse what they can't take."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.service.http_parts import pointers, problem


def test_a_search_has_the_shape_of_the_contract(client: httpx.Client) -> None:
    response = client.post("/v1/search", json={"query": "the gateway answers 502"})

    assert response.status_code == 200
    found = response.json()
    assert found.keys() == {"query_id", "index_version", "total", "relevance", "hits", "facets", "rerank", "timings_ms"}
    assert found["rerank"] == {"applied": False, "scored": 0, "reason": "off"}
    assert found["relevance"]["label"] == "strong"
    assert found["relevance"].keys() == {"label", "confidence", "signals"}
    assert found["relevance"]["signals"].keys() == {"top_score", "margin", "lexical_coverage", "legs_agree"}
    hit = found["hits"][0]
    assert hit["document"]["id"] == "runbooks/gateway.md"
    assert hit.keys() == {
        *("chunk_id", "score", "scores", "document", "text", "heading_path", "page", "span", "highlights")
    }
    assert 0 <= hit["score"] <= 1
    assert {"embed", "search", "rerank", "total"} <= found["timings_ms"].keys()


def test_spans_point_into_the_content(client: httpx.Client) -> None:
    hit = client.post("/v1/search", json={"query": "restart gateway"}).json()["hits"][0]
    content = client.get(f"/v1/documents/{hit['document']['id']}/content").json()["text"]

    assert content[hit["span"]["start"] : hit["span"]["end"]] == hit["text"]
    assert hit["highlights"]
    for highlight in hit["highlights"]:
        assert hit["span"]["start"] <= highlight["start"] < highlight["end"] <= hit["span"]["end"]


def test_get_and_post_find_the_same(client: httpx.Client) -> None:
    posted = client.post("/v1/search", json={"query": "refunds", "limit": 1}).json()
    got = client.get("/v1/search", params={"q": "refunds", "limit": 1}).json()

    assert posted["hits"] == got["hits"]
    assert posted["hits"][0]["document"]["id"] == "billing"


@pytest.mark.parametrize("mode", ["hybrid", "semantic", "keyword", "exact"])
def test_every_mode(client: httpx.Client, mode: str) -> None:
    found = client.post("/v1/search", json={"query": "GH-5021", "mode": mode}).json()

    assert found["hits"][0]["document"]["id"] == "runbooks/gateway.md"


def test_a_filter_narrows_the_search(client: httpx.Client) -> None:
    filter_ = {"must": [{"key": "metadata.team", "in": ["payments"]}]}

    posted = client.post("/v1/search", json={"query": "gateway", "filter": filter_}).json()
    got = client.get("/v1/search", params={"q": "gateway", "filter": json.dumps(filter_)}).json()

    assert {hit["document"]["id"] for hit in posted["hits"]} == {"billing"}
    assert {hit["document"]["id"] for hit in got["hits"]} == {"billing"}


def test_a_collection_narrows_the_search(client: httpx.Client) -> None:
    found = client.get("/v1/search", params={"q": "gateway", "collections": ["nowhere", "elsewhere"]}).json()

    assert found["hits"] == []
    assert found["relevance"]["label"] == "none"


BAD_SEARCHES: list[tuple[dict[str, Any], str]] = [
    ({}, "/query"),
    ({"query": ""}, "/query"),
    ({"query": " \n"}, "/query"),
    ({"query": 7}, "/query"),
    ({"query": "é" * 4001}, "/query"),
    ({"query": "x", "limt": 3}, "/limt"),
    ({"query": "x", "limit": 0}, "/limit"),
    ({"query": "x", "limit": 101}, "/limit"),
    ({"query": "x", "limit": "5"}, "/limit"),
    ({"query": "x", "offset": -1}, "/offset"),
    ({"query": "x", "mode": "fuzzy"}, "/mode"),
    ({"query": "x", "group_by": "tenant"}, "/group_by"),
    ({"query": "x", "collections": "a"}, "/collections"),
    ({"query": "x", "collections": ["a", "\0"]}, "/collections/1"),
    ({"query": "x", "filter": {"must": [{"key": "colour", "equals": "red"}]}}, "/filter/must/0/key"),
    ({"query": "x", "filter": {"must": [{"key": "metadata.nobody", "equals": "x"}]}}, "/filter/must/0/key"),
    ({"query": "x", "filter": {"must": [{"key": "updated_at", "gte": "tomorrow"}]}}, "/filter/must/0/gte"),
    ({"query": "x", "filter": {"must": [{}]}}, "/filter/must/0"),
    ({"query": "x", "filter": {"musst": []}}, "/filter/musst"),
    ({"query": "x", "filter": []}, "/filter"),
]


@pytest.mark.parametrize(("body", "pointer"), BAD_SEARCHES)
def test_what_is_wrong_is_named(client: httpx.Client, body: dict[str, Any], pointer: str) -> None:
    told = problem(client.post("/v1/search", json=body), 422, "invalid_request")

    assert pointers(told) == [pointer]
    assert told["detail"]


@pytest.mark.parametrize(
    ("parameters", "pointer"),
    [
        ({}, "/q"),
        ({"q": "x" * 8001}, "/q"),
        ({"q": "x", "limit": "101"}, "/limit"),
        ({"q": "x", "limit": "many"}, "/limit"),
        ({"q": "x", "filter": "{"}, "/filter"),
        ({"q": "x", "filter": '{"must": [{"key": "colour"}]}'}, "/filter/must/0/key"),
        ({"q": "x", "colour": "red"}, "/colour"),
    ],
)
def test_what_is_wrong_with_parameters_is_named(client: httpx.Client, parameters: dict[str, str], pointer: str) -> None:
    told = problem(client.get("/v1/search", params=parameters), 422, "invalid_request")

    assert pointers(told) == [pointer]


def test_the_longest_query_is_taken(client: httpx.Client) -> None:
    assert client.post("/v1/search", json={"query": "é" * 4000}).status_code == 200


def test_several_mistakes_are_told_at_once(client: httpx.Client) -> None:
    told = problem(client.post("/v1/search", json={"limit": 0, "x": 1}), 422, "invalid_request")

    assert sorted(pointers(told)) == ["/limit", "/query", "/x"]


def test_a_context_pack_keeps_to_its_budget(client: httpx.Client) -> None:
    ticket = "ALERT gateway answers 502\n" + "2026-02-01T10:00:00Z GH-5021 upstream=none\n" * 200
    request = {"text": ticket, "budget_tokens": 60}

    first, second = (client.post("/v1/context", json=request).json() for _ in range(2))

    assert 0 < first["tokens"] <= 60
    assert first.keys() == {*("query_id", "context", "passages", "tokens", "dropped", "relevance", "queries_used")}
    assert {**first, "query_id": ""} == {**second, "query_id": ""}


def test_nothing_relevant_is_an_empty_context(client: httpx.Client) -> None:
    pack = client.post("/v1/context", json={"text": "zebra crossing pancake recipe", "budget_tokens": 500}).json()

    assert pack["context"] == ""
    assert pack["tokens"] == 0
    assert pack["relevance"]["label"] == "none"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"text": "x"}, "/budget_tokens"),
        ({"text": "x", "budget_tokens": 1}, "/budget_tokens"),
        ({"text": "é" * 50_001, "budget_tokens": 100}, "/text"),
        ({"text": "x", "budget_tokens": 100, "encoding": "morse"}, "/encoding"),
        ({"text": "x", "budget_tokens": 100, "max_passages": 51}, "/max_passages"),
        (
            {"text": "x", "budget_tokens": 100, "filter": {"must": [{"key": "metadata.no", "exists": True}]}},
            "/filter/must/0/key",
        ),
    ],
)
def test_a_context_that_cannot_be_built_is_refused(client: httpx.Client, body: dict[str, Any], pointer: str) -> None:
    assert pointers(problem(client.post("/v1/context", json=body), 422, "invalid_request")) == [pointer]
