"""The command line: what it prints, how it refuses, and that it talks to a running service."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from service.cli import app
from tests.cross_encoders import save_overlap_encoder
from tests.postgres import free_port
from tests.service.http_parts import COMMAND, Keyed, command_environment, running, settings_for


@pytest.fixture
def environment(tmp_path: Path, models_dir: Path) -> dict[str, str]:
    return command_environment(tmp_path / "data", models_dir)


def run(environment: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env=environment)


@pytest.fixture
def filled(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """A data folder with one runbook in it."""
    folder = tmp_path / "docs"
    folder.mkdir()
    runbook = "# Restart the gateway\n\nDrain the host, then restart the gateway when it answers 502.\n"
    (folder / "gateway.md").write_text(runbook)
    done = run(environment, "ingest", str(folder))
    assert done.exit_code == 0, done.output
    return environment


def test_version(environment: dict[str, str]) -> None:
    assert re.match(r"plumbline \d+\.\d+", run(environment, "version").stdout)


def test_search_and_ask_over_the_data_folder(filled: dict[str, str]) -> None:
    found = run(filled, "search", "gateway 502", "--json")
    shown = run(filled, "search", "gateway 502")
    answer = run(filled, "ask", "When do I restart the gateway?", "--json")
    told = run(filled, "ask", "When do I restart the gateway?")

    assert json.loads(found.stdout)["hits"][0]["document"]["title"] == "Restart the gateway"
    assert "Restart the gateway" in shown.stdout
    assert json.loads(answer.stdout)["answered"]
    assert "[1]" in told.stdout
    assert "gateway.md" in told.stdout
    assert "model_not_configured" in told.stdout


def test_a_refusal_is_told(filled: dict[str, str]) -> None:
    told = run(filled, "ask", "Who invented the pancake?")

    assert told.exit_code == 0
    assert "Nothing" in told.stdout


def test_a_corpus_in_use_names_the_way_out(filled: dict[str, str], models_dir: Path) -> None:
    settings = settings_for(Path(filled["PLUMBLINE_DATA_DIR"]), models_dir)
    with running(settings) as url:
        refused = run(filled, "search", "gateway")
        found = run(filled, "search", "gateway 502", "--json", "--url", url)
        asked = run({**filled, "PLUMBLINE_URL": url}, "ask", "When do I restart the gateway?")
        checked = json.loads(run(filled, "doctor", "--json").stdout)

    assert refused.exit_code == 2
    assert "corpus_in_use" in refused.stderr
    assert "--url" in refused.stderr
    assert json.loads(found.stdout)["hits"]
    assert "[1]" in asked.stdout
    assert {finding["check"]: finding["verdict"] for finding in checked}["folder"] == "warn"


def test_a_service_with_keys_is_asked_with_one(environment: dict[str, str], keyed: Keyed) -> None:
    without = run(environment, "search", "gateway", "--url", keyed.url)
    with_key = run(
        {**environment, "PLUMBLINE_API_KEY": keyed.tokens["reader"]}, "search", "gateway", "--url", keyed.url
    )
    wrong_scope = run(environment, "ask", "x", "--url", keyed.url, "--api-key", keyed.tokens["ingester"])

    assert (without.exit_code, with_key.exit_code, wrong_scope.exit_code) == (2, 0, 2)
    assert "unauthenticated" in without.stderr
    assert "forbidden" in wrong_scope.stderr


def test_a_service_that_is_not_there(environment: dict[str, str]) -> None:
    for command in (["search", "x"], ["ask", "x"]):
        done = run(environment, *command, "--url", f"http://127.0.0.1:{free_port()}")
        assert done.exit_code == 2
        assert "does not answer" in done.stderr


def test_keys_are_made_listed_and_revoked(environment: dict[str, str]) -> None:
    arguments = ("--tenant", "acme", "--scope", "search", "--scope", "ingest", "--label", "ops", "--expires-days", "30")
    made = run(environment, "keys", "create", "gateway", *arguments)
    listed = json.loads(run(environment, "keys", "list", "--json").stdout)

    assert re.fullmatch(r"pl_[0-9a-f]{12}_[A-Za-z0-9_-]{43}\n", made.stdout)
    assert "unlabelled, ops" in made.stderr
    assert [(key["name"], key["tenant"], key["scopes"], key["labels"], key["state"]) for key in listed] == [
        ("gateway", "acme", ["ingest", "search"], ["ops"], "active")
    ]
    assert made.stdout.strip().split("_", 2)[2] not in json.dumps(listed)

    revoked = run(environment, "keys", "revoke", listed[0]["id"])
    assert revoked.exit_code == 0
    assert "loopback" in revoked.stderr
    assert json.loads(run(environment, "keys", "list", "--json").stdout)[0]["state"] == "revoked"
    assert run(environment, "keys", "revoke", "nothing").exit_code == 2
    assert run(environment, "keys", "create", "x", "--tenant", "Not One").exit_code == 2


def test_a_key_without_labels_reads_everything_and_says_so(environment: dict[str, str]) -> None:
    assert "every document" in run(environment, "keys", "create", "app").stderr


def test_doctor_finds_a_healthy_service_healthy(filled: dict[str, str]) -> None:
    done = run(filled, "doctor", "--json")
    findings = json.loads(done.stdout)

    assert done.exit_code == 0
    assert {finding["check"] for finding in findings} == {
        *("settings", "space", "embedder", "encodings", "reranker", "model", "folder", "database", "keys", "index")
    }
    assert {finding["verdict"] for finding in findings} == {"ok"}
    assert "granite" in run(filled, "doctor").stdout


def test_a_cross_encoder_by_setting_is_seen_and_used(filled: dict[str, str], tmp_path: Path) -> None:
    more = tmp_path / "docs" / "broker.md"
    more.write_text("# Restart the broker\n\nDrain the queue, then restart the broker before the gateway does it.\n")
    assert run(filled, "ingest", str(more)).exit_code == 0
    model = save_overlap_encoder(tmp_path / "encoder", ["broker"])
    reranking = {
        **filled,
        "PLUMBLINE_RERANKER__PROVIDER": "local",
        "PLUMBLINE_RERANKER__MODEL": str(model),
        "PLUMBLINE_RERANKER__BUDGET_MS": "60000",
    }
    findings = {finding["check"]: finding for finding in json.loads(run(reranking, "doctor", "--json").stdout)}
    found = json.loads(run(reranking, "search", "restart gateway or broker", "--json").stdout)

    assert findings["reranker"]["verdict"] == "ok"
    assert findings["reranker"]["detail"].startswith("encoder@")
    assert found["rerank"]["applied"]
    assert found["hits"][0]["scores"]["rerank"] > found["hits"][1]["scores"]["rerank"]
    assert found["hits"][0]["document"]["title"] == "Restart the broker"


def test_doctor_before_the_first_document(environment: dict[str, str]) -> None:
    done = run(environment, "doctor", "--json")

    assert done.exit_code == 0
    assert not Path(environment["PLUMBLINE_DATA_DIR"], "plumbline.sqlite").exists(), "looking must not make anything"


def test_doctor_names_what_is_wrong(filled: dict[str, str]) -> None:
    wrong = {
        **filled,
        "PLUMBLINE_SERVER__HOST": "0.0.0.0",
        "PLUMBLINE_LOG_LEVL": "debug",
        "PLUMBLINE_LLM__BASE_URL": f"http://127.0.0.1:{free_port()}/v1",
        "PLUMBLINE_LLM_STRONG__MODEL": "large",
        "PLUMBLINE_EMBEDDER__MODEL": "/no/such/model",
        "PLUMBLINE_RERANKER__PROVIDER": "endpoint",
        "PLUMBLINE_RERANKER__BASE_URL": f"http://127.0.0.1:{free_port()}/v1",
    }
    done = run(wrong, "doctor", "--json")
    findings = {finding["check"]: finding for finding in json.loads(done.stdout)}

    assert done.exit_code == 1
    assert findings["settings"]["verdict"] == "warn"
    assert "PLUMBLINE_LOG_LEVEL" in findings["settings"]["detail"]
    assert findings["model"]["verdict"] == "warn"
    assert findings["strong model"]["verdict"] == "warn"
    assert findings["reranker"]["verdict"] == "warn"
    assert "endpoint_unreachable" in findings["reranker"]["detail"]
    assert findings["embedder"]["verdict"] == "fail"
    assert findings["keys"]["verdict"] == "fail"


def test_a_wrong_setting_is_one_line(environment: dict[str, str]) -> None:
    for wrong in ({"PLUMBLINE_SERVER__PORT": "many"}, {"PLUMBLINE_SERVER__HOTS": "x"}, {"PLUMBLINE_INDEX": "{"}):
        for command in (["serve"], ["search", "x"], ["keys", "list"]):
            done = run({**environment, **wrong}, *command)
            assert done.exit_code == 2, done.output
            assert "configuration" in done.stderr
            assert "PLUMBLINE" in done.stderr
            assert "Traceback" not in done.output
    assert "did you mean PLUMBLINE_SERVER__HOST" in run({**environment, "PLUMBLINE_SERVER__HOTS": "x"}, "serve").stderr


def serve(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PLUMBLINE_")}
    return subprocess.Popen(
        [*COMMAND, "serve", *arguments],
        env={**inherited, **environment},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_serve_refuses_an_open_address_without_a_key(environment: dict[str, str]) -> None:
    _, errors = (process := serve(environment, "--host", "0.0.0.0")).communicate(timeout=120)

    assert process.returncode == 2
    assert "keys create" in errors
    assert "Traceback" not in errors


def test_serve_refuses_a_port_that_is_taken(environment: dict[str, str], keyless_url: str) -> None:
    port = keyless_url.rsplit(":", 1)[1]
    _, errors = (process := serve(environment, "--port", port)).communicate(timeout=120)

    assert process.returncode == 2
    assert "--port" in errors
    assert "Traceback" not in errors


def test_serve_says_where_it_is_and_ends_cleanly(environment: dict[str, str]) -> None:
    key = run(environment, "keys", "create", "app").stdout.strip()
    process = serve(environment, "--host", "0.0.0.0", "--port", "0")
    try:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if "Ctrl-C" in line:
                break
        address = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert address, said
        headers = {"Authorization": f"Bearer {key}"}
        assert httpx.get(f"{address[0]}/v1/search?q=x", headers=headers, timeout=60).status_code == 200
        assert httpx.get(f"{address[0]}/v1/search?q=x", timeout=60).status_code == 401
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert "Traceback" not in said + rest
    assert process.returncode in (0, -signal.SIGTERM)
