"""`/v1/search` and `/v1/context` over HTTP, and how they refuse what they can't take."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.http_parts import pointers, problem

REPO = Path(__file__).resolve().parents[2]


def test_a_search_has_the_shape_of_the_contract(client: httpx.Client) -> None:
    response = client.post("/v1/search", json={"query": "the gateway answers 502"})

    assert response.status_code == 200
    found = response.json()
    contract = {"query_id", "index_version", "total", "relevance", "hits", "facets", "timings_ms"}
    assert found.keys() == contract | {"total_is", "rerank", "corrections", "explanation"}
    assert found["relevance"]["label"] == "strong"
    assert found["relevance"].keys() == {"label", "confidence", "signals"}
    assert found["relevance"]["signals"].keys() == {"top_score", "margin", "lexical_coverage", "legs_agree"}
    hit = found["hits"][0]
    assert hit["document"]["id"] == "runbooks/gateway.md"
    assert hit.keys() == {
        *("chunk_id", "score", "scores", "document", "text", "heading_path", "page", "span", "highlights"),
        *("best_sentence", "duplicates", "more_passages", "explanation"),
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


EVERYTHING: dict[str, Any] = {
    "limit": 3,
    "facets": ["source", "metadata.team"],
    "group_by": "document",
    "sort": "newest",
    "fold": True,
    "rerank": False,
    "highlight": "meaning",
    "explain": True,
}


def test_get_takes_every_field_of_post(client: httpx.Client) -> None:
    prefer = {"freshness_half_life_days": 30, "sources": {"upload": 0.5}}
    posted = client.post("/v1/search", json={"query": "restart the gateway", **EVERYTHING, "prefer": prefer}).json()
    got = client.get(
        "/v1/search", params={"q": "restart the gateway", **EVERYTHING, "prefer": json.dumps(prefer)}
    ).json()

    left_out = {"query_id": "", "timings_ms": {}}
    assert posted | left_out == got | left_out
    assert posted["facets"].keys() == {"source", "metadata.team"}
    assert {"value": "payments", "count": 1} in posted["facets"]["metadata.team"]
    hit = posted["hits"][0]
    assert hit["span"]["start"] <= hit["best_sentence"]["start"] < hit["best_sentence"]["end"] <= hit["span"]["end"]
    assert hit["explanation"]["rank"] == 1
    assert hit["explanation"]["preference"].keys() == {"freshness", "source", "collection", "change"}
    assert hit["explanation"]["calibrated"].keys() == {"dense", "coverage", "literal", "score"}
    assert posted["explanation"]["candidates"]["dense"] > 0
    assert posted["rerank"] == {"applied": False, "scored": 0, "reason": "off"}
    assert {"facets", "highlight"} <= posted["timings_ms"].keys()


def test_both_ways_of_asking_have_the_same_fields(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    posted = set(described["components"]["schemas"]["SearchRequest"]["properties"])
    got = {parameter["name"] for parameter in described["paths"]["/v1/search"]["get"]["parameters"]}

    assert got - {"q"} == posted - {"query"}
    assert described["components"]["schemas"]["SearchRequest"]["properties"]["highlight"]["default"] is True


def test_a_total_says_whether_there_may_be_more(client: httpx.Client) -> None:
    exact = client.post("/v1/search", json={"query": "GH-5021", "mode": "exact"}).json()

    assert (exact["total"], exact["total_is"]) == (len(exact["hits"]), "exact")


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
    ({"query": "x", "facets": ["team"]}, "/facets/0"),
    ({"query": "x", "facets": ["source", "metadata.nobody"]}, "/facets/1"),
    ({"query": "x", "facets": ["source"] * 11}, "/facets"),
    ({"query": "x", "facets": "source"}, "/facets"),
    ({"query": "x", "sort": "updated_at"}, "/sort"),
    ({"query": "x", "fold": "yes"}, "/fold"),
    ({"query": "x", "rerank": 1}, "/rerank"),
    ({"query": "x", "explain": "true"}, "/explain"),
    ({"query": "x", "highlight": "words"}, "/highlight"),
    ({"query": "x", "highlight": 1}, "/highlight"),
    ({"query": "x", "offset": 1001}, "/offset"),
    ({"query": "x", "prefer": {"freshness_half_life_days": 0}}, "/prefer/freshness_half_life_days"),
    ({"query": "x", "prefer": {"sources": {"wiki": 2}}}, "/prefer/sources/wiki"),
    ({"query": "x", "prefer": {"collections": {"a": "1"}}}, "/prefer/collections/a"),
    ({"query": "x", "prefer": {"colour": "red"}}, "/prefer/colour"),
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
        ({"q": "x", "facets": "metadata.nobody"}, "/facets/0"),
        ({"q": "x", "sort": "age"}, "/sort"),
        ({"q": "x", "fold": "perhaps"}, "/fold"),
        ({"q": "x", "highlight": "perhaps"}, "/highlight"),
        ({"q": "x", "prefer": "{"}, "/prefer"),
        ({"q": "x", "prefer": '{"sources": {"wiki": 7}}'}, "/prefer/sources/wiki"),
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


def test_the_example_of_the_documentation_works(client: httpx.Client) -> None:
    chapter = (REPO / "docs" / "retrieval.md").read_text(encoding="utf-8")
    body = re.search(r"/v1/context -H '([\w-]+): ([\w/]+)' -d '(.*?)'\n```", chapter, re.DOTALL)
    assert body

    pack = client.post("/v1/context", content=body[3], headers={body[1]: body[2]})

    assert pack.status_code == 200, pack.text
    assert "GH-5021" in pack.json()["queries_used"][0]
    assert pack.json()["passages"][0]["document"]["title"] in pack.json()["context"]
    assert pack.json()["passages"][0].keys() == {
        *("n", "tokens", "score", "document", "chunk_id", "heading_path", "span", "chunk_ids", "truncated", "note")
    }


def test_the_example_of_the_schema_is_one(client: httpx.Client) -> None:
    schema = client.get("/openapi.json").json()["components"]["schemas"]["ContextRequest"]

    assert [client.post("/v1/context", json=example).status_code for example in schema["examples"]] == [200]


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
        ({"text": "x", "budget_tokens": "100"}, "/budget_tokens"),
        ({"text": " \n", "budget_tokens": 100}, "/text"),
        ({"text": "x", "budget_tokens": 100, "encoding": 7}, "/encoding"),
        ({"text": "x", "budget_tokens": 100, "collections": [""]}, "/collections/0"),
        ({"text": "x", "budget_tokens": 100, "budget": 7}, "/budget"),
        (
            {"text": "x", "budget_tokens": 100, "filter": {"must": [{"key": "metadata.no", "exists": True}]}},
            "/filter/must/0/key",
        ),
    ],
)
def test_a_context_that_cannot_be_built_is_refused(client: httpx.Client, body: dict[str, Any], pointer: str) -> None:
    assert pointers(problem(client.post("/v1/context", json=body), 422, "invalid_request")) == [pointer]
