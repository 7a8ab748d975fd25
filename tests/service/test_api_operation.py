"""What operators and programmers rely on: errors, request ids, limits, health, metrics and the OpenAPI document."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

import service.errors  # noqa: F401 - its errors join the tree
from ingestion.errors import BackendUnavailable, ConfigurationError, PlumblineError
from service.api.edge import MAX_JSON_BYTES
from service.api.problems import STATUSES, fault_of, pointer_of
from service.errors import ModelFailure
from service.ledger.metrics import METRICS
from tests.service.http_parts import problem, running, settings_for

BODIES = ("/v1/search", "/v1/context", "/v1/answers", "/v1/documents", "/v1/documents/batch")


def test_unknown_routes_and_methods_are_problems(client: httpx.Client) -> None:
    problem(client.get("/v1/nothing"), 404, "not_found")
    problem(client.put("/v1/search"), 405, "method_not_allowed")
    assert client.put("/v1/search").headers["allow"]


def test_a_request_id_is_taken_or_made(client: httpx.Client) -> None:
    given_id = client.get("/health/live", headers={"X-Request-ID": "my-id.1"})
    made = client.get("/health/live")
    unfit = client.get("/health/live", headers={"X-Request-ID": "no good"})

    assert given_id.headers["x-request-id"] == "my-id.1"
    assert re.fullmatch(r"[0-9a-f]{32}", made.headers["x-request-id"])
    assert re.fullmatch(r"[0-9a-f]{32}", unfit.headers["x-request-id"])


@pytest.mark.parametrize("path", ["/v1/search", "/v1/context", "/v1/answers", "/v1/nothing"])
def test_a_long_body_is_refused(client: httpx.Client, path: str) -> None:
    told = problem(client.post(path, content=b" " * (MAX_JSON_BYTES + 1)), 413, "request_too_large")

    assert str(MAX_JSON_BYTES) in told["detail"]


def test_a_long_body_without_a_length_is_refused(client: httpx.Client) -> None:
    pieces = (b" " * 100_000 for _ in range(12))

    response = client.post("/v1/search", content=pieces, headers={"Content-Type": "application/json"})

    problem(response, 413, "request_too_large")


def test_uploads_have_a_limit_of_their_own(tmp_path: Path, models_dir: Path) -> None:
    limited = settings_for(tmp_path, models_dir, server={"max_upload_bytes": 2_000_000})
    with running(limited) as url, httpx.Client(base_url=url, timeout=60) as client:
        large, too_large = b"word " * 300_000, b"word " * 420_000

        taken = client.post("/v1/documents", files=[("files", ("large.txt", large))])
        refused = client.post("/v1/documents", files=[("files", ("too-large.txt", too_large))])

        assert taken.status_code == 202
        problem(refused, 413, "request_too_large")
        client.post(f"/v1/jobs/{taken.json()['job_id']}/cancel")


def test_health(client: httpx.Client) -> None:
    assert client.get("/health/live").json() == {"status": "ok"}
    ready = client.get("/health/ready")
    assert ready.status_code == 200
    assert ready.json() == {"status": "ready", "dependencies": {"database": "ok", "index": "ok"}, "sources": {}}


def test_metrics_count_what_happens(client: httpx.Client) -> None:
    client.post("/v1/search", json={"query": "gateway"})
    client.post("/v1/answers", json={"question": "How do I restart the gateway?"})
    client.get("/v1/no/such/path")

    response = client.get("/metrics")

    assert response.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }
    for metric in METRICS:  # those about models are there, though none was called
        assert f"# TYPE {metric.name} {metric.kind}\n" in response.text
    assert samples["plumbline_relevance_total", (("label", "strong"), ("operation", "search"))] >= 1
    assert samples["plumbline_answers_total", (("degraded", "model_not_configured"), ("outcome", "answered"))] >= 1
    assert "no/such/path" not in response.text, "paths that clients make up must not make labels"


def test_the_openapi_document_is_the_contract(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()

    assert {path: sorted(methods) for path, methods in document["paths"].items()} == {
        "/v1/search": ["get", "post"],
        "/v1/context": ["post"],
        "/v1/answers": ["post"],
        "/v1/verify": ["post"],
        "/v1/verify/batch": ["post"],
        "/v1/documents": ["get", "post"],
        "/v1/documents/batch": ["post"],
        "/v1/documents/{document_id}/content": ["get"],
        "/v1/documents/{document_id}": ["delete", "get"],
        "/v1/sources": ["get", "post"],
        "/v1/sources/{source_id}": ["delete", "get", "put"],
        "/v1/sources/{source_id}/pause": ["post"],
        "/v1/sources/{source_id}/reconcile": ["get"],
        "/v1/sources/{source_id}/resume": ["post"],
        "/v1/sources/{source_id}/retry": ["post"],
        "/v1/sources/{source_id}/sync": ["post"],
        "/v1/generations": ["get", "post"],
        "/v1/generations/{name}/activate": ["post"],
        "/v1/jobs": ["get"],
        "/v1/jobs/{job_id}": ["get"],
        "/v1/jobs/{job_id}/cancel": ["post"],
        "/v1/quality": ["get"],
        "/v1/quality/series": ["get"],
        "/v1/feedback": ["get", "post"],
        "/v1/traces": ["get"],
        "/v1/traces/{trace_id}": ["get"],
        "/v1/quality/gaps": ["get"],
        "/v1/quality/knowledge": ["get"],
        "/v1/audit": ["get"],
        "/v1/quality/candidates": ["get"],
        "/v1/quality/candidates/{trace_id}": ["get"],
        "/v1/releases": ["get"],
        "/v1/releases/{kind}/rollback": ["post"],
        "/health/live": ["get"],
        "/health/ready": ["get"],
        "/metrics": ["get"],
    }
    schemas = document["components"]["schemas"]
    for reference in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)):
        assert reference in schemas
    for name in ("SearchRequest", "SearchResponse", "JsonDocument", "BatchRequest", "SentenceEventModel", "Problem"):
        assert name in schemas
    assert schemas["SearchRequest"]["additionalProperties"] is False
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["summary"], path
            success = [code for code in operation["responses"] if code.startswith("2")]
            assert success
            assert "4XX" in operation["responses"]


def test_every_error_has_a_status_or_never_leaves() -> None:
    def codes(kind: type[PlumblineError]) -> set[str]:
        return {kind.code}.union(*(codes(child) for child in kind.__subclasses__()))

    assert codes(PlumblineError) - set(STATUSES) == codes(ConfigurationError) | {ModelFailure.code}


def test_the_addresses_of_backends_are_not_told() -> None:
    told = fault_of(BackendUnavailable("database postgresql://db.internal/plumbline does not answer"))

    assert told.code == "backend_unavailable"
    assert "internal" not in told.detail


def test_every_code_over_http_is_documented(repo_root: Path) -> None:
    page = (repo_root / "docs" / "errors.md").read_text("utf-8")

    assert [code for code in STATUSES if f"`{code}`" not in page] == []


@pytest.mark.parametrize(
    ("location", "pointer"),
    [
        (("body", "filter", "must", 0), "/filter/must/0"),
        (("query", "limit"), "/limit"),
        (("body", "metadata", "a/b~c"), "/metadata/a~1b~0c"),
        (("body",), ""),
        ((), ""),
    ],
)
def test_pointers(location: tuple[str | int, ...], pointer: str) -> None:
    assert pointer_of(location) == pointer


_FIELDS = st.sampled_from(
    [
        *(
            "query",
            "question",
            "text",
            "limit",
            "offset",
            "filter",
            "must",
            "key",
            "in",
            "equals",
            "gte",
            "collections",
        ),
        *("mode", "stream", "history", "role", "content", "budget_tokens", "encoding", "documents", "id", "title"),
        *("labels", "metadata", "uri", "metadata.team", "updated_at", "source"),
    ]
)
_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**25), 10**25),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["hybrid", "exact", "o200k_base", "user", "metadata.team", "updated_at", "2026-01-01T00:00:00Z"]),
    st.sampled_from(["\0", "\ud800", "\u202e", "%", "*", "' OR 1=1 --", "../..", "GH-5021"]),
)
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_FIELDS | st.text(max_size=5), inner, max_size=6),
    max_leaves=20,
)


@given(path=st.sampled_from(BODIES), body=st.dictionaries(_FIELDS, _JSON, max_size=6), query=_LEAVES)
@settings(max_examples=300)
def test_no_body_breaks_the_service(keyless_url: str, path: str, body: dict[str, Any], query: Any) -> None:
    """Whatever is sent is answered or refused with a problem; a fault of the service is never the answer."""
    required = {"/v1/search": "query", "/v1/context": "text", "/v1/answers": "question"}.get(path)
    if required is not None:
        body = {required: query, "budget_tokens": 100, **body} if path == "/v1/context" else {required: query, **body}
        body.pop("stream", None)
    data = json.dumps(body).encode()

    with httpx.Client(base_url=keyless_url, timeout=60) as client:
        response = client.post(path, content=data, headers={"Content-Type": "application/json"})

    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        assert response.json()["code"] in STATUSES


@given(
    path=st.sampled_from(["/v1/search", "/v1/documents", "/v1/jobs", "/v1/documents/x", "/v1/documents/x/content"]),
    parameters=st.dictionaries(
        st.sampled_from(["q", "limit", "cursor", "filter", "collection", "collections", "status", "mode", "title"]),
        st.text(max_size=30) | st.sampled_from(["1", "\0", "%00", "{}", "é", "[]", "W10=", "bnVsbA=="]),
        max_size=4,
    ),
)
@settings(max_examples=150)
def test_no_parameters_break_the_service(keyless_url: str, path: str, parameters: dict[str, str]) -> None:
    encodable = {name: value.encode("utf-8", "ignore").decode() for name, value in parameters.items()}

    with httpx.Client(base_url=keyless_url, timeout=60) as client:
        response = client.get(path, params=encodable)

    assert response.status_code < 500, response.text


@pytest.mark.parametrize(
    "path", ["/v1/documents/%00", "/v1/documents/%ff%fe", "/v1/documents/" + "x" * 600, "/%2e%2e/x"]
)
def test_odd_paths_are_refused(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code in (404, 422)
