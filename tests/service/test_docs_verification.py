"""The examples of docs/verification.md, run as they stand there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from service.cli import app

_BLOCK = re.compile(r"^```(sh|json|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture
def blocks(repo_root: Path) -> list[tuple[str, str]]:
    """Language and text of each example, in order."""
    page = (repo_root / "docs" / "verification.md").read_text("utf-8")
    return [(block[1], block[2]) for block in _BLOCK.finditer(page)]


def _holds(told: Any, shown: Any) -> bool:
    """Whether everything that is shown was told; what is left out of an object may be anything."""
    if isinstance(shown, dict):
        return all(name in told and _holds(told[name], value) for name, value in shown.items())
    if isinstance(shown, list):
        return len(told) == len(shown) and all(map(_holds, told, shown))
    return bool(told == shown)


def test_the_request_gives_the_reply(client: httpx.Client, blocks: list[tuple[str, str]]) -> None:
    (kind, call), (_, shown) = blocks[0], blocks[1]
    words = shlex.split(call)

    told = client.post("/v1/verify", json=json.loads(words[words.index("-d") + 1]))

    assert kind == "sh"
    assert "localhost:8000/v1/verify" in words
    assert _holds(told.json(), json.loads(shown)), told.text


def test_the_commands_print_what_is_shown(
    blocks: list[tuple[str, str]], repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (_, first), (_, shown), (_, second) = blocks[2:]
    (tmp_path / "docs").symlink_to(repo_root / "docs")
    monkeypatch.chdir(tmp_path)
    variables = {"COLUMNS": "200", "NO_COLOR": "1"}

    done = CliRunner().invoke(app, shlex.split(first)[1:], env=variables)
    gated = CliRunner().invoke(app, shlex.split(second)[1:], env=variables)

    assert [line.rstrip() for line in done.stdout.splitlines()] == shown.splitlines()
    assert (done.exit_code, gated.exit_code) == (0, 1)
    assert len((tmp_path / "verdicts.jsonl").read_text().splitlines()) == 3
