"""`plumbline ask`: verdicts with their reasons, what was left out, refusals, and who wrote it at what price."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service.cli import app
from tests.chat_endpoint import Endpoint, failing, running_endpoint, saying
from tests.service.http_parts import command_environment

RUNBOOK = (
    "# Restart the gateway\n\nDrain the host, then restart the gateway when it answers 502. It takes ten minutes.\n"
)
QUESTION = "When do I restart the gateway?"
FALSE = "Restart the gateway when it answers 504 [1]."
MIXED = saying("Drain the host, then restart the gateway when it answers 502 [1]. ", FALSE)


@pytest.fixture(scope="module")
def model() -> Iterator[Endpoint]:
    with running_endpoint() as model:
        yield model


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, models_dir: Path, model: Endpoint) -> dict[str, str]:
    """A data folder with one runbook in it, and a model that is scripted."""
    folder = tmp_path_factory.mktemp("asking")
    (folder / "docs").mkdir()
    (folder / "docs" / "gateway.md").write_text(RUNBOOK)
    variables = command_environment(folder / "data", models_dir) | {
        "PLUMBLINE_LLM__BASE_URL": model.url,
        "PLUMBLINE_LLM__API_KEY": "none",
        "PLUMBLINE_LLM__MODEL": "scripted-7b",
        "PLUMBLINE_LLM__MAX_RETRIES": "0",
        "PLUMBLINE_ANSWERS__REPAIR": "false",
        "PLUMBLINE_ANSWERS__CACHE": "off",
    }
    assert CliRunner().invoke(app, ["ingest", str(folder / "docs")], env=variables).exit_code == 0
    return variables


@pytest.fixture(autouse=True)
def _script(model: Endpoint) -> None:
    model.bodies.clear()
    model.replies[:] = [MIXED]


def ask(environment: dict[str, str], *arguments: str) -> Result:
    done = CliRunner().invoke(app, ["ask", *arguments], env=environment)
    assert done.exit_code == 0, done.output
    return done


def test_a_verdict_comes_with_its_reason(environment: dict[str, str]) -> None:
    told = ask(environment, QUESTION).stdout

    assert "restart the gateway when it answers 502. [1]\n" in told
    assert "504. [" in told
    assert "the source says otherwise (502 not 504))" in told
    assert "scripted-7b, 12 + 3 tokens" in told
    assert "left out" not in told


def test_a_policy_leaves_out_or_refuses(environment: dict[str, str]) -> None:
    withheld = ask(environment, QUESTION, "--policy", "withhold").stdout
    strict = ask(environment, QUESTION, "--policy", "strict").stdout

    assert "504" not in withheld
    assert "1 sentence was left out because the sources do not support it" in withheld
    assert "502. [1]" not in strict
    assert "do not support all of it" in strict


def test_a_refusal_names_the_nearest_documents(environment: dict[str, str], model: Endpoint) -> None:
    question = "Which pancake recipe uses buckwheat flour?"
    told = ask(environment, question).stdout
    nearest = json.loads(ask(environment, question, "--json").stdout)["refusal"]["nearest"]

    assert "Nothing in the documents" in told
    assert ("The documents that come nearest:" in told) == bool(nearest)
    assert all(f"\n  {document['title']}, {document['uri']}\n" in told for document in nearest)
    assert model.bodies == []


def test_a_tier_and_a_service_can_be_named(environment: dict[str, str], keyless_url: str) -> None:
    assert "scripted-7b" in ask(environment, QUESTION, "--tier", "fast").stdout
    told = ask(environment, "How do I restart the gateway?", "--policy", "withhold", "--url", keyless_url).stdout
    assert "degraded (model_not_configured): sentences of the sources are shown instead" in told


def test_a_model_that_fails_is_named(environment: dict[str, str], model: Endpoint) -> None:
    model.replies[:] = [failing(500)]

    told = ask(environment, QUESTION).stdout

    assert "degraded (model_server_error): sentences of the sources are shown instead" in told
    assert "502" in told


def test_what_can_not_be_asked_is_one_line(environment: dict[str, str]) -> None:
    done = CliRunner().invoke(app, ["ask", " "], env=environment)

    assert done.exit_code == 2
    assert "question: must not be empty" in done.stderr


def test_an_answer_leaves_a_trace_that_can_be_shown(environment: dict[str, str]) -> None:
    last = ask(environment, QUESTION).stdout.splitlines()[-1]
    assert last.startswith("answer ")
    done = CliRunner().invoke(app, ["traces", "show", last.split()[1]], env=environment)

    assert done.exit_code == 0, done.output
    assert QUESTION in done.stdout
    assert "the source says otherwise (502 not 504)" in done.stdout
    assert "scripted-7b for answer: ok, 12 + 3 tokens" in done.stdout
