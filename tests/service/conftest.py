"""One server without keys and one with keys for the whole run: starting one loads the embedder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.service.http_parts import POLICY, RUNBOOK, add, running, settings_for


@pytest.fixture(scope="session")
def keyless_url(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[str]:
    """A service on loopback without keys, with two documents in it that no test changes."""
    with running(settings_for(tmp_path_factory.mktemp("keyless"), models_dir)) as url:
        with httpx.Client(base_url=url, timeout=90) as client:
            add(
                client,
                {"id": "runbooks/gateway.md", "title": "Gateway 502", "text": RUNBOOK, "media_type": "text/markdown"},
                {"id": "billing", "title": "Billing", "text": POLICY, "metadata": {"team": "payments", "pages": 2}},
            )
        yield url


@pytest.fixture
def client(keyless_url: str) -> Iterator[httpx.Client]:
    """Calls the keyless service."""
    with httpx.Client(base_url=keyless_url, timeout=90) as client:
        yield client
