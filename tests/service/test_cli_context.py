"""`plumbline context`: what it reads, prints, explains, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service.cli import app
from service.retrieval.tokens import TokenCounter

LOG = (
    "2026-04-22T10:31:07Z INFO gateway: health check ok\n2026-04-22T10:31:08Z ERROR gateway answers 502 upstream gone\n"
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> dict[str, str]:
    """A data folder with one runbook in it."""
    folder = tmp_path_factory.mktemp("context")
    runbook = "# Restart the gateway\n\nDrain the host, then restart the gateway when it answers 502.\n"
    (folder / "docs").mkdir()
    (folder / "docs" / "gateway.md").write_text(runbook)
    variables = {
        "PLUMBLINE_DATA_DIR": str(folder / "data"),
        "PLUMBLINE_MODELS_DIR": str(models_dir),
        "PLUMBLINE_LOG_LEVEL": "error",
        "COLUMNS": "200",
        "NO_COLOR": "1",
    }
    done = CliRunner().invoke(app, ["ingest", str(folder / "docs")], env=variables)
    assert done.exit_code == 0, done.output
    return variables


def run(environment: dict[str, str], *arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(app, ["context", *arguments], env=environment, input=text)


def test_a_log_from_standard_input_gives_a_pack(environment: dict[str, str]) -> None:
    done = run(environment, "--budget", "200", text=LOG)

    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("[1] Restart the gateway")
    assert "Drain the host" in done.stdout
    assert TokenCounter().count(done.stdout.removesuffix("\n")) <= 200


def test_a_file_gives_json_and_reasons(environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "ticket.log"
    file.write_text(LOG)

    done = run(environment, str(file), "--json", "--explain")

    assert done.exit_code == 0, done.output
    pack = json.loads(done.stdout)
    assert pack["passages"][0]["document"]["title"] == "Restart the gateway"
    assert f"searched  {pack['queries_used'][0]}" in done.stderr
    assert "[1] " in done.stderr


def test_nothing_relevant_and_bad_input_end_differently(environment: dict[str, str], tmp_path: Path) -> None:
    nothing = run(environment, text="zebra crossing pancake recipe")
    absent = run(environment, str(tmp_path / "nonesuch"))
    long = run(environment, text="x" * 100_001)

    assert (nothing.exit_code, nothing.stdout.strip()) == (1, "")
    assert absent.exit_code == long.exit_code == 2
    assert "nonesuch" in absent.stderr
    assert "100000 bytes" in long.stderr
