"""`/v1/verify` over HTTP: one answer and many, passages and chunks, and what one tenant never learns of another."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.service.http_parts import Keyed, pointers, problem

PASSAGE = "Drain the host before you restart it. The drain waits 120 seconds for open requests."
BODY: dict[str, Any] = {
    "answer": "Drain the host first [4]. The drain waits 30 seconds for open requests [4].",
    "passages": [{"n": 4, "text": PASSAGE, "title": "Restart"}],
    "question": "How do I restart a host?",
}


def chunk_ids(client: httpx.Client, query: str) -> list[str]:
    return [hit["chunk_id"] for hit in client.post("/v1/search", json={"query": query}).json()["hits"]]


def test_a_verification_has_the_shape_of_an_answer(client: httpx.Client) -> None:
    told = client.post("/v1/verify", json=BODY).json()
    answer = client.post("/v1/answers", json={"question": "How do I restart the gateway?"}).json()

    assert told.keys() == {"sentences", "grounding", "citations", "unknown_citations", "timings_ms"}
    assert told["grounding"].keys() == answer["grounding"].keys()
    assert told["sentences"][0].keys() == answer["sentences"][0].keys()
    assert [sentence["support"]["label"] for sentence in told["sentences"]] == ["supported", "contradicted"]
    assert [sentence["citations"] for sentence in told["sentences"]] == [[4], [4]]
    assert told["grounding"]["label"] == "partial"
    assert told["grounding"]["unsupported_sentences"] == 1
    for citation in told["citations"]:
        assert PASSAGE[citation["span"]["start"] : citation["span"]["end"]] == citation["quote"]
        assert (citation["n"], citation["document"], citation["chunk_id"]) == (4, None, None)


def test_chunks_are_read_from_the_corpus(client: httpx.Client) -> None:
    ids = chunk_ids(client, "gateway 502")
    body = {"answer": "Error code GH-5021 means that no upstream is healthy.", "chunk_ids": ids}

    told = client.post("/v1/verify", json=body).json()

    assert told["grounding"]["label"] == "grounded"
    (citation,) = told["citations"]
    assert citation["document"]["id"] == "runbooks/gateway.md"
    assert citation["chunk_id"] == ids[citation["n"] - 1]
    content = client.get(f"/v1/documents/{citation['document']['id']}/content").json()["text"]
    assert content[citation["span"]["start"] : citation["span"]["end"]] == citation["quote"]


def test_a_foreign_chunk_is_as_unknown_as_one_that_never_was(keyed: Keyed) -> None:
    with keyed.client("beta") as beta, keyed.client("hr") as hr, keyed.client("ops") as ops:
        foreign = chunk_ids(beta, "gateway")[0]
        secret = chunk_ids(hr, "salaries rise")[0]
        never = "00000000-0000-5000-8000-000000000000"
        told = []
        for id_ in (foreign, secret, never):
            body = problem(ops.post("/v1/verify", json={"answer": "x", "chunk_ids": [id_]}), 422, "invalid_request")
            assert pointers(body) == ["/chunk_ids/0"]
            told.append(body["detail"].replace(id_, "ID"))
        allowed = hr.post("/v1/verify", json={"answer": "Salaries rise in April.", "chunk_ids": [secret]})

    assert len(set(told)) == 1
    assert allowed.json()["grounding"]["label"] == "grounded"


@pytest.mark.parametrize("path", ["/v1/verify", "/v1/verify/batch"])
def test_it_takes_the_permission_to_answer(keyed: Keyed, path: str) -> None:
    with keyed.client("ingester") as ingester, keyed.client(None) as nobody:
        problem(ingester.post(path, json=BODY), 403, "forbidden")
        problem(nobody.post(path, json=BODY), 401, "unauthenticated")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"answer": None}, "/answer"),
        ({"answer": " \n"}, "/answer"),
        ({"answer": "é" * 50_001}, "/answer"),
        ({"answer": "1 " * 20_000}, "/answer"),
        ({"passages": []}, "/passages"),
        ({"passages": [{"text": "a"}] * 101}, "/passages"),
        ({"passages": [{"text": ""}]}, "/passages/0/text"),
        ({"passages": [{"text": "a", "n": -1}]}, "/passages/0/n"),
        ({"passages": [{"text": "a", "n": 0}]}, "/passages/0/n"),
        ({"passages": [{"text": "a", "n": 1000}]}, "/passages/0/n"),
        ({"passages": [{"text": "a", "n": "1"}]}, "/passages/0/n"),
        ({"passages": [{"text": "a", "n": 2}, {"text": "b", "n": 2}]}, "/passages/1/n"),
        ({"passages": [{"text": "a", "n": 2}, {"text": "b"}]}, "/passages/1/n"),
        ({"passages": [{"text": "a" * 600_000}, {"text": "b" * 600_000}]}, "/passages/1/text"),
        ({"passages": [{"text": "a", "titel": "b"}]}, "/passages/0/titel"),
        ({"chunk_ids": ["x"]}, "/passages"),
        ({"passages": None, "chunk_ids": ["x", "x"]}, "/chunk_ids/1"),
        ({"passages": None, "chunk_ids": ["x"] * 101}, "/chunk_ids"),
        ({"question": ""}, "/question"),
        ({"query": "x"}, "/query"),
    ],
)
def test_what_is_wrong_is_named(client: httpx.Client, change: dict[str, Any], pointer: str) -> None:
    body = {name: value for name, value in (BODY | change).items() if value is not None}

    assert pointers(problem(client.post("/v1/verify", json=body), 422, "invalid_request")) == [pointer]


def test_bodies_that_are_no_request(client: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}

    assert pointers(problem(client.post("/v1/verify", content="{", headers=headers), 422, "invalid_request")) == [""]
    assert pointers(problem(client.post("/v1/verify", json=[1]), 422, "invalid_request")) == [""]
    problem(client.post("/v1/verify", content="x"), 415, "unsupported_media_type")
    problem(client.post("/v1/verify", content=b" " * 4_000_001, headers=headers), 413, "request_too_large")
    problem(client.post("/v1/verify/batch", content=b" " * 10_000_001, headers=headers), 413, "request_too_large")


def test_the_largest_request_is_answered(client: httpx.Client) -> None:
    filler = "Каждый депо открывается в шесть утра. " * 7300
    passages = [{"text": filler[: 1_000_000 // 2 - 200]}, {"text": PASSAGE}]

    body = json.dumps({"answer": "Drain the host first [2].", "passages": passages})
    response = client.post("/v1/verify", content=body, headers={"Content-Type": "application/json"})

    assert response.status_code == 200, response.text
    assert response.json()["sentences"][0]["support"]["label"] == "supported"


def test_one_bad_item_never_fails_the_others(client: httpx.Client) -> None:
    items = [{"id": "a", **BODY}, {"id": 7, **BODY, "passages": [{"text": ""}]}, BODY, "nonsense", {"id": [1], **BODY}]
    items.append({"id": "chunk", "answer": "x", "chunk_ids": ["nonesuch"]})

    told = client.post("/v1/verify/batch", json={"items": items}).json()["items"]

    alone = client.post("/v1/verify", json=BODY).json()
    assert [item["id"] for item in told] == ["a", 7, None, None, None, "chunk"]
    for good in (told[0], told[2]):
        assert good["error"] is None
        assert good["result"] | {"timings_ms": {}} == alone | {"timings_ms": {}}
    assert [item["error"] and item["error"]["pointer"] for item in told] == [
        *(None, "/passages/0/text", None, "", "/id", "/chunk_ids/0"),
    ]
    assert all(item["result"] is None for item in told if item["error"])


@pytest.mark.parametrize(("items", "pointer"), [([], "/items"), ([BODY] * 101, "/items"), (None, "/items")])
def test_a_batch_has_one_to_a_hundred_items(client: httpx.Client, items: Any, pointer: str) -> None:
    body = {} if items is None else {"items": items}

    assert pointers(problem(client.post("/v1/verify/batch", json=body), 422, "invalid_request")) == [pointer]


def test_the_example_of_the_schema_is_answered(client: httpx.Client) -> None:
    schema = client.get("/openapi.json").json()["components"]["schemas"]["VerifyRequest"]

    assert [client.post("/v1/verify", json=example).status_code for example in schema["examples"]] == [200]


def test_stages_are_measured(client: httpx.Client) -> None:
    client.post("/v1/verify", json=BODY)

    assert 'operation="verify"' in client.get("/metrics").text
