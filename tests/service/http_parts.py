"""A real server for tests: `plumbline serve` on a free port, over a corpus in a temporary folder.

A process of its own: the queue of jobs is one per process, and so is the embedded service.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx

from ingestion.corpus.database import open_database
from ingestion.corpus.scope import TenantId
from service.access.keys import Keys, NewKey
from service.ledger.database import migrate_ledger
from service.settings import ServiceSettings

COMMAND = (sys.executable, "-c", "from service.cli import main; main()")
START_S = 120
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
_LAST_LINE = "Ctrl-C"
ACME, BETA = TenantId("acme"), TenantId("beta")
RUNBOOK = """# Restart the gateway

When the gateway answers 502, drain the host and restart the deployment.

```bash
kubectl -n edge rollout restart deployment/gatehouse
```

Error code GH-5021 means that no upstream is healthy.
"""
POLICY = "Invoices are sent on the first working day of the month. Refunds are paid back within fourteen days."


def settings_for(folder: Path, models_dir: Path, **overrides: Any) -> ServiceSettings:
    """Settings of a service whose data lies in that folder."""
    return ServiceSettings(data_dir=folder, models_dir=models_dir, log_level="error", **overrides)


@contextmanager
def running(settings: ServiceSettings, variables: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address of `plumbline serve` with these settings, a process of its own; it is gone when the context ends.

    `variables` are what settings don't print, and so can't be read off them: secrets.
    """
    with serving(settings, variables) as (address, _):
        yield address


@contextmanager
def serving(
    settings: ServiceSettings, variables: Mapping[str, str] | None = None
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The same with the process, for a test that ends it in a way of its own."""
    environment = _environment(settings) | dict(variables or {})
    process = subprocess.Popen([*COMMAND, "serve", "--port", "0"], env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said: list[str] = []
    announced = threading.Event()
    # Read to the end in a thread: a full pipe would stop the server.
    reader = threading.Thread(target=_read, args=(process.stderr, said, announced), name="test-server-log")
    reader.start()
    try:
        assert announced.wait(START_S), "the server did not start in time"
        address = _ADDRESS.search("".join(said))
        assert address, "".join(said)
        yield address[0], process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(START_S)
        finally:
            process.kill()
            process.wait()
            reader.join()
            process.stderr.close()


def _read(lines: IO[str], said: list[str], announced: threading.Event) -> None:
    for line in lines:
        said.append(line)
        if _LAST_LINE in line:
            announced.set()
    announced.set()


def _environment(settings: ServiceSettings) -> dict[str, str]:
    """What makes a process read these settings: only those that differ from the defaults."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("PLUMBLINE_")}
    for name, value in settings.model_dump(mode="json", exclude_defaults=True).items():
        for inner, leaf in value.items() if isinstance(value, dict) else (("", value),):
            found[f"PLUMBLINE_{name}__{inner}".removesuffix("__").upper()] = (
                json.dumps(leaf) if isinstance(leaf, list | dict) else str(leaf)
            )
    return found


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


def command_environment(data_dir: Path, models_dir: Path) -> dict[str, str]:
    """Variables for a command over a data folder whose output a test reads."""
    return {
        "PLUMBLINE_DATA_DIR": str(data_dir),
        "PLUMBLINE_MODELS_DIR": str(models_dir),
        "PLUMBLINE_LOG_LEVEL": "error",
        "COLUMNS": "200",
        "NO_COLOR": "1",
    }
