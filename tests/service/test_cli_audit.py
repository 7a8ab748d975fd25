"""`plumbline audit`: what commands leave in the log, and what list, export and verify say of it."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner, Result

from ingestion.corpus.database import DATABASE_FILE
from service.cli import app
from tests.service.http_parts import command_environment

ME = f"cli:{pwd.getpwuid(os.getuid()).pw_name}"


@pytest.fixture
def environment(tmp_path: Path, models_dir: Path) -> dict[str, str]:
    return command_environment(tmp_path / "data", models_dir) | {"COLUMNS": "250"}


def run(environment: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env=environment)


@pytest.fixture
def keyed(environment: dict[str, str]) -> dict[str, str]:
    """A data folder with four entries in the chain of `acme`."""
    for name in ("one", "two", "three"):
        assert run(environment, "keys", "create", name, "--tenant", "acme").exit_code == 0
    (key, *_) = json.loads(run(environment, "keys", "list", "--json").stdout)
    assert run(environment, "keys", "revoke", key["id"]).exit_code == 0
    return environment


def test_commands_leave_entries_of_whoever_ran_them(keyed: dict[str, str]) -> None:
    entries = json.loads(run(keyed, "audit", "list", "--tenant", "acme", "--json").stdout)
    assert [entry["action"] for entry in entries] == ["key.revoke", *["key.create"] * 3]
    assert {entry["actor"] for entry in entries} == {ME}
    table = run(keyed, "audit", "list", "--tenant", "acme").stdout
    assert "key.revoke" in table
    assert run(keyed, "audit", "list").exit_code == 0


def test_an_export_verifies_by_itself_and_against_a_noted_head(keyed: dict[str, str], tmp_path: Path) -> None:
    exported = run(keyed, "audit", "export", "--tenant", "acme")
    assert exported.exit_code == 0
    file = tmp_path / "acme.jsonl"
    file.write_text(exported.stdout)
    told = run(keyed, "audit", "heads").stdout.split()
    head = told[told.index("acme") + 1]
    for arguments in ((), (str(file),), (str(file), "--head", head), ("--head", head.partition(":")[2])):
        good = run(keyed, "audit", "verify", *arguments, "--tenant", "acme")
        assert good.exit_code == 0, good.output
        assert head in good.stdout
    lines = exported.stdout.splitlines()
    file.write_text("\n".join(lines[:-1]))
    cut = run(keyed, "audit", "verify", str(file), "--head", head)
    assert cut.exit_code == 1
    assert "the tail was cut off" in cut.output
    file.write_text("\n".join([lines[0].replace("one", "1"), *lines[1:]]))
    changed = run(keyed, "audit", "verify", str(file), "--json")
    assert changed.exit_code == 1
    assert json.loads(changed.stdout)["at"] == 1
    assert run(keyed, "audit", "verify", str(tmp_path / "none")).exit_code == 2
    assert run(keyed, "audit", "verify", "--head", "x").exit_code == 2


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE audit_log SET actor = 'cli:nobody' WHERE n = 2", "entry 2 does not fit"),
        ("DELETE FROM audit_log WHERE n = 2", "entry 3 does not fit"),
        ("DELETE FROM audit_log WHERE n = 4", "does not end with the head"),
        ("DELETE FROM audit_log WHERE n = 1", "none says that they were cut"),
    ],
)
def test_what_was_done_to_the_stored_chain_is_told(keyed: dict[str, str], statement: str, said: str) -> None:
    engine = create_engine(f"sqlite:///{keyed['PLUMBLINE_DATA_DIR']}/{DATABASE_FILE}")
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()
    found = run(keyed, "audit", "verify", "--tenant", "acme")
    assert found.exit_code == 1
    assert said in " ".join(found.output.split())


def test_a_part_begins_when_it_is_asked_to(keyed: dict[str, str]) -> None:
    assert run(keyed, "audit", "export", "--tenant", "acme", "--since", "2020-01-01").stdout.count("\n") == 4
    assert run(keyed, "audit", "export", "--tenant", "acme", "--since", "2999-01-01").stdout == ""


def test_files_and_sources_of_commands_are_noted(environment: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "crane.md").write_text("# Crane\n\nIt lifts forty tons.\n")
    assert run(environment, "ingest", str(folder / "crane.md")).exit_code == 0
    assert run(environment, "source", "add", "folder", "cranes", str(folder)).exit_code == 0
    entries = json.loads(run(environment, "audit", "list", "--json").stdout)
    assert [(entry["action"], entry["subject"]) for entry in reversed(entries)] == [
        ("documents.add", str(folder / "crane.md")),
        ("source.add", "cranes"),
    ]
    assert run(environment, "audit", "verify").exit_code == 0
