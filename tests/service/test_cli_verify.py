"""`plumbline verify`: lines in, verdicts out, with a corpus, without one, and over a running service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from service.cli import app
from service.cli.wording import degraded, reasons_of, withheld

BACKUPS = "Backups run every night at 02:00 and are kept for 30 days."
RIGHT: dict[str, Any] = {"id": "right", "answer": "Backups are kept for 30 days [1].", "passages": [{"text": BACKUPS}]}
FALSE = "Backups run every night at 02:00 and are kept for 90 days."
WRONG: dict[str, Any] = {"id": 2, "answer": FALSE, "passages": [{"text": BACKUPS}]}


def run(folder: Path, *arguments: str, lines: str | None = None, variables: dict[str, str] | None = None) -> Result:
    """The command with a data folder that nothing may be put into."""
    environment = {"PLUMBLINE_DATA_DIR": str(folder / "data"), "COLUMNS": "200", "NO_COLOR": "1", **(variables or {})}
    return CliRunner().invoke(app, ["verify", *arguments], env=environment, input=lines)


def written(*lines: object) -> str:
    return "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)


def test_a_file_is_summed_up_without_opening_a_corpus(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text(written(RIGHT, "", WRONG))

    done = run(tmp_path, str(file), "--out", str(tmp_path / "verdicts.jsonl"))

    assert done.exit_code == 0, done.output
    assert "50.0% of the sentences are supported" in done.stdout
    assert f"line 3: contradicted: {FALSE}" in done.stdout
    assert "the source says otherwise (30 days not 90 days)" in done.stdout
    told = [json.loads(line) for line in (tmp_path / "verdicts.jsonl").read_text().splitlines()]
    assert [(one["line"], one["id"], one["result"]["grounding"]["label"]) for one in told] == [
        *((1, "right", "grounded"), (3, 2, "ungrounded")),
    ]
    assert not (tmp_path / "data").exists()


def test_a_bad_line_is_named_and_does_not_stop_the_others(tmp_path: Path) -> None:
    done = run(tmp_path, "-", "--json", lines=written("{bad", {"id": "x", "answer": "y"}, "[1]", RIGHT))

    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["error"] is None for one in told] == [False, False, False, True]
    assert [one["line"] for one in told] == [1, 2, 3, 4]
    assert told[1]["id"] == "x"
    assert told[3]["result"]["sentences"][0]["support"]["label"] == "supported"
    assert "line 2 is not valid at /passages" in done.stderr
    assert done.exit_code == 1


@pytest.mark.parametrize(("share", "code"), [("0.5", 0), ("0.51", 1)])
def test_the_gate_is_the_share_of_supported_sentences(tmp_path: Path, share: str, code: int) -> None:
    assert run(tmp_path, "-", "--fail-under", share, lines=written(RIGHT, WRONG)).exit_code == code


def test_files_that_can_not_be_read_or_written(tmp_path: Path) -> None:
    absent = run(tmp_path, str(tmp_path / "nonesuch"))
    closed = run(tmp_path, "-", "--out", str(tmp_path / "no" / "folder"), lines=written(RIGHT))

    assert (absent.exit_code, closed.exit_code) == (2, 2)
    assert "nonesuch" in absent.stderr
    assert "cannot be written" in closed.stderr


def test_a_service_says_the_same(tmp_path: Path, keyless_url: str) -> None:
    lines = written(*[RIGHT, "{bad", WRONG] * 15)
    here = run(tmp_path, "-", "--json", lines=lines)
    there = run(tmp_path, "-", "--json", "--url", keyless_url, lines=lines)

    def bare(done: Result) -> list[Any]:
        told = [json.loads(line) for line in done.stdout.splitlines()]
        return [one | {"result": one["result"] and one["result"] | {"timings_ms": None}} for one in told]

    assert len(bare(there)) == 45
    assert bare(here) == bare(there)


def test_chunks_are_read_from_the_corpus_of_the_settings(tmp_path: Path, models_dir: Path) -> None:
    variables = {"PLUMBLINE_MODELS_DIR": str(models_dir), "PLUMBLINE_LOG_LEVEL": "error"}
    environment = {"PLUMBLINE_DATA_DIR": str(tmp_path / "data"), **variables}
    (tmp_path / "backups.md").write_text(f"# Backups\n\n{BACKUPS}\n")
    assert CliRunner().invoke(app, ["ingest", str(tmp_path / "backups.md")], env=environment).exit_code == 0
    hits = CliRunner().invoke(app, ["search", "backups", "--json"], env=environment)
    ids = [hit["chunk_id"] for hit in json.loads(hits.stdout)["hits"]]

    asked = {"answer": "Backups are kept for 30 days.", "chunk_ids": ids}
    done = run(tmp_path, "-", "--json", lines=written(asked, asked | {"chunk_ids": ["nonesuch"]}), variables=variables)

    found, unknown = (json.loads(line) for line in done.stdout.splitlines())
    assert found["result"]["citations"][0]["document"]["title"] == "Backups"
    assert unknown["error"]["pointer"] == "/chunk_ids/0"


@pytest.mark.parametrize(
    ("checks", "words"),
    [
        (["facts:missing", "numbers:missing 7776000 s", "overlap:0.90"], ["a number is not there (90 days)"]),
        (["numbers:missing 90 s"], ["a number is not there (90 s)"]),
        (["numbers:missing 5 s", "conflict:6 s not 5 s"], ["the source says otherwise (6 s not 5 s)"]),
        (["commands:missing kubectl -x"], ["a command is not there (kubectl -x)"]),
        (["negation:delet"], ["the source says the opposite (delet)"]),
        (["negation:listed as what not to do"], ["the source lists it as what not to do"]),
        (["citations:none"], ["it cites nothing, and no passage says it"]),
        (["facts:ok", "numbers:ok", "overlap:0.41"], ["41% of its words are there"]),
        (["verbatim"], []),
    ],
)
def test_reasons_are_told_in_words(checks: list[str], words: list[str]) -> None:
    assert reasons_of(checks) == words


def test_what_was_left_out_and_why_it_is_less() -> None:
    assert withheld(None) is None
    assert withheld({"withheld_sentences": 0}) is None
    assert withheld({}) is None
    assert withheld({"withheld_sentences": 1}) == ("1 sentence was left out because the sources do not support it")
    assert "2 sentences were left out" in str(withheld({"withheld_sentences": 2}))
    told = {"reason": "model_timeout", "mode": "extractive"}
    assert degraded(told, answered=True) == "degraded (model_timeout): sentences of the sources are shown instead"
    assert "shown" not in degraded(told, answered=False)
