"""`/v1/feedback`, on the server of the session."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.service.http_parts import Keyed, pointers, problem


def search(client: httpx.Client, query: str = "restart the gateway") -> dict[str, Any]:
    response = client.post("/v1/search", json={"query": query})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def give(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post("/v1/feedback", json=body)


def test_a_click_right_after_the_search_is_stored(client: httpx.Client) -> None:
    found = search(client)
    chunk = found["hits"][-1]["chunk_id"]

    response = give(client, query_id=found["query_id"], kind="click", chunk_id=chunk)

    assert response.status_code == 201, response.text
    told = response.json()
    assert (told["trace_id"], told["rank"], told["kind"]) == (found["query_id"], len(found["hits"]), "click")
    listed = client.get("/v1/feedback", params={"trace_id": found["query_id"]}).json()["feedback"]
    assert listed == [told]
    metrics = client.get("/metrics").text
    assert 'plumbline_feedback_total{kind="click",rating="none"}' in metrics


def test_an_answer_is_rated_and_corrected(client: httpx.Client) -> None:
    answer = client.post("/v1/answers", json={"question": "How do I restart the gateway?"}).json()

    rated = give(client, answer_id=answer["answer_id"], kind="rating", rating="down")
    corrected = give(client, answer_id=answer["answer_id"], kind="correction", text="Ask ada@example.org first.")
    opened = give(
        client, answer_id=answer["answer_id"], kind="click", chunk_id=answer["citations"][0]["chunk_id"], rank=1
    )

    assert [response.status_code for response in (rated, corrected, opened)] == [201, 201, 201]
    assert corrected.json()["text"] == "Ask [e-mail] first."
    assert rated.json()["trace_id"] == answer["answer_id"]


@pytest.mark.parametrize(
    ("body", "pointer", "says"),
    [
        ({"kind": "rating", "rating": "up"}, "/query_id", "give query_id, answer_id or triage_id"),
        ({"query_id": "a", "answer_id": "b", "kind": "rating", "rating": "up"}, "/answer_id", "leave out query_id"),
        ({"query_id": "a", "kind": "click"}, "/chunk_id", "needs chunk_id"),
        ({"query_id": "a", "kind": "rating"}, "/rating", "needs rating"),
        ({"query_id": "a", "kind": "correction"}, "/text", "needs text"),
        ({"query_id": "a", "kind": "outcome"}, "/outcome", "needs outcome"),
        ({"query_id": "a", "kind": "click", "chunk_id": "c", "text": "x"}, "/text", "send it as rating"),
        ({"query_id": "a", "kind": "outcome", "outcome": "resolved", "rating": "up"}, "/rating", "send it as rating"),
        ({"query_id": "a", "kind": "rating", "rating": "up", "rank": 2}, "/rank", "name its chunk_id"),
        ({"query_id": "a", "kind": "rating", "rating": "sideways"}, "/rating", "up"),
        ({"query_id": "a", "kind": "outcome", "outcome": "Two words"}, "/outcome", "pattern"),
        ({"query_id": "a", "kind": "correction", "text": " "}, "/text", "must not be empty"),
        ({"query_id": "a", "kind": "correction", "text": "a\0b"}, "/text", "NUL"),
        ({"query_id": "a", "kind": "rating", "rating": "up", "stars": 5}, "/stars", "not permitted"),
    ],
)
def test_what_does_not_belong_together_is_told(
    client: httpx.Client, body: dict[str, Any], pointer: str, says: str
) -> None:
    told = problem(give(client, **body), 422, "invalid_request")

    assert pointers(told) == [pointer]
    assert says in told["errors"][0]["detail"]


def test_a_chunk_that_was_not_shown_is_told(client: httpx.Client) -> None:
    found = search(client)

    told = problem(give(client, query_id=found["query_id"], kind="click", chunk_id="other"), 422, "invalid_request")

    assert pointers(told) == ["/chunk_id"]
    assert found["hits"][0]["chunk_id"] in told["detail"]


def test_an_unknown_query_is_not_found(client: httpx.Client) -> None:
    told = problem(give(client, query_id="nothing", kind="rating", rating="up"), 404, "not_found")

    assert "older than" in told["detail"]


def test_the_same_key_stores_it_once(client: httpx.Client) -> None:
    found = search(client)
    body = {"query_id": found["query_id"], "kind": "rating", "rating": "up"}
    headers = {"Idempotency-Key": f"feedback-{found['query_id']}"}

    first, again = (client.post("/v1/feedback", json=body, headers=headers) for _ in range(2))
    other = client.post("/v1/feedback", json={**body, "rating": "down"}, headers=headers)

    assert first.json() == again.json()
    problem(other, 409, "idempotency_key_reused")
    assert len(client.get("/v1/feedback", params={"trace_id": found["query_id"]}).json()["feedback"]) == 1


def test_the_list_pages(client: httpx.Client) -> None:
    found = search(client)
    for rating in ("up", "down", "up"):
        assert give(client, query_id=found["query_id"], kind="rating", rating=rating).status_code == 201

    wanted = {"trace_id": found["query_id"], "limit": 2}
    first = client.get("/v1/feedback", params=wanted).json()
    second = client.get("/v1/feedback", params={**wanted, "cursor": first["next_cursor"]}).json()

    assert [one["rating"] for one in first["feedback"] + second["feedback"]] == ["up", "down", "up"]
    assert second["next_cursor"] is None
    problem(client.get("/v1/feedback", params={"limit": 101}), 422, "invalid_request")
    problem(client.get("/v1/feedback", params={"cursor": "x"}), 422, "invalid_request")
    problem(client.get("/v1/feedback", params={"since": "2026-01-01T00:00:00"}), 422, "invalid_request")


def test_scopes_and_tenants(keyed: Keyed) -> None:
    with keyed.client("reader") as reader, keyed.client("judge") as judge, keyed.client("beta") as beta:
        found = search(reader)
        body = {"query_id": found["query_id"], "kind": "rating", "rating": "up"}

        problem(give(reader, **body), 403, "forbidden")
        assert give(judge, **body).status_code == 201
        problem(give(beta, **body), 404, "not_found")
        problem(judge.get("/v1/feedback"), 403, "forbidden")
        assert beta.get("/v1/feedback").json()["feedback"] == []
    with keyed.client("admin") as admin:
        assert admin.get("/v1/feedback", params={"trace_id": found["query_id"]}).json()["feedback"]
