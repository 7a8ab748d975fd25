"""`/v1/traces` and `plumbline traces`: what was asked is found again, by the admins of its tenant only."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from service.cli import app
from tests.service.http_parts import Keyed, problem


def asked(client: httpx.Client, query: str = "restart the gateway") -> dict[str, Any]:
    response = client.post("/v1/search", json={"query": query})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_a_search_is_found_right_after_its_response(client: httpx.Client) -> None:
    found = asked(client)
    trace = client.get(f"/v1/traces/{found['query_id']}").json()
    assert (trace["operation"], trace["outcome"], trace["query"]) == ("search", "ok", "restart the gateway")
    assert trace["relevance"] == found["relevance"]["label"]
    assert trace["index_version"] == found["index_version"]
    assert [one["chunk_id"] for one in trace["body"]["passages"]] == [hit["chunk_id"] for hit in found["hits"]]
    (best, *_) = trace["body"]["candidates"]
    assert best.keys() >= {"chunk_id", "dense", "sparse", "fused"}
    shown = {hit["chunk_id"]: (hit["document"]["id"], hit["span"], hit["text"]) for hit in found["hits"]}
    chunks = {id_: (one["document"]["id"], one["span"], one["text"]) for id_, one in trace["chunks"].items()}
    assert chunks.items() >= shown.items()
    assert chunks.keys() == {one["chunk_id"] for one in trace["body"]["candidates"]}
    assert trace["timings"].keys() == found["timings_ms"].keys()
    assert (trace["model_calls"], trace["feedback"]) == ([], [])
    assert trace["links"]["self"] == f"/v1/traces/{trace['id']}"
    alike = asked(client, "Restart  the GATEWAY")["query_id"]
    client.get(f"/v1/traces/{alike}")
    listed = client.get(trace["links"]["alike"]).json()["traces"]
    assert {found["query_id"], alike} <= {one["id"] for one in listed}


def test_an_answer_is_found_by_both_of_its_ids(client: httpx.Client) -> None:
    told = client.post("/v1/answers", json={"question": "How do I restart the gateway after a 502?"}).json()
    trace = client.get(f"/v1/traces/{told['answer_id']}").json()
    assert client.get(f"/v1/traces/{told['query_id']}").json() == trace
    assert trace["body"]["text"] == told["text"]
    assert [one["text"] for one in trace["body"]["sentences"]] == [one["text"] for one in told["sentences"]]
    assert trace["grounding"] == told["grounding"]["label"]
    assert trace["degraded"] == told["degraded"]["reason"]


def test_a_context_pack_is_found(client: httpx.Client) -> None:
    pack = client.post("/v1/context", json={"text": "gateway 502", "budget_tokens": 300}).json()
    trace = client.get(f"/v1/traces/{pack['query_id']}").json()
    assert trace["body"]["tokens"] == pack["tokens"]
    assert trace["chunks"].keys() >= {one["chunk_id"] for one in trace["body"]["passages"]}


def test_only_an_admin_of_the_tenant_sees_a_trace(keyed: Keyed) -> None:
    with keyed.client("reader") as reader:
        id_ = asked(reader)["query_id"]
        problem(reader.get(f"/v1/traces/{id_}"), 403, "forbidden")
        problem(reader.get("/v1/traces"), 403, "forbidden")
    with keyed.client("admin") as admin:
        trace = admin.get(f"/v1/traces/{id_}").json()
        assert trace["key_id"] == keyed.tokens["reader"].split("_")[1]
        assert id_ in {one["id"] for one in admin.get("/v1/traces", params={"limit": 100}).json()["traces"]}
    with keyed.client("beta") as beta:
        problem(beta.get(f"/v1/traces/{id_}"), 404, "not_found")
        assert id_ not in {one["id"] for one in beta.get("/v1/traces", params={"limit": 100}).json()["traces"]}
    with keyed.client(None) as nobody:
        problem(nobody.get(f"/v1/traces/{id_}"), 401, "unauthenticated")


def test_feedback_stands_beside_its_trace(client: httpx.Client) -> None:
    id_ = asked(client)["query_id"]
    given = client.post("/v1/feedback", json={"query_id": id_, "kind": "rating", "rating": "down"})
    assert given.status_code == 201, given.text
    (told,) = client.get(f"/v1/traces/{id_}").json()["feedback"]
    assert (told["kind"], told["rating"]) == ("rating", "down")
    worst = client.get("/v1/traces", params={"sort": "worst", "limit": 100}).json()["traces"]
    assert id_ in {one["id"] for one in worst}


def test_a_list_pages_and_is_filtered(client: httpx.Client) -> None:
    ids = [asked(client, f"gateway {n}")["query_id"] for n in range(3)]
    client.get(f"/v1/traces/{ids[-1]}")
    seen, cursor = [], None
    while len(seen) < 3:
        page = client.get(
            "/v1/traces", params={"operation": "search", "limit": 2} | ({"cursor": cursor} if cursor else {})
        )
        assert page.status_code == 200, page.text
        seen += [one["id"] for one in page.json()["traces"]]
        cursor = page.json()["next_cursor"]
    assert seen[:3] == ids[::-1]
    assert client.get("/v1/traces", params={"window": "1h", "outcome": "nonsense"}).json()["traces"] == []


@pytest.mark.parametrize(
    "parameters",
    [{"limit": "101"}, {"sort": "best"}, {"window": "1y"}, {"cursor": "x"}, {"since": "2026-01-01"}, {"q": "x"}],
)
def test_what_cannot_be_asked_for_is_refused(client: httpx.Client, parameters: dict[str, str]) -> None:
    problem(client.get("/v1/traces", params=parameters), 422, "invalid_request")


def test_an_unknown_trace_is_not_found(client: httpx.Client) -> None:
    problem(client.get(f"/v1/traces/{uuid.uuid4()}"), 404, "not_found")


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["traces", *arguments], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_shows_a_trace(client: httpx.Client, keyless_url: str) -> None:
    told = client.post("/v1/answers", json={"question": "How do I restart the gateway after a 502?"}).json()
    shown = run("show", told["answer_id"], "--url", keyless_url)
    assert told["answer_id"] in shown
    assert "How do I restart the gateway after a 502?" in shown
    assert told["sentences"][0]["text"].splitlines()[0] in shown
    assert "fused" in shown
    as_json = json.loads(run("show", told["query_id"], "--url", keyless_url, "--json"))
    assert as_json["id"] == told["answer_id"]


def test_the_command_lists_traces(client: httpx.Client, keyless_url: str) -> None:
    id_ = asked(client, "a query of this test")["query_id"]
    client.get(f"/v1/traces/{id_}")
    shown = run("list", "--url", keyless_url, "--operation", "search", "--window", "1h", "--limit", "100")
    assert id_ in shown
    assert "a query of this test" in shown
    assert json.loads(run("list", "--url", keyless_url, "--worst", "--json"))["traces"]
