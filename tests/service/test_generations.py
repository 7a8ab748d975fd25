"""Generations on the command line and over HTTP: listed, built anew, switched to and back."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from ingestion.settings import ChunkingSettings, IndexSettings, RebuildPolicy
from service.cli import app
from tests.ingestion.corpora import open_bench
from tests.ingestion.generations import pumps
from tests.service.http_parts import Keyed, problem, running, settings_for

SMALLER = {"max_tokens": 48, "min_tokens": 8}


@pytest.fixture
def environment(tmp_path: Path, models_dir: Path) -> dict[str, str]:
    """A data folder with some documents, and settings that ask for smaller chunks than theirs."""
    with open_bench(settings_for(tmp_path, models_dir)) as bench:
        bench.ingest(*pumps(4))
    return {
        "PLUMBLINE_DATA_DIR": str(tmp_path),
        "PLUMBLINE_MODELS_DIR": str(models_dir),
        "PLUMBLINE_LOG_LEVEL": "error",
        "COLUMNS": "200",
        "NO_COLOR": "1",
        **{f"PLUMBLINE_CHUNKING__{name.upper()}": str(value) for name, value in SMALLER.items()},
    }


def run(environment: dict[str, str], *arguments: str) -> Result:
    done = CliRunner().invoke(app, list(arguments), env=environment)
    assert done.exit_code == 0, done.output
    return done


def states(environment: dict[str, str], *arguments: str) -> list[tuple[str, bool, int]]:
    found = json.loads(run(environment, "generations", "--json", *arguments).stdout)["generations"]
    return sorted((one["state"], one["wanted"], one["missing"]) for one in found)


def test_from_the_command_line_in_the_data_folder(environment: dict[str, str]) -> None:
    assert states(environment) == [("active", False, 0)]
    run(environment, "reindex")
    assert states(environment) == [("active", True, 0), ("standby", False, 0)]
    run(environment, "reindex", "--rollback")
    assert states(environment) == [("active", False, 0), ("left", True, 0)]
    assert "left" in run(environment, "generations").stdout
    refused = CliRunner().invoke(app, ["reindex", "--to", "v1-none"], env=environment)
    assert refused.exit_code == 2
    assert "there is no generation v1-none" in refused.output


def test_over_http_while_the_service_runs(environment: dict[str, str], tmp_path: Path, models_dir: Path) -> None:
    settings = settings_for(
        tmp_path,
        models_dir,
        chunking=ChunkingSettings(**SMALLER),
        index=IndexSettings(rebuild=RebuildPolicy.MANUAL),
    )
    with running(settings) as url, httpx.Client(base_url=url, timeout=90) as client:

        def version() -> str:
            found = client.get("/v1/search", params={"q": "how is a pump primed"}).json()
            assert found["hits"]
            return str(found["index_version"])

        first = version()
        assert states(environment, "--url", url) == [("active", False, 0)]
        run(environment, "reindex", "--url", url)
        assert version() != first
        run(environment, "reindex", "--rollback", "--url", url)
        assert version() == first
        assert states(environment, "--url", url) == [("active", False, 0), ("left", True, 0)]
        problem(client.post("/v1/generations/v1-000000000000/activate"), 404, "not_found")


def test_only_administrators_may(keyed: Keyed) -> None:
    with keyed.client("ingester") as client:
        problem(client.get("/v1/generations"), 403, "forbidden")
        problem(client.post("/v1/generations"), 403, "forbidden")
        problem(client.post("/v1/generations/v1-000000000000/activate"), 403, "forbidden")
