"""The import contracts hold, and each of them breaks on the import that it forbids."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.architecture.repository import REPO

LAYERED = (
    "ingestion.corpus.index",
    "ingestion.corpus.embedders",
    "ingestion.parsing",
    "ingestion.sources",
    "ingestion.telemetry",
    "ingestion.job_store",
    "ingestion.source_store",
    "ingestion.syncing",
    "ingestion.rebuilding",
    "ingestion.chunking",
    "ingestion.pipeline",
    "ingestion.jobs",
    "ingestion.cli",
    "ingestion.errors",
    "ingestion.settings",
    "service.api",
    "service.ui",
    "service.access",
    "service.ledger",
    "service.retrieval",
    "service.retrieval.reranking.cross_encoder",
    "service.generation.models.providers",
    "service.tracking",
    "service.tracking.spans",
    "service.releasing",
    "service.runtime",
    "service.quality",
    "service.app",
    "service.cli",
)

# Importing module -> what it imports: every arrow here is one that the design allows.
ALLOWED = {
    "service.cli": "ingestion.cli",
    "service.app": "fastapi",
    "service.ui": "starlette",
    "service.runtime": "ingestion.jobs",
    "service.generation.models.providers": "openai",
    "service.tracking.spans": "opentelemetry",
    "service.retrieval": "ingestion.corpus.index",
    "service.retrieval.reranking.cross_encoder": "torch",
    "ingestion.jobs": "dbos",
    "ingestion.parsing": "unstructured",
    "ingestion.corpus.index": "qdrant_client",
    "ingestion.corpus.embedders": "torch",
    "ingestion.errors": "ingestion.settings",
}

# Name of the contract -> an import that it exists to forbid.
FORBIDDEN = {
    "The layers of service": ("service.ledger", "service.access"),
    "The layers of ingestion": ("ingestion.parsing", "ingestion.chunking"),
    "service stands on ingestion": ("ingestion.pipeline", "service.errors"),
    "service imports only the corpus": ("service.app", "ingestion.pipeline"),
    "Qdrant is known only": ("ingestion.pipeline", "qdrant_client"),
    "DBOS is known only": ("service.runtime", "dbos"),
    "unstructured and the other parsing": ("ingestion.pipeline", "unstructured"),
    "FastAPI and Starlette": ("service.ui", "fastapi"),
    "Model weights run only": ("service.generation.models.providers", "torch"),
    "The OpenAI client": ("service.runtime", "openai"),
    "OpenTelemetry is known": ("service.runtime", "opentelemetry"),
}


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _write_tree(folder: Path, imports: Mapping[str, list[str]]) -> None:
    """Two packages with the rooms of the design, empty but for these imports, under the real contracts."""
    shutil.copy(REPO / ".importlinter", folder)
    for module in {*LAYERED, "service.errors", "service.settings", "service.ledger_settings"}:
        path = folder.joinpath(*module.split("."))
        path.mkdir(parents=True, exist_ok=True)
        body = "".join(f"import {target}\n" for target in imports.get(module, []))
        (path / "__init__.py").write_text(body)
    for package in list(folder.rglob("*/")):
        (package / "__init__.py").touch()


def test_the_contracts_hold() -> None:
    done = _lint(REPO)

    assert done.returncode == 0, done.stdout + done.stderr


def test_allowed_imports_pass(tmp_path: Path) -> None:
    _write_tree(tmp_path, {module: [target] for module, target in ALLOWED.items()})

    done = _lint(tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("contract", FORBIDDEN)
def test_each_contract_breaks_alone(contract: str, tmp_path: Path) -> None:
    importer, imported = FORBIDDEN[contract]
    _write_tree(tmp_path, {importer: [imported]})

    done = _lint(tmp_path)

    broken = [line for line in done.stdout.splitlines() if line.rstrip().endswith("BROKEN")]
    assert done.returncode == 1
    assert any(line.startswith(contract) for line in broken), done.stdout


def test_the_one_exception_is_needed(tmp_path: Path) -> None:
    _write_tree(tmp_path, {"service.cli": ["ingestion.cli"]})
    contracts = tmp_path / ".importlinter"
    contracts.write_text(contracts.read_text().replace("service.cli -> ingestion.cli", ""))

    assert _lint(tmp_path).returncode == 1


def test_a_new_room_must_take_its_place(tmp_path: Path) -> None:
    _write_tree(tmp_path, {})
    (tmp_path / "service" / "utils.py").touch()

    done = _lint(tmp_path)

    assert done.returncode == 1
    assert "service.utils" in done.stdout


def test_every_contract_is_shown_to_break() -> None:
    names = [
        line.removeprefix("name = ")
        for line in (REPO / ".importlinter").read_text().splitlines()
        if line.startswith("name = ")
    ]

    assert len(names) == len(FORBIDDEN)
    assert all(any(name.startswith(start) for start in FORBIDDEN) for name in names)
