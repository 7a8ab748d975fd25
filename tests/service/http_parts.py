"""A real server for tests: uvicorn on a free port in a thread, over a corpus in a temporary folder."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from ingestion.corpus.database import open_database
from ingestion.corpus.scope import TenantId
from service.access.keys import Keys, NewKey
from service.app import create_app
from service.ledger.database import migrate_ledger
from service.settings import ServiceSettings

START_S = 120
ACME, BETA = TenantId("acme"), TenantId("beta")
RUNBOOK = """# Restart the gateway

When the gateway answers 502, drain the host and restart the deployment.

```bash
kubectl -n edge rollout restart deployment/gatehouse
```

Error code GH-5021 means that no upstream is healthy.
"""
POLICY = "Invoices are sent on the first working day of the month. Refunds are paid back within fourteen days."


class _Server(uvicorn.Server):
    """Says when it is up, or that it will never be."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.settled.set()


def settings_for(folder: Path, models_dir: Path, **overrides: Any) -> ServiceSettings:
    """Settings of a service whose data lies in that folder."""
    return ServiceSettings(data_dir=folder, models_dir=models_dir, log_level="error", **overrides)


@contextmanager
def running(settings: ServiceSettings) -> Iterator[str]:
    """The address of a server with these settings; it is gone when the context ends."""
    config = uvicorn.Config(create_app(settings), host="127.0.0.1", port=0, log_config=None, access_log=False)
    server = _Server(config)
    thread = threading.Thread(target=server.run, name="test-server")
    thread.start()
    try:
        assert server.settled.wait(START_S), "the server did not start in time"
        assert server.started, "the server refused to start"
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(START_S)
        assert not thread.is_alive()


@dataclass(frozen=True, slots=True)
class Keyed:
    """A service that wants keys, and some keys by name."""

    url: str
    tokens: dict[str, str]

    def client(self, name: str | None) -> httpx.Client:
        headers = {} if name is None else {"Authorization": f"Bearer {self.tokens[name]}"}
        return httpx.Client(base_url=self.url, timeout=90, headers=headers)


def make_keys(settings: ServiceSettings, **wanted: NewKey) -> dict[str, str]:
    """The tokens of new keys, made as `plumbline keys create` makes them: in the database, before the start."""
    database = open_database(settings)
    try:
        migrate_ledger(database)
        return {name: Keys(database).create(new)[1] for name, new in wanted.items()}
    finally:
        database.dispose()


def add(client: httpx.Client, *documents: dict[str, Any]) -> list[dict[str, Any]]:
    """Hand in documents and wait until they are searchable."""
    response = client.post("/v1/documents/batch", params={"wait_s": 60}, json={"documents": list(documents)})
    assert response.status_code == 200, response.text
    told: list[dict[str, Any]] = response.json()["documents"]
    return told


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document, checked for its shape."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["code"] == code
    assert body["status"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    assert {"type", "title", "detail"} <= body.keys()
    return body


def pointers(body: dict[str, Any]) -> list[str]:
    return [error["pointer"] for error in body["errors"]]


def events_of(text: str) -> list[tuple[str, str]]:
    """The events of a stream as (name, data)."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields["event"], fields["data"]))
    return found
