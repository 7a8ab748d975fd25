"""What is worse is not released, what is not is, and what users search stays as it is until then."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ingestion.corpus.scope import Scope
from ingestion.errors import Conflict, NotFound
from ingestion.rebuilding import Rebuilder
from ingestion.settings import ChunkingSettings, IndexSettings, RebuildPolicy
from service.access.principals import DEFAULT_TENANT
from service.cli import app
from service.generation.prompts import load_prompt
from service.retrieval.query import SearchQuery
from service.retrieval.search import Searcher
from service.runtime import open_runtime
from tests.chat_endpoint import Endpoint, Reply, running_endpoint, saying
from tests.ingestion.corpora import open_bench
from tests.ingestion.generations import pumps
from tests.service.http_parts import settings_for
from tests.service.test_runtime import ingest

SCOPE = Scope(DEFAULT_TENANT)
SMALLER = {"max_tokens": 48, "min_tokens": 8}
GOOD = "When the gateway answers 502, drain the host and restart the deployment [1]."
BAD = "Reboot all seventeen database servers at midnight and format their disks [1]."
QUESTIONS = ("How do I restart the gateway?", "What if the gateway answers 502?", "Gateway 502: drain which host?")


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """One prompt makes the model write what no source says."""
    bad = load_prompt("answer@1").render("?", []).messages[0].content

    def reply(body: dict[str, Any]) -> Reply:
        return saying(BAD if body["messages"][0]["content"] == bad else GOOD)

    with running_endpoint(reply) as running:
        yield running


@pytest.fixture
def environment(tmp_path: Path, models_dir: Path, endpoint: Endpoint) -> dict[str, str]:
    """A corpus with the runbook of a gateway, and golden cases about it."""

    async def fill() -> None:
        async with open_runtime(settings_for(tmp_path / "data", models_dir)) as runtime:
            await ingest(runtime)

    asyncio.run(fill())
    cases = [
        {
            "id": f"case-{n}",
            "question": question,
            "relevant_documents": ["gateway"],
            "expected_facts": ["drain the host"],
        }
        for n, question in enumerate(QUESTIONS)
    ]
    (tmp_path / "golden.jsonl").write_text("\n".join(map(json.dumps, cases)))
    return {
        "PLUMBLINE_DATA_DIR": str(tmp_path / "data"),
        "PLUMBLINE_MODELS_DIR": str(models_dir),
        "PLUMBLINE_LLM__BASE_URL": endpoint.url,
        "PLUMBLINE_LLM__OUTPUT": "text",
        "PLUMBLINE_ANSWERS__REPAIR": "false",
        "PLUMBLINE_LOG_LEVEL": "error",
        "COLUMNS": "200",
        "NO_COLOR": "1",
    }


def run(environment: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env=environment)


def live(environment: dict[str, str]) -> dict[str, str]:
    found = json.loads(run(environment, "releases", "--json").stdout)
    return {one["kind"]: one["value"] for one in found["live"]}


def test_a_prompt_goes_live_only_through_the_gate(environment: dict[str, str], tmp_path: Path) -> None:
    golden = ("--golden", str(tmp_path / "golden.jsonl"))

    stopped = run(environment, "promote", "--prompt", "answer@1", *golden)
    assert stopped.exit_code == 1, stopped.output
    assert "gate: not passed" in stopped.output
    assert "nothing was changed" in stopped.output
    assert live(environment)["prompt"] == "answer@3"

    passed = run(environment, "promote", "--prompt", "answer@2", *golden)
    assert passed.exit_code == 0, passed.output
    assert "prompt answer@2 is live in the place of what the settings say" in passed.output
    assert live(environment)["prompt"] == "answer@2"

    again = run(environment, "promote", "--prompt", "answer@2", *golden)
    assert (again.exit_code, "is live already" in again.output) == (2, True)

    forced = run(environment, "promote", "--prompt", "answer@1", "--force", "the golden set is wrong")
    assert forced.exit_code == 0, forced.output
    newest = json.loads(run(environment, "releases", "--json").stdout)["releases"][0]
    assert (newest["value"], newest["previous"], newest["forced"]) == (
        "answer@1",
        "answer@2",
        "the golden set is wrong",
    )
    assert newest["actor"].startswith("cli:")
    assert newest["signals"]["unsupported"]["before"] == {"bad": 0.0, "of": 0}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--prompt", "answer@99", "--force", "why not"), "no prompt 'answer@99'"),
        (("--prompt", "answer@1"), "--golden FILE"),
        (("--prompt", "answer@1", "--force", " "), "--force needs a reason"),
        (("--prompt", "answer@1", "--model", "m", "--force", "why not"), "name one candidate"),
        (("--force", "why not"), "name one candidate"),
    ],
)
def test_what_can_not_go_live_is_told(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    refused = run({"PLUMBLINE_DATA_DIR": str(tmp_path), "COLUMNS": "200"}, "promote", *arguments)

    assert refused.exit_code == 2
    assert words in refused.output


def test_a_model_without_an_endpoint_is_told(tmp_path: Path) -> None:
    refused = run({"PLUMBLINE_DATA_DIR": str(tmp_path)}, "promote", "--model", "big", "--force", "why not")

    assert refused.exit_code == 2
    assert "no endpoint" in " ".join(refused.output.split())


def test_a_generation_is_measured_before_anyone_searches_it(tmp_path: Path, models_dir: Path) -> None:
    with open_bench(settings_for(tmp_path, models_dir)) as bench:
        bench.ingest(*pumps(4))
    environment = {
        "PLUMBLINE_DATA_DIR": str(tmp_path),
        "PLUMBLINE_MODELS_DIR": str(models_dir),
        "PLUMBLINE_LOG_LEVEL": "error",
        "COLUMNS": "200",
        **{f"PLUMBLINE_CHUNKING__{name.upper()}": str(value) for name, value in SMALLER.items()},
    }
    before = live(environment)["generation"]
    assert "promote --generation" in run(environment, "reindex", "--build-only").output
    built = next(
        one["name"]
        for one in json.loads(run(environment, "generations", "--json").stdout)["generations"]
        if one["wanted"]
    )
    assert (built != before, live(environment)["generation"]) == (True, before)

    golden = tmp_path / "golden.jsonl"
    cases = [
        {"id": f"case-{n}", "question": f"how is pump {n} primed", "relevant_documents": [f"pump-{n}"]}
        for n in range(4)
    ]
    golden.write_text("\n".join(map(json.dumps, cases)))
    done = run(environment, "promote", "--generation", built, "--golden", str(golden))
    assert done.exit_code == 0, done.output
    assert live(environment)["generation"] == built

    back = run(environment, "rollback", "generation")
    assert back.exit_code == 0, back.output
    assert live(environment)["generation"] == before


def test_a_candidate_must_be_whole(tmp_path: Path, models_dir: Path) -> None:
    with open_bench(settings_for(tmp_path, models_dir)) as bench:
        bench.ingest(*pumps(2))
    smaller = settings_for(
        tmp_path, models_dir, chunking=ChunkingSettings(**SMALLER), index=IndexSettings(rebuild=RebuildPolicy.MANUAL)
    )
    query = SearchQuery("how is pump 0 primed")
    with open_bench(smaller) as bench:
        built = Rebuilder(bench.corpus).build().generation
        active = bench.corpus.index_version
        with bench.corpus.previewed(built) as preview:
            found = Searcher(preview, smaller.retrieval).search(SCOPE, query)
            assert (found.index_version, bench.corpus.index_version) == (built, active)
            assert found.passages[0].indexed.document.id == "pump-0"
        found = Searcher(bench.corpus, smaller.retrieval).search(SCOPE, query)
        assert (found.index_version, found.passages[0].indexed.document.id) == (active, "pump-0")
        bench.ingest(*pumps(3))
        with pytest.raises(Conflict, match="lacks 1 documents"), bench.corpus.previewed(built):
            pass
        with pytest.raises(NotFound, match="no generation v1-none"), bench.corpus.previewed("v1-none"):
            pass
