"""What the audit log says of requests: every route that changes something has an entry, and none is left out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from sqlalchemy import text

from ingestion.settings import SourcesSettings
from service.api.auditing import acting_of
from service.app import app_for, create_app
from service.ledger.audit import SERVICE_CHAIN
from service.ledger.chain import Entry, entry_of, verify
from service.runtime import Runtime, open_runtime
from service.settings import ServiceSettings
from tests.service.http_parts import RUNBOOK, settings_for

# What each route that is no GET leaves in the log.
ACTIONS = {
    "POST /v1/search": "asked",
    "POST /v1/context": "asked",
    "POST /v1/answers": "asked",
    "POST /v1/verify": "asked",
    "POST /v1/verify/batch": "asked",
    "POST /v1/documents": "documents.add",
    "POST /v1/documents/batch": "documents.add",
    "DELETE /v1/documents/{document_id:path}": "document.delete",
    "POST /v1/sources": "source.add",
    "PUT /v1/sources/{source_id}": "source.change",
    "DELETE /v1/sources/{source_id}": "source.remove",
    "POST /v1/sources/{source_id}/sync": "source.sync",
    "POST /v1/sources/{source_id}/retry": "source.retry",
    "POST /v1/sources/{source_id}/pause": "source.pause",
    "POST /v1/sources/{source_id}/resume": "source.resume",
    "POST /v1/jobs/{job_id}/cancel": "job.cancel",
    "POST /v1/generations": "generation.build",
    "POST /v1/generations/{name}/activate": "generation.switch",
    "POST /v1/releases/{kind}/rollback": "release.roll_back",
    "POST /v1/feedback": "feedback.give",
}
# Readings of what others asked.
READINGS = {
    "GET /v1/audit": "audit.read",
    "GET /v1/traces": "traces.read",
    "GET /v1/traces/{trace_id}": "traces.read",
    "GET /v1/quality/gaps": "gaps.read",
    "GET /v1/quality/candidates": "traces.read",
    "GET /v1/quality/candidates/{trace_id}": "traces.read",
    "GET /v1/feedback": "feedback.read",
}
# These note the change where it is made: beside the trace, or in the transaction of the release.
NOTED_ELSEWHERE = {"POST /v1/search", "POST /v1/context", "POST /v1/answers", "POST /v1/releases/{kind}/rollback"}


def routes_of(settings: ServiceSettings) -> dict[str, APIRoute]:
    found: dict[str, APIRoute] = {}
    app = create_app(settings)
    for included in app.routes:
        for route in getattr(getattr(included, "original_router", None), "routes", [included]):
            if isinstance(route, APIRoute):
                found |= {f"{method} {route.path}": route for method in route.methods}
    operations = sum(len(methods) for methods in app.openapi()["paths"].values())
    assert len(found) == operations, "a route is told in the contract and was not found here"
    return found


def _needs(route: APIRoute) -> set[Any]:
    return {need.call for need in route.dependant.dependencies}


def test_every_route_that_changes_something_is_known_to_the_audit_log() -> None:
    routes = routes_of(ServiceSettings())
    assert set(ACTIONS) == {name for name in routes if not name.startswith(("GET ", "HEAD "))}
    assert set(READINGS) <= set(routes)
    for name in {*ACTIONS, *READINGS} - NOTED_ELSEWHERE:
        assert acting_of in _needs(routes[name]), f"{name} tells the audit log nothing"


@dataclass(frozen=True)
class Call:
    """A request, the route that it goes to, and what its entry is about."""

    route: str
    url: str
    body: Any = None
    subject: str | None = None
    status: Sequence[int] = (200, 201, 202, 204)


def calls(folder: Path, trace: str) -> list[Call]:
    source = {"id": "docs", "origin": {"kind": "folder", "path": str(folder)}}
    document = {"id": "g", "title": "Gateway", "text": RUNBOOK}
    verified = {"answer": "It drains.", "passages": [{"text": "It drains."}]}
    return [
        Call("POST /v1/documents", "/v1/documents?wait_s=60", document, "g"),
        Call("POST /v1/documents/batch", "/v1/documents/batch", {"documents": [document | {"id": "h"}]}, "h"),
        Call("POST /v1/search", "/v1/search", {"query": "zebulon"}),
        Call("POST /v1/context", "/v1/context", {"text": "zebulon", "budget_tokens": 100}),
        Call("POST /v1/answers", "/v1/answers", {"question": "zebulon?"}),
        Call("POST /v1/verify", "/v1/verify", verified),
        Call("POST /v1/verify/batch", "/v1/verify/batch", {"items": [verified]}, status=(200, 422)),
        Call("POST /v1/sources", "/v1/sources", source, "docs"),
        Call("PUT /v1/sources/{source_id}", "/v1/sources/docs", source | {"collection": "other"}, "docs"),
        Call("POST /v1/sources/{source_id}/sync", "/v1/sources/docs/sync", None, "docs"),
        Call("POST /v1/sources/{source_id}/retry", "/v1/sources/docs/retry", None, "docs"),
        Call("POST /v1/sources/{source_id}/pause", "/v1/sources/docs/pause", None, "docs"),
        Call("POST /v1/sources/{source_id}/resume", "/v1/sources/docs/resume", None, "docs"),
        Call("DELETE /v1/sources/{source_id}", "/v1/sources/docs", None, "docs"),
        Call("POST /v1/generations", "/v1/generations"),
        Call("POST /v1/feedback", "/v1/feedback", {"query_id": trace, "kind": "rating", "rating": "down"}),
        Call("GET /v1/audit", "/v1/audit"),
        Call("GET /v1/traces", "/v1/traces"),
        Call("GET /v1/traces/{trace_id}", f"/v1/traces/{trace}", None, trace),
        Call("GET /v1/quality/gaps", "/v1/quality/gaps"),
        Call("GET /v1/quality/candidates", "/v1/quality/candidates"),
        Call("GET /v1/feedback", "/v1/feedback"),
    ]


def served(settings: ServiceSettings, use: Callable[[Runtime, httpx.AsyncClient], Awaitable[None]]) -> None:
    """Run `use` against the whole application, in this process."""

    async def run() -> None:
        async with open_runtime(settings) as runtime:
            app = app_for(runtime)

            async def serve(scope: Any, receive: Any, send: Any) -> None:
                await app({**scope, "state": {"runtime": runtime}}, receive, send)

            transport = httpx.ASGITransport(serve, client=("127.0.0.1", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60) as client:
                await use(runtime, client)

    asyncio.run(run())


@pytest.fixture
def settings(tmp_path: Path, models_dir: Path) -> ServiceSettings:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "crane.md").write_text("# Crane\n\nIt lifts forty tons.\n")
    return settings_for(tmp_path / "data", models_dir, sources=SourcesSettings(folders=(tmp_path,)))


def test_each_request_leaves_its_entry_and_none_its_words(settings: ServiceSettings, tmp_path: Path) -> None:
    noted: dict[str, list[Entry]] = {}

    async def newest(runtime: Runtime, since: dict[str, int]) -> list[Entry]:
        assert await asyncio.to_thread(runtime.recorder.flush)
        found = [one for chain in ("default", SERVICE_CHAIN) for one in runtime.audit.chain(chain)]
        return [one for one in found if one.n > since.get(one.tenant, 0)]

    async def use(runtime: Runtime, client: httpx.AsyncClient) -> None:
        trace = (await client.post("/v1/search", json={"query": "zebulon"})).json()["query_id"]
        for call in calls(tmp_path / "docs", trace):
            await newest(runtime, {})
            since = {chain: head.n or 0 for chain, head in runtime.audit.heads().items()}
            done = await client.request(call.route.split()[0], call.url, json=call.body)
            assert done.status_code in call.status, (call.route, done.text)
            entries = await newest(runtime, since)
            action = {**ACTIONS, **READINGS}[call.route]
            assert [one.action for one in entries] == [action], call.route
            assert entries[0].actor == "keyless"
            assert call.subject in (None, entries[0].subject)
            noted.setdefault(action, []).extend(entries)
        gone = await client.delete("/v1/documents/g")
        missing = await client.delete("/v1/documents/g")
        assert (gone.status_code, missing.status_code) == (204, 404)
        for chain in ("default", SERVICE_CHAIN):
            assert verify(runtime.audit.chain(chain)).holds
            told = json.dumps([entry.facts() for entry in runtime.audit.chain(chain)])
            assert "zebulon" not in told
            assert "drain the host" not in told
        deleted = [one for one in runtime.audit.chain("default") if one.action == "document.delete"]
        assert [one.subject for one in deleted] == ["g"], "what is not there is not announced as deleted"

    served(settings, use)
    assert noted["source.add"][0].detail["origin"]["kind"] == "folder"
    assert noted["generation.build"][0].tenant == SERVICE_CHAIN
    assert all(one.detail["number"] == 1 for one in noted["asked"])


def test_pages_can_be_verified_and_refusals_are_noted(settings: ServiceSettings) -> None:
    async def use(runtime: Runtime, client: httpx.AsyncClient) -> None:
        for number in range(5):
            await client.post("/v1/search", json={"query": f"q{number}"})
            assert await asyncio.to_thread(runtime.recorder.flush)
        read: list[Entry] = []
        cursor = None
        while True:
            asked = {"limit": 2} | ({} if cursor is None else {"cursor": cursor})
            page = (await client.get("/v1/audit", params=asked)).json()
            read += [entry_of(entry) for entry in page["entries"]]
            if (cursor := page["next_cursor"]) is None:
                break
        assert len(read) >= 5
        assert verify(read).holds
        only = (await client.get("/v1/audit", params={"action": "asked", "actor": "keyless"})).json()["entries"]
        assert [one["action"] for one in only] == ["asked"] * 5
        assert (await client.get("/v1/audit", params={"cursor": "x"})).status_code == 422
        assert (await client.get("/v1/audit", params={"limit": 1001})).status_code == 422
        for _ in range(3):
            bad = await client.get("/v1/audit", headers={"Authorization": "Bearer pl_abc123_secretpart"})
            assert bad.status_code == 401
        assert await asyncio.to_thread(runtime.recorder.flush)
        (refused,) = [one for one in runtime.audit.chain(SERVICE_CHAIN) if one.action == "access.refuse"]
        assert (refused.actor, refused.subject, refused.detail["key"]) == ("unknown", "unauthenticated", "abc123")
        assert "secretpart" not in json.dumps(refused.facts())

    served(settings, use)


def test_nothing_is_deleted_while_the_log_cannot_be_written(settings: ServiceSettings) -> None:
    async def use(runtime: Runtime, client: httpx.AsyncClient) -> None:
        added = await client.post(
            "/v1/documents", params={"wait_s": 30}, json={"id": "g", "title": "Gateway", "text": RUNBOOK}
        )
        assert added.status_code == 200
        with runtime.corpus.database.begin() as connection:
            connection.execute(text("ALTER TABLE audit_log RENAME TO away"))
        refused = await client.delete("/v1/documents/g")
        assert (refused.status_code, refused.json()["code"]) == (503, "audit_unavailable")
        assert refused.headers["Retry-After"] == "1"
        assert (await client.get("/v1/documents/g")).status_code == 200
        with runtime.corpus.database.begin() as connection:
            connection.execute(text("ALTER TABLE away RENAME TO audit_log"))
        assert (await client.delete("/v1/documents/g")).status_code == 204

    served(settings, use)
