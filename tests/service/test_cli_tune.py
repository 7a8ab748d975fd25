"""`plumbline tune`: what it adopts searches use, and it says why it adopts nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ingestion.corpus.database import open_database
from service.cli import app
from service.ledger.database import migrate_ledger
from tests.ingestion.corpora import markdown, open_bench, settings_for
from tests.service.feedback_parts import click, keep, passage, search_trace
from tests.service.http_parts import command_environment

CHAIRS = ("oak", "pine", "beech", "walnut", "cherry", "maple", "birch")
COLOURS = ("red", "blue", "green", "white", "black")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> dict[str, str]:
    """A data folder with articles that differ in their number alone, which an embedder hardly tells apart."""
    folder = tmp_path_factory.mktemp("tune")
    articles = [f"A {colour} chair of {wood}" for wood in CHAIRS for colour in COLOURS]
    with open_bench(settings_for(folder, models_dir)) as bench:
        bench.ingest(*(markdown(f"a{n}", f"{text}, article number {n}.") for n, text in enumerate(articles)))
    return command_environment(folder, models_dir)


def run(environment: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env=environment)


def golden(path: Path, count: int) -> Path:
    cases = [
        {"id": f"q{n}", "question": f"which chair has article number {n} here", "relevant_documents": [f"a{n}.md"]}
        for n in range(count)
    ]
    path.write_text("\n".join(map(json.dumps, cases)))
    return path


def test_a_fit_is_told_and_kept_only_if_it_is_better(environment: dict[str, str], tmp_path: Path) -> None:
    path = golden(tmp_path / "golden.jsonl", 35)

    tried = run(environment, "tune", str(path), "--dry-run", "--json")
    kept = run(environment, "tune", str(path), "--json")
    shown = run(environment, "tune", str(path), "--dry-run")

    assert tried.exit_code == kept.exit_code == shown.exit_code == 0, shown.output
    (fit,) = json.loads(tried.stdout)["fits"]
    assert (fit["kind"], fit["queries"]) == ("question", 35)
    assert fit["adopted"] == (fit["low"] > 0)
    assert json.loads(tried.stdout)["stored"] is False
    assert json.loads(kept.stdout)["stored"] is fit["adopted"]
    assert "question" in shown.stdout
    told = json.loads(run(environment, "search", "which chair has article number 7 here", "--explain", "--json").stdout)
    assert told["explanation"]["fitted"] == ("" if fit["adopted"] else None)
    reset = run(environment, "tune", "--reset", "--json")
    assert json.loads(reset.stdout)["stored"] is fit["adopted"]


def test_few_questions_and_short_documents_are_refused_with_the_reason(
    environment: dict[str, str], tmp_path: Path
) -> None:
    few = run(environment, "tune", str(golden(tmp_path / "few.jsonl", 5)))
    alone = run(environment, "tune")
    missing = run(environment, "tune", str(tmp_path / "nowhere.jsonl"))

    assert few.exit_code == 0
    assert "nothing was fitted" in few.stdout
    assert alone.exit_code != 0
    assert "name a golden file" in alone.output
    assert missing.exit_code != 0
    assert "nowhere.jsonl" in missing.output


def opened(environment: dict[str, str], models_dir: Path, count: int, tenant: str) -> None:
    """Searches of that tenant, of each of which the hit at the second place was opened."""
    engine = open_database(settings_for(Path(environment["PLUMBLINE_DATA_DIR"]), models_dir))
    migrate_ledger(engine)
    for n in range(count):
        hits = [passage(f"{tenant}{other}", uri=f"a{other}.md") for other in (34 - n, n)]
        query = f"which chair has article number {n} here"
        trace = search_trace(query=query, tenant=tenant, at=datetime.now(UTC))
        trace = replace(trace, hits=2, body={"passages": hits})
        keep(engine, trace)
        click(engine, trace, f"{tenant}{n}")
    engine.dispose()


def test_clicks_are_fitted_to_as_golden_cases_are(environment: dict[str, str], models_dir: Path) -> None:
    opened(environment, models_dir, 35, "default")

    tried = run(environment, "tune", "--clicks", "--dry-run", "--json")

    assert tried.exit_code == 0, tried.output
    (fit,) = json.loads(tried.stdout)["fits"]
    assert (fit["kind"], fit["queries"]) == ("question", 35)
    assert fit["adopted"] == (fit["low"] > 0)
    assert 0 < fit["sparse"] <= 1


def test_too_few_clicks_are_told_with_how_many_are_needed(environment: dict[str, str], models_dir: Path) -> None:
    opened(environment, models_dir, 3, "few")

    few = run(environment, "tune", "--clicks", "--tenant", "few")
    none = run(environment, "tune", "--clicks", "--tenant", "nobody")
    both = run(environment, "tune", "golden.jsonl", "--clicks")

    assert (few.exit_code, none.exit_code, both.exit_code) == (2, 2, 2)
    assert "25 different questions of one kind" in few.stderr
    assert "in 4w there are 3 of kind question" in few.stderr
    assert "there are none" in none.stderr
    assert "exclude each other" in both.stderr
