"""Keys over HTTP: who gets in, what each may do, and that tenants and labels never meet."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.service.http_parts import Keyed, events_of, problem

CALLS: list[tuple[str, str, dict[str, Any], str]] = [
    ("POST", "/v1/search", {"json": {"query": "gateway"}}, "reader"),
    ("GET", "/v1/search?q=gateway", {}, "reader"),
    ("POST", "/v1/context", {"json": {"text": "gateway", "budget_tokens": 100}}, "reader"),
    ("POST", "/v1/answers", {"json": {"question": "gateway?"}}, "reader"),
    ("GET", "/v1/documents", {}, "reader"),
    ("GET", "/v1/documents/shared-id", {}, "reader"),
    ("GET", "/v1/documents/shared-id/content", {}, "reader"),
    ("GET", "/v1/jobs", {}, "ingester"),
    ("GET", "/metrics", {}, "reader"),
]
WRITES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/v1/documents", {"json": {"title": "x", "text": "x"}}),
    ("POST", "/v1/documents/batch", {"json": {"documents": [{}]}}),
    ("DELETE", "/v1/documents/nothing", {}),
    ("POST", "/v1/jobs/nothing/cancel", {}),
    ("GET", "/v1/jobs/nothing", {}),
]


@pytest.mark.parametrize(("method", "path", "arguments", "_key"), CALLS)
def test_without_a_key_nothing_is_told(
    keyed: Keyed, method: str, path: str, arguments: dict[str, Any], _key: str
) -> None:
    with keyed.client(None) as client:
        response = client.request(method, path, **arguments)
        problem(response, 401, "unauthenticated")
        assert response.headers["www-authenticate"] == "Bearer"
        wrong = client.request(method, path, headers={"Authorization": "Bearer pl_000000000000_x"}, **arguments)
        problem(wrong, 401, "unauthenticated")


@pytest.mark.parametrize(("method", "path", "arguments"), WRITES)
def test_without_a_key_nothing_is_changed(keyed: Keyed, method: str, path: str, arguments: dict[str, Any]) -> None:
    with keyed.client(None) as client:
        problem(client.request(method, path, **arguments), 401, "unauthenticated")


@pytest.mark.parametrize(("method", "path", "arguments", "key"), CALLS)
def test_with_its_scope_a_key_may(keyed: Keyed, method: str, path: str, arguments: dict[str, Any], key: str) -> None:
    for name in (key, "admin"):
        with keyed.client(name) as client:
            assert client.request(method, path, **arguments).status_code == 200


@pytest.mark.parametrize(("method", "path", "arguments"), WRITES)
def test_a_reader_may_not_write(keyed: Keyed, method: str, path: str, arguments: dict[str, Any]) -> None:
    with keyed.client("reader") as client:
        problem(client.request(method, path, **arguments), 403, "forbidden")


def test_an_ingester_may_not_read(keyed: Keyed) -> None:
    with keyed.client("ingester") as client:
        problem(client.get("/v1/documents/shared-id"), 403, "forbidden")
        problem(client.post("/v1/search", json={"query": "x"}), 403, "forbidden")
        problem(client.post("/v1/answers", json={"question": "x"}), 403, "forbidden")


def test_health_needs_no_key(keyed: Keyed) -> None:
    with keyed.client(None) as client:
        assert client.get("/health/live").json() == {"status": "ok"}
        assert client.get("/health/ready").json()["status"] == "ready"


def everything_shown(client: httpx.Client) -> str:
    """All that a key is told when it asks for everything, in one string."""
    question = {"question": "How do I restart the gateway when it answers 502, and when do salaries rise?"}
    shown = [
        client.post("/v1/search", json={"query": query, "mode": mode, "limit": 100}).text
        for query in ("gateway restart only", "salaries rise", "shared-id", "GH-5021")
        for mode in ("hybrid", "semantic", "keyword", "exact")
    ]
    shown += [client.post("/v1/context", json={"text": "restart the gateway; salaries", "budget_tokens": 5000}).text]
    shown += [client.post("/v1/answers", json=question).text]
    shown += [data for _, data in events_of(client.post("/v1/answers", json={**question, "stream": True}).text)]
    shown += [
        client.get("/v1/documents", params={"limit": 200}).text,
        client.get("/v1/documents/shared-id/content").text,
    ]
    return "\n".join(shown)


def test_a_tenant_sees_only_its_own(keyed: Keyed) -> None:
    with keyed.client("admin") as acme, keyed.client("beta") as beta:
        of_acme, of_beta = everything_shown(acme), everything_shown(beta)

    assert "Acme only" in of_acme
    assert "Beta only" in of_beta
    assert "Beta" not in of_acme
    assert "Acme" not in of_beta
    assert "alaries rise in April" not in of_beta


def test_a_tenant_cannot_touch_what_is_not_its_own(keyed: Keyed) -> None:
    with keyed.client("beta") as beta, keyed.client("admin") as acme:
        problem(beta.get("/v1/documents/salaries"), 404, "not_found")
        problem(beta.get("/v1/documents/salaries/content"), 404, "not_found")
        problem(beta.delete("/v1/documents/salaries"), 404, "not_found")
        job = acme.get("/v1/jobs").json()["jobs"][0]["id"]
        problem(beta.get(f"/v1/jobs/{job}"), 404, "not_found")
        problem(beta.post(f"/v1/jobs/{job}/cancel"), 404, "not_found")
        assert job not in beta.get("/v1/jobs").text
        assert acme.get("/v1/documents/salaries").status_code == 200


def test_labels_limit_what_is_read(keyed: Keyed) -> None:
    with keyed.client("hr") as hr, keyed.client("ops") as ops, keyed.client("reader") as reader:
        assert "Salaries rise in April" in everything_shown(hr)
        assert "Salaries rise in April" in everything_shown(reader), "a key without labels reads all of its tenant"
        shown = everything_shown(ops)
        problem(ops.get("/v1/documents/salaries"), 404, "not_found")
        problem(ops.get("/v1/documents/salaries/content"), 404, "not_found")
    assert "Acme only" in shown, "what has no label is for everyone within the tenant"
    assert "alaries rise in April" not in shown


def test_an_idempotency_key_is_the_tenants_own(keyed: Keyed) -> None:
    headers = {"Idempotency-Key": "the-same"}
    with keyed.client("admin") as acme, keyed.client("beta") as beta:
        first = acme.post("/v1/answers", json={"question": "gateway 502?"}, headers=headers).json()
        second = beta.post("/v1/answers", json={"question": "gateway 502?"}, headers=headers).json()

    assert first["answer_id"] != second["answer_id"]
    assert "Acme" not in str(second)
