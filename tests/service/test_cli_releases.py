"""Releases on the command line and over HTTP: listed, and gone back from by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ingestion.corpus.database import open_database
from service.cli import app
from service.ledger.database import migrate_ledger
from service.ledger.releases import NewRelease, ReleaseKind, Releases
from service.settings import ServiceSettings
from tests.service.http_parts import Keyed, problem


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A ledger in which two prompts were released after each other, the second by force."""
    engine = open_database(ServiceSettings(data_dir=tmp_path))
    migrate_ledger(engine)
    releases = Releases(engine)
    first = releases.promote(NewRelease(ReleaseKind.PROMPT, "answer@1", None, None, "cli:ann"))
    watch = {
        "until": "2999-01-01T00:00:00+00:00",
        "forced": "the golden set is wrong",
        "before": {"refusals": {"bad": 3, "of": 60}},
    }
    releases.promote(NewRelease(ReleaseKind.PROMPT, "answer@2", "answer@1", first, "cli:bob", watch))
    engine.dispose()
    return {"PLUMBLINE_DATA_DIR": str(tmp_path), "PLUMBLINE_LOG_LEVEL": "error", "COLUMNS": "200", "NO_COLOR": "1"}


def run(environment: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env=environment)


def test_what_is_live_and_why_the_others_ended(environment: dict[str, str]) -> None:
    shown = run(environment, "releases")
    found = json.loads(run(environment, "releases", "--json").stdout)

    assert shown.exit_code == 0, shown.output
    assert "answer@2 took its place" in shown.stdout
    assert "forced: the golden set is wrong; watched until 2999-01-01 00:00:00; refusals 5.0% → - of 0" in shown.stdout
    assert {one["kind"]: one["value"] for one in found["live"]} == {
        "generation": None,
        "prompt": "answer@2",
        "model": None,
    }
    newest = found["releases"][0]
    assert (newest["actor"], newest["forced"]) == ("cli:bob", "the golden set is wrong")
    assert newest["signals"]["refusals"]["before"] == {"bad": 3.0, "of": 60}
    assert newest["signals"]["refusals"]["judged"] is False


def test_back_by_hand_step_by_step(environment: dict[str, str]) -> None:
    assert "back from prompt answer@2 to answer@1" in run(environment, "rollback", "prompt").output
    assert "back from prompt answer@1 to what the settings say" in run(environment, "rollback", "prompt").output

    refused = run(environment, "rollback", "prompt")

    assert refused.exit_code == 2
    assert "no prompt is released" in refused.output
    found = json.loads(run(environment, "releases", "--json").stdout)
    assert [(one["value"], one["state"]) for one in found["releases"]] == [
        ("answer@1", "rolled_back"),
        ("answer@2", "rolled_back"),
        ("answer@1", "superseded"),
    ]
    assert found["releases"][0]["reason"].startswith("by hand (cli:")
    assert next(one["value"] for one in found["live"] if one["kind"] == "prompt") == "answer@3"


def test_over_http_for_administrators(keyed: Keyed) -> None:
    with keyed.client("ingester") as client:
        problem(client.get("/v1/releases"), 403, "forbidden")
        problem(client.post("/v1/releases/prompt/rollback"), 403, "forbidden")
    with keyed.client("admin") as client:
        found = client.get("/v1/releases").json()
        assert found["releases"] == []
        assert {one["kind"]: one["released_at"] for one in found["live"]} == {
            "generation": None,
            "prompt": None,
            "model": None,
        }
        assert found["live"][0]["value"].startswith("v1-")
        problem(client.post("/v1/releases/prompt/rollback"), 404, "not_found")
        problem(client.post("/v1/releases/everything/rollback"), 422, "invalid_request")
        problem(client.get("/v1/releases", params={"limit": 101}), 422, "invalid_request")
