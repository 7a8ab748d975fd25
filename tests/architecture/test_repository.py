"""The repository belongs to nobody's machine, and importing the service loads and starts nothing heavy."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.repository import REPO, files

# Written so that this file does not find itself.
_MACHINE_PATH = re.compile(r"(?<![\w.~$}-])/(?:work|root|home/\w+|Users/\w+)/")
_REGISTRY_HOST = re.compile(
    r"\b(?:py[p]i\.org|pythonhosted[.]org|registry\.np[m]js\.org|download\.pyt[o]rch\.org|debian[.]org"
    r"|[\w.-]*(?:artifact[o]ry|nex[u]s|dev[p]i)[\w-]*\.[\w.-]+)",
    re.IGNORECASE,
)
# Documents of an imaginary company may name its machines' folders.
_FICTION = "sample_docs/"

WORK = "/{}/".format("work")  # spelt apart: a search for paths of one machine should find none here
HEAVY = ("torch", "transformers", "sentence_transformers", "openai", "unstructured", "qdrant_client", "qdrant_edge")


def machine_traces(text: str) -> list[str]:
    """Paths of a developer's machine and hosts of package registries in the text."""
    return [match.group() for rule in (_MACHINE_PATH, _REGISTRY_HOST) for match in rule.finditer(text)]


def _text_of(path: Path) -> str | None:
    data = path.read_bytes()
    return None if b"\0" in data[:8192] else data.decode("utf-8", "replace")


def test_no_trace_of_a_machine() -> None:
    found = []
    for path in files():
        name = path.relative_to(REPO).as_posix()
        text = None if name.startswith(_FICTION) else _text_of(path)
        found += [f"{name}: {trace}" for trace in machine_traces(text or "")]

    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "open('/wor" + "k/main/x')",
        "cd /roo" + "t/.cache",
        "file:///hom" + "e/jo/plumbline",
        "https://py" + "pi.org/simple",
        "https://nex" + "us.example.net/simple",
    ],
)
def test_a_trace_of_a_machine_is_caught(text: str) -> None:
    assert machine_traces(text)


@pytest.mark.parametrize(
    "text", [f"docs{WORK}a.md", f"/var{WORK}x", "$HOME/root/x", "the PyPI page", "PLUMBLINE_ROOT/"]
)
def test_ordinary_text_passes(text: str) -> None:
    assert machine_traces(text) == []


def _import_report(module: str) -> dict[str, list[str]]:
    """What a fresh process holds after importing the module: names of modules loaded, and of threads."""
    program = (
        f"import json, sys, threading, {module}; "
        "print(json.dumps({'modules': sorted(sys.modules), 'threads': [t.name for t in threading.enumerate()]}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True, timeout=120, check=True
    )
    report: dict[str, list[str]] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize("module", ["service.app", "service.cli", "ingestion.cli", "ingestion.pipeline"])
def test_importing_loads_no_model_library_and_starts_nothing(module: str) -> None:
    report = _import_report(module)

    assert [name for name in HEAVY if name in report["modules"]] == []
    assert report["threads"] == ["MainThread"]


def test_a_heavy_import_is_caught() -> None:
    assert "openai" in _import_report("openai")["modules"]
