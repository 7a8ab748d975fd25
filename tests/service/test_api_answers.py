"""`/v1/answers` over HTTP, whole and as a stream, without a model and with a scripted one."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.service.http_parts import events_of, pointers, problem

QUESTION = "How do I restart the gateway?"


def test_an_answer_has_the_shape_of_the_contract(client: httpx.Client) -> None:
    answer = client.post("/v1/answers", json={"question": QUESTION}).json()

    assert answer.keys() == {
        *("answer_id", "query_id", "answered", "text", "sentences", "citations", "grounding", "relevance", "refusal"),
        *("degraded", "model", "prompt_version", "usage", "timings_ms", "decisions"),
    }
    assert answer["answered"]
    assert answer["degraded"] == {"reason": "model_not_configured", "mode": "extractive"}
    assert answer["grounding"]["label"] == "grounded"
    numbers = {citation["n"] for citation in answer["citations"]}
    for sentence in answer["sentences"]:
        assert sentence["citations"]
        assert set(sentence["citations"]) <= numbers
        assert sentence["support"]["label"] == "supported"


def test_citations_resolve_to_exact_spans(client: httpx.Client) -> None:
    citations = client.post("/v1/answers", json={"question": QUESTION}).json()["citations"]

    assert citations
    for citation in citations:
        content = client.get(f"/v1/documents/{citation['document']['id']}/content").json()["text"]
        assert content[citation["span"]["start"] : citation["span"]["end"]] == citation["quote"]


def test_what_is_not_there_is_refused(client: httpx.Client) -> None:
    answer = client.post("/v1/answers", json={"question": "Who invented the pancake?"}).json()

    assert not answer["answered"]
    assert answer["refusal"]["reason"] == "nothing_relevant"
    assert answer["citations"] == []
    assert answer["grounding"] is None


def test_a_stream_tells_the_same_in_pieces(client: httpx.Client) -> None:
    response = client.post("/v1/answers", json={"question": QUESTION, "stream": True})

    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-request-id"]
    events = [(name, json.loads(data)) for name, data in events_of(response.text)]
    names = [name for name, _ in events]
    assert names[0] == "retrieval"
    assert names[-2:] == ["grounding", "done"]
    assert set(names[1:-2]) == {"sentence"}
    done = events[-1][1]
    sentences = [
        {key: data[key] for key in ("text", "citations", "support")} for name, data in events if name == "sentence"
    ]
    assert sentences == done["sentences"]
    sources = [source for name, data in events if name == "sentence" for source in data["sources"]]
    assert all(source in done["citations"] for source in sources)
    assert done["answer_id"] == events[0][1]["answer_id"]
    whole = client.post("/v1/answers", json={"question": QUESTION}).json()
    assert whole["text"] == done["text"]


def test_a_wrong_request_is_no_stream(client: httpx.Client) -> None:
    body = {"question": "x", "stream": True, "filter": {"must": [{"key": "metadata.no", "equals": 1}]}}

    assert pointers(problem(client.post("/v1/answers", json=body), 422, "invalid_request")) == ["/filter/must/0/key"]


def test_history_is_taken_also_when_it_is_long(client: httpx.Client) -> None:
    history = [{"role": "user", "content": "gateway " * 2000}, {"role": "assistant", "content": "Restart it."}]

    response = client.post("/v1/answers", json={"question": "and then?", "history": history})

    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/question"),
        ({"question": "é" * 4001}, "/question"),
        ({"question": "x", "stream": "yes"}, "/stream"),
        ({"question": "x", "tier": "cheap"}, "/tier"),
        ({"question": "x", "history": [{"role": "system", "content": "x"}]}, "/history/0/role"),
        ({"question": "x", "history": [{"role": "user", "content": "x"}] * 21}, "/history"),
        ({"question": "x", "model": "gpt"}, "/model"),
    ],
)
def test_what_is_wrong_is_named(client: httpx.Client, body: dict[str, Any], pointer: str) -> None:
    assert pointers(problem(client.post("/v1/answers", json=body), 422, "invalid_request")) == [pointer]


def test_the_same_request_is_answered_once(client: httpx.Client) -> None:
    headers = {"Idempotency-Key": "answers-1"}
    first = client.post("/v1/answers", json={"question": QUESTION}, headers=headers)
    second = client.post("/v1/answers", json={"question": QUESTION}, headers=headers)

    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    other = client.post("/v1/answers", json={"question": "x"}, headers=headers)
    problem(other, 409, "idempotency_key_reused")


def test_a_stream_takes_no_idempotency_key(client: httpx.Client) -> None:
    body = {"question": QUESTION, "stream": True}

    problem(client.post("/v1/answers", json=body, headers={"Idempotency-Key": "x"}), 422, "invalid_request")
