"""One server without keys and one with keys for the whole run: starting one loads the embedder."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.access.keys import NewKey
from service.access.principals import Permission
from tests.service.http_parts import ACME, BETA, POLICY, RUNBOOK, Keyed, add, make_keys, running, settings_for
from tests.service.source_parts import serving_sources


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


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Keyed]:
    """A service with keys of two tenants, each with one document of its own and one that only `hr` may read."""
    settings = settings_for(tmp_path_factory.mktemp("keyed"), models_dir)
    tokens = make_keys(
        settings,
        admin=NewKey("admin", ACME, frozenset({Permission.ADMIN})),
        reader=NewKey("reader", ACME, frozenset({Permission.SEARCH, Permission.ANSWER})),
        ops=NewKey("ops", ACME, frozenset({Permission.SEARCH, Permission.ANSWER}), frozenset({"ops"})),
        hr=NewKey("hr", ACME, frozenset({Permission.SEARCH, Permission.ANSWER}), frozenset({"hr"})),
        judge=NewKey("judge", ACME, frozenset({Permission.FEEDBACK})),
        ingester=NewKey("ingester", ACME, frozenset({Permission.INGEST})),
        beta=NewKey("beta", BETA, frozenset({Permission.ADMIN})),
    )
    with running(settings) as url:
        keyed = Keyed(url, tokens)
        with keyed.client("admin") as client:
            add(
                client,
                {"id": "shared-id", "title": "Acme gateway", "text": f"Acme only. {RUNBOOK}"},
                {"id": "salaries", "title": "Salaries", "text": "Salaries rise in April.", "labels": ["hr"]},
            )
        with keyed.client("beta") as client:
            add(client, {"id": "shared-id", "title": "Beta gateway", "text": f"Beta only. {RUNBOOK}"})
        yield keyed


@pytest.fixture(scope="session")
def sources_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder below which the service `served` keeps and reads everything."""
    return tmp_path_factory.mktemp("sources")


@pytest.fixture(scope="session")
def served(sources_base: Path, models_dir: Path) -> Iterator[Keyed]:
    """A service with keys whose sources may read below a folder of its own."""
    with serving_sources(sources_base, models_dir) as keyed:
        yield keyed


@pytest.fixture
def admin(served: Keyed) -> Iterator[httpx.Client]:
    with served.client("admin") as client:
        yield client


@pytest.fixture
def docs(sources_base: Path) -> Iterator[Path]:
    """A folder of the test's own below the one that sources may read."""
    folder = sources_base / "origins" / uuid.uuid4().hex[:8]
    folder.mkdir()
    (folder / "crane.md").write_text("# Crane\n\nThe harbour crane lifts forty tons.\n")
    (folder / "barge.md").write_text("# Barge\n\nThe barge leaves the quay at noon.\n")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def name(admin: httpx.Client) -> Iterator[str]:
    """A source's id of the test's own; the source is gone afterwards."""
    id_ = f"s-{uuid.uuid4().hex[:8]}"
    yield id_
    admin.delete(f"/v1/sources/{id_}")
