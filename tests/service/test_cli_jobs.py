"""`plumbline jobs`: the same over HTTP and from the database beside the running service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from service.cli import app
from tests.service.http_parts import running, settings_for

WAIT_S = 120


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> dict[str, str]:
    return {
        "PLUMBLINE_DATA_DIR": str(tmp_path_factory.mktemp("jobs") / "data"),
        "PLUMBLINE_MODELS_DIR": str(models_dir),
        "PLUMBLINE_LOG_LEVEL": "error",
        "COLUMNS": "200",
        "NO_COLOR": "1",
    }


@pytest.fixture(scope="module")
def url(environment: dict[str, str], models_dir: Path) -> Iterator[str]:
    with running(settings_for(Path(environment["PLUMBLINE_DATA_DIR"]), models_dir)) as address:
        yield address


@pytest.fixture(params=["over HTTP", "beside the service"])
def to(request: pytest.FixtureRequest, url: str) -> list[str]:
    """The options that lead to the jobs."""
    return ["--url", url] if request.param == "over HTTP" else []


def run(environment: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(app, ["jobs", *arguments], env=environment)


def upload(url: str, *documents: tuple[str, str]) -> str:
    rows = [{"id": id_, "title": id_, "text": text} for id_, text in documents]
    taken = httpx.post(f"{url}/v1/documents/batch", json={"documents": rows}, timeout=WAIT_S)
    return str(taken.json()["job_id"])


def test_a_job_is_watched_shown_and_listed(environment: dict[str, str], url: str, to: list[str]) -> None:
    good, bad = f"good{len(to)}", f"bad{len(to)}"
    job = upload(url, (good, f"# Restart {good}\n\nDrain the host first.\n"), (bad, "\x00\x01" * 200))
    watched = run(environment, "watch", job, *to)
    shown: dict[str, Any] = json.loads(run(environment, "show", job, "--json", *to).stdout)
    listed = run(environment, "list", "--kind", "upload", "--state", "partial", *to)
    none = run(environment, "list", "--source", "nowhere", *to)

    assert watched.exit_code == 1
    assert "partial: 2 of 2" in watched.stdout
    assert "1 created, 1 failed" in watched.stdout
    assert bad in watched.stdout
    assert (shown["id"], shown["kind"], shown["source"], shown["state"]) == (job, "upload", None, "partial")
    assert shown["counts"] == {"created": 1, "failed": 1}
    assert job in listed.stdout
    assert "no jobs" in none.output
    assert json.loads(run(environment, "cancel", job, "--json", *to).stdout)["state"] == "partial"


def test_a_job_that_is_not_there_is_said_so(environment: dict[str, str], to: list[str]) -> None:
    refused = run(environment, "show", "nothing", *to)
    assert refused.exit_code == 2
    assert "no job 'nothing'" in refused.output
    nothing_runs = run(environment, "watch", *to)
    assert nothing_runs.exit_code == 2
    assert "no job is under way" in nothing_runs.output
