"""`plumbline eval` from end to end: a judged collection, a golden file over the corpus, the gate and its exit codes."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service.cli import app
from service.quality.building import build, settings_for
from service.quality.folders import find_folder
from service.quality.runs import LEGS, OURS, RRF, Run, load_run, save_run
from service.settings import ServiceSettings
from tests.service.http_parts import COMMAND, command_environment
from tests.service.quality_parts import beir_folder, run_of

GOLDEN = [
    {"id": "restart", "question": "gateway answers 502", "relevant_documents": ["gateway.md"],
     "expected_facts": ["restart the gateway", "nowhere to be found"]},
    {"id": "lock", "question": "LDG-1107",
     "relevant_passages": [{"document": "ledger.md", "quote": "clear  ldg-1107"}]},
    {"id": "chess", "question": "who won the chess tournament in 1921?", "must_refuse": True},
]  # fmt: skip


@pytest.fixture
def environment(tmp_path: Path, models_dir: Path) -> dict[str, str]:
    return command_environment(tmp_path / "data", models_dir)


def evaluate(environment: dict[str, str], *arguments: object) -> Result:
    return CliRunner().invoke(app, ["eval", *map(str, arguments)], env=environment)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> tuple[Path, Path, str]:
    """A judged collection, the folder of what is built from it, and what its first evaluation printed."""
    base = tmp_path_factory.mktemp("evaluation")
    folder = beir_folder(base / "harbour")
    files = ("--work", base / "work", "--json", base / "run.json", "--report", base / "report.md")
    variables = {"PLUMBLINE_MODELS_DIR": str(models_dir), "PLUMBLINE_LOG_LEVEL": "error", "COLUMNS": "200"}
    # A process of its own: the logger of the jobs keeps the stream that it was first given.
    done = subprocess.run(
        [*COMMAND, "eval", str(folder), *map(str, files)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return folder, base, done.stdout


def test_a_collection_is_built_searched_and_measured(built: tuple[Path, Path, str]) -> None:
    _, base, printed = built
    run = load_run(base / "run.json")
    (one,) = run.sets

    assert (one.name, one.corpus.documents, one.unjudged) == ("harbour", 6, 1)
    assert set(one.rows) == {OURS, *LEGS, RRF}
    assert one.rows[OURS].metrics["hit@1"].mean == 1.0
    assert one.rows[OURS].metrics["ndcg@10"].n == 4
    assert {query.id: query.top[0] for query in one.rows[OURS].queries if query.id != "r0"} == {
        "q1": "gateway.md", "q2": "ledger.md", "q3": "crane", "q4": "barge",
    }  # fmt: skip
    assert one.refusals is not None
    assert (one.refusals.must, one.refusals.may_not) == (1, 4)
    assert one.confidence is not None
    for measure, difference in one.differences.items():
        better = max(LEGS, key=lambda leg: one.rows[leg].metrics[measure].mean)
        assert difference.mean == pytest.approx(
            one.rows[OURS].metrics[measure].mean - one.rows[better].metrics[measure].mean, abs=1e-5
        )
    report = (base / "report.md").read_text()
    assert "## harbour" in report
    assert "BM25 only" in report
    assert "ours - better leg" in printed


def test_what_was_built_is_used_again_and_gives_the_same(
    built: tuple[Path, Path, str], environment: dict[str, str], tmp_path: Path
) -> None:
    folder, base, _ = built
    database = base / "work" / "harbour" / "evaluation.json"
    before = database.read_text()

    result = evaluate(environment, folder, "--work", base / "work", "--json", tmp_path / "again.json")

    assert result.exit_code == 0, result.output
    assert database.read_text() == before
    first, again = load_run(base / "run.json"), load_run(tmp_path / "again.json")
    assert _without_times(first) == _without_times(again)


def test_other_documents_are_built_anew(tmp_path: Path, models_dir: Path) -> None:
    folder = find_folder(beir_folder(tmp_path / "harbour"))
    assert folder is not None
    settings = settings_for(ServiceSettings(models_dir=models_dir), folder, tmp_path / "work")
    told: list[tuple[str, int, int]] = []

    first = build(settings, folder, lambda *progress: told.append(progress))
    again = build(settings, folder, lambda *progress: told.append(("again", 0, 0)))
    rows = [{"id": "gateway.md", "title": "", "text": "gateway 502"}, {"id": "crane", "text": "a crane that lifts"}]
    folder.corpus.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    other = build(settings, folder, lambda *progress: None)

    assert (first, again, other) == (6, 6, 2)
    assert told[-1] == ("ingesting", 6, 6)


def test_a_folder_that_was_not_built_here_is_left_alone(environment: dict[str, str], tmp_path: Path) -> None:
    folder = beir_folder(tmp_path / "harbour")
    mine = tmp_path / "mine" / "harbour"
    mine.mkdir(parents=True)
    (mine / "precious.txt").write_text("mine")

    refused = evaluate(environment, folder, "--work", tmp_path / "mine")

    assert refused.exit_code == 2
    assert "not built by an evaluation" in refused.output
    assert [file.name for file in mine.iterdir()] == ["precious.txt"]


def test_a_golden_file_over_the_corpus_of_the_settings(environment: dict[str, str], tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "gateway.md").write_text("# Gateway 502\n\nRestart the gateway when it answers 502 after a deploy.\n")
    (docs / "ledger.md").write_text("# Invoice run\n\nThe lock is held: clear LDG-1107 once the run is over.\n")
    assert CliRunner().invoke(app, ["ingest", str(docs)], env=environment).exit_code == 0
    golden = tmp_path / "questions.jsonl"
    golden.write_text("\n".join(map(json.dumps, GOLDEN)))

    result = evaluate(environment, golden, "--json", tmp_path / "run.json", "--depth", 10)

    assert result.exit_code == 0, result.output
    (one,) = load_run(tmp_path / "run.json").sets
    metrics = {query.id: query.metrics for query in one.rows[OURS].queries}
    assert one.name == "questions"
    assert metrics["restart"]["ndcg@10"] == 1.0
    assert metrics["restart"]["facts@10"] == 0.5
    assert metrics["lock"]["passages@10"] == 1.0
    assert metrics["chess"] == {}
    assert one.rows[OURS].metrics["passages@10"].n == 1


def test_the_gate_passes_an_equal_run_and_stops_a_worse_one(
    built: tuple[Path, Path, str], environment: dict[str, str], tmp_path: Path
) -> None:
    folder, base, _ = built
    better = _with_perfect_queries(load_run(base / "run.json"), share=2.0)
    save_run(better, tmp_path / "better.json")
    work = ("--work", base / "work", "--gate")

    same = evaluate(environment, folder, *work, "--baseline", base / "run.json")
    worse = evaluate(environment, folder, *work, "--baseline", tmp_path / "better.json")
    reached = evaluate(environment, folder, *work, "--min", "ndcg@10=0.7")
    missed = evaluate(environment, folder, *work, "--min", "ndcg@10=1.1")

    assert (same.exit_code, worse.exit_code) == (0, 1), same.output + worse.output
    assert (reached.exit_code, missed.exit_code) == (0, 1)
    assert "gate: passed" in same.output
    assert "harbour: ndcg@10 fell by" in worse.output


def test_two_stored_runs_are_compared_without_a_corpus(environment: dict[str, str], tmp_path: Path) -> None:
    save_run(run_of({"a": 1.0, "b": 0.5}), tmp_path / "a.json")
    save_run(run_of({"a": 0.25, "b": 0.5}), tmp_path / "b.json")

    result = evaluate(environment, "--diff", tmp_path / "a.json", tmp_path / "b.json", "--report", tmp_path / "d.md")

    assert result.exit_code == 0, result.output
    assert "-0.750" in result.stdout
    assert "Title of a" in result.stdout
    assert "Lost most" in (tmp_path / "d.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ((), "name a golden file"),
        (("nonesuch.jsonl",), "nonesuch.jsonl"),
        (("broken.jsonl",), "broken.jsonl:1"),
        (("harbour", "--gate"), "--baseline"),
        (("harbour", "--min", "ndcg"), "measure=value"),
        (("harbour", "--baseline", "nonesuch.json"), "nonesuch.json"),
        (("harbour", "--tolerance", "ndcg@10=much"), "measure=value"),
        (("harbour", "--tolerance", "-0.1"), "0 or more"),
        (("harbour", "--split", "test", "--fold", "7"), "no fold 7"),
    ],
)
def test_what_cannot_be_used_ends_with_2(
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    what: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    beir_folder(tmp_path / "harbour")
    (tmp_path / "broken.jsonl").write_text("{")

    result = evaluate(environment, *arguments)

    assert result.exit_code == 2, result.output
    assert what in " ".join(result.output.split())


def _without_times(run: Run) -> list[object]:
    return [
        (query.id, query.metrics, query.top, query.label, query.confidence)
        for one in run.sets
        for row in one.rows.values()
        for query in row.queries
    ]


def _with_perfect_queries(run: Run, *, share: float) -> Run:
    """The run as if every query had had so much more of every measure: a baseline that no later run reaches."""
    facts = run.model_dump(mode="json")
    for query in facts["sets"][0]["rows"][OURS]["queries"]:
        query["metrics"] = {name: value + share for name, value in query["metrics"].items()}
    return Run.model_validate(facts)


def test_answers_are_measured_kept_and_gated(environment: dict[str, str], tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "gateway.md").write_text("# Gateway 502\n\nRestart the gateway when it answers 502. It takes 90 seconds.\n")
    assert CliRunner().invoke(app, ["ingest", str(docs)], env=environment).exit_code == 0
    golden = tmp_path / "questions.jsonl"
    cases = [{**GOLDEN[0], "must_cite": ["gateway.md"], "triage": {"severity": "P2"}}, GOLDEN[2]]
    golden.write_text("\n".join(map(json.dumps, cases)))
    short = (golden, "--depth", 10)

    first = evaluate(environment, *short, "--answers", "--json", tmp_path / "run.json", "--report", tmp_path / "r.md")
    same = evaluate(environment, *short, "--answers", "--gate", "--baseline", tmp_path / "run.json")
    without = evaluate(environment, *short, "--gate", "--baseline", tmp_path / "run.json")

    assert first.exit_code == 0, first.output
    answers = load_run(tmp_path / "run.json").sets[0].answers
    assert answers is not None
    assert {name: answers.metrics[name].mean for name in ("answered", "refused", "fact_recall", "must_cite")} == {
        "answered": 1.0, "refused": 1.0, "fact_recall": 0.5, "must_cite": 1.0,
    }  # fmt: skip
    assert answers.metrics["probe_caught"].mean == answers.metrics["probe_kept"].mean == 1.0
    assert "not measured: triage: 1 cases" in first.output
    assert "Not measured: triage" in (tmp_path / "r.md").read_text()
    assert (same.exit_code, without.exit_code) == (0, 1), same.output + without.output
    assert "answered was measured in the baseline and not in this run: run it with --answers" in without.output
