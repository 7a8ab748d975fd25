"""An answer that went wrong as a golden candidate: what it says, where it stands, and that it measures nothing yet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from ingestion.corpus.database import open_database
from ingestion.corpus.scope import TenantId
from ingestion.errors import ConfigurationError, InvalidRequest
from ingestion.settings import Settings
from service.cli import app
from service.ledger.database import migrate_ledger
from service.ledger.feedback import Feedback, FeedbackRecord, Kind, Rating
from service.ledger.traces import Operation, Outcome, Trace
from service.quality.candidates import add_candidate, candidate, worst
from service.quality.golden import GoldenCase, load_golden, read_golden
from tests.service.feedback_parts import TENANT, keep, passage, search_trace
from tests.service.http_parts import Keyed, command_environment, problem

ACME = TenantId(TENANT)
NOW = datetime.now(UTC).replace(microsecond=0)
QUESTION = "How long is the on-call handover?"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(Settings(data_dir=tmp_path / "data"))
    migrate_ledger(engine)
    yield engine
    engine.dispose()


def answer(id_: str = "answer-1", **changes: Any) -> Trace:
    """An answer with one sentence that its source supports and one that nothing does."""

    def sentence(text: str, label: str, *cited: int) -> dict[str, Any]:
        return {"text": text, "citations": list(cited), "support": {"label": label, "score": 0.5, "checks": []}}

    body = {
        "standing": QUESTION,
        "collections": ["docs"],
        "filter": {"must": [{"key": "source", "equals": "runbooks"}]},
        "text": "It takes an hour [1]. Bring cake [2].",
        "sentences": [sentence("It takes an hour.", "supported", 1), sentence("Bring cake.", "unsupported", 2)],
        "citations": [passage("oncall", n=1), passage("kitchen", n=2)],
        "passages": [passage(name) for name in ("kitchen", "oncall", "spare")],
    }
    told = {"query": "how long?", "operation": Operation.ANSWER, "at": NOW, "sentences": 2, "unsupported": 1}
    return replace(search_trace("kitchen", "oncall", "spare"), **(told | {"id": id_, "body": body} | changes))


def given(trace: Trace, kind: Kind, **told: Any) -> FeedbackRecord:
    return FeedbackRecord(TENANT, trace.id, kind, **told)


def test_an_answer_that_was_rated_down_names_nothing_relevant() -> None:
    trace = answer()
    said = [
        given(trace, Kind.CLICK, chunk_id="oncall", rank=1),
        given(trace, Kind.RATING, rating=Rating.DOWN),
        given(trace, Kind.CORRECTION, text="It is half an hour."),
    ]

    case = candidate(trace, said)

    assert (case.question, case.origin, case.reviewed) == (QUESTION, "answer-1", False)
    assert case.relevant_documents == case.expected_facts == case.forbidden_facts == ()
    assert case.collections == ("docs",)
    assert case.filter is not None
    assert case.note is not None
    for line in (
        "Rated down.",
        "Opened: docs/oncall.md.",
        "Correction: It is half an hour.",
        "Unsupported, perhaps a forbidden fact: Bring cake.",
        "Answered: It takes an hour [1]. Bring cake [2].",
        "Shown: docs/oncall.md, docs/kitchen.md, docs/spare.md.",
    ):
        assert line in case.note.split("\n")


def test_what_was_opened_or_praised_is_relevant() -> None:
    trace = answer()

    opened = candidate(trace, [given(trace, Kind.CLICK, chunk_id="spare", rank=3)])
    praised = candidate(trace, [given(trace, Kind.RATING, rating=Rating.UP)])
    mixed = candidate(
        trace,
        [
            given(trace, Kind.RATING, rating=Rating.UP),
            given(trace, Kind.RATING, rating=Rating.DOWN, chunk_id="oncall", rank=1),
            given(trace, Kind.RATING, rating=Rating.UP, chunk_id="spare", rank=3),
        ],
    )
    silent = candidate(trace, [])
    changed = [given(trace, Kind.RATING, rating=rating) for rating in (Rating.DOWN, Rating.UP)]

    assert candidate(trace, changed).relevant_documents == ("docs/oncall.md",)
    assert opened.relevant_documents == ("docs/spare.md",)
    assert praised.relevant_documents == ("docs/oncall.md",)
    assert mixed.relevant_documents == ("docs/spare.md",)
    assert silent.relevant_documents == ()


def test_what_should_have_been_refused_names_nothing_either() -> None:
    trace = answer()

    case = candidate(trace, [given(trace, Kind.CLICK, chunk_id="oncall", rank=1)], must_refuse=True)

    assert case.must_refuse
    assert case.relevant_documents == ()


def test_a_filter_whose_values_are_gone_is_told() -> None:
    trace = answer()
    trace = replace(trace, body={**trace.body, "filter": {"must": [{"key": "source", "equals": None}]}})

    case = candidate(trace, [])

    assert case.filter is None
    assert case.note is not None
    assert "a filter whose values were not kept" in case.note


def test_without_the_words_there_is_no_case() -> None:
    trace = search_trace("a", query=None)

    with pytest.raises(InvalidRequest, match="PLUMBLINE_LEDGER__CONTENT"):
        candidate(replace(trace, query=None), [])


def test_the_same_answer_is_added_once(tmp_path: Path) -> None:
    path = tmp_path / "golden" / "candidates.jsonl"
    case = candidate(answer(), [])
    path.parent.mkdir()
    path.write_text('{"id": "old", "question": "ü?", "must_refuse": true}', encoding="utf-8")  # no line end

    first, again = add_candidate(path, case), add_candidate(path, case)

    assert (first.new, again.new) == (True, False)
    assert [one.id for one in read_golden(path)] == ["old", case.id]
    assert read_golden(path)[1] == case
    assert json.loads(path.read_text("utf-8").splitlines()[1])["reviewed"] is False


def test_two_answers_to_one_question_are_two_cases(tmp_path: Path) -> None:
    path = tmp_path / "candidates.jsonl"

    for id_ in ("answer-1", "answer-2"):
        assert add_candidate(path, candidate(answer(id_), [])).new

    assert len({one.id for one in read_golden(path)}) == 2


def test_nothing_is_measured_on_a_candidate(tmp_path: Path) -> None:
    path = tmp_path / "candidates.jsonl"
    add_candidate(path, candidate(answer(), []))

    with pytest.raises(ConfigurationError, match="none of its cases is reviewed"):
        load_golden(path)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"id": "done", "question": "q", "relevant_documents": ["a.md"], "origin": "x", "note": "n"}\n')
    assert [case.id for case in load_golden(path)] == ["done"]


def test_a_reviewed_case_has_to_say_what_is_right(tmp_path: Path) -> None:
    path = tmp_path / "candidates.jsonl"
    add_candidate(path, candidate(answer(), []))
    path.write_text(path.read_text("utf-8").replace('"reviewed": false', '"reviewed": true'), encoding="utf-8")

    with pytest.raises(ConfigurationError, match=r"candidates.jsonl:1: .*names at least one relevant document"):
        read_golden(path)


def test_the_worst_answers_come_first(database: Engine) -> None:
    good = answer("good", unsupported=0)
    loose = answer("loose")
    refused = answer("refused", unsupported=None, outcome=Outcome.REFUSED, refusal="not_in_sources", confidence=0.9)
    rightly = answer("rightly", unsupported=None, outcome=Outcome.REFUSED, refusal="nothing_relevant", confidence=0.1)
    hated = answer("hated", unsupported=0)
    old = answer("old", at=NOW - timedelta(days=9))
    other = answer("other", tenant="beta")
    keep(database, good, loose, refused, rightly, hated, old, other)
    for record in (given(hated, Kind.RATING, rating=Rating.DOWN), given(hated, Kind.CORRECTION, text="no")):
        Feedback(database).add(record)

    found = worst(database, ACME, NOW - timedelta(days=7), NOW + timedelta(hours=1))

    assert [one.trace_id for one in found] == ["hated", "refused", "loose"]
    assert found[0].reasons == ("rated down", "corrected")
    assert found[2].reasons == ("1 of 2 sentences unsupported",)
    assert worst(database, ACME, NOW - timedelta(days=7), NOW + timedelta(hours=1), "elsewhere") == []


def run(tmp_path: Path, *arguments: str) -> Result:
    variables = command_environment(tmp_path / "data", tmp_path)
    return CliRunner().invoke(app, [*arguments], env=variables)


def test_the_commands_from_a_bad_answer_to_a_reviewed_case(database: Engine, tmp_path: Path) -> None:
    trace = answer()
    keep(database, trace)
    Feedback(database).add(given(trace, Kind.RATING, rating=Rating.DOWN))
    path = str(tmp_path / "candidates.jsonl")

    listed = run(tmp_path, "golden", "list", "--worst", "--tenant", TENANT)
    added = run(tmp_path, "golden", "add", "--from-answer", trace.id, "--file", path, "--tenant", TENANT)
    again = run(tmp_path, "golden", "add", "--from-query", trace.query_id, "--file", path, "--tenant", TENANT)
    checked = run(tmp_path, "golden", "check", path)
    shown = run(tmp_path, "golden", "list", path, "--json")
    said = run(tmp_path, "feedback", "list", "--tenant", TENANT)

    for result in (listed, added, again, checked, shown, said):
        assert result.exit_code == 0, result.output
    assert "answer-1" in listed.stdout
    assert "rated down" in listed.stdout
    assert "Rated down." in added.stdout
    assert "nothing was added" in again.stderr
    assert "1 case, 0 reviewed, 1 waiting for review" in checked.stdout
    assert json.loads(shown.stdout)[0]["origin"] == "answer-1"
    assert "down" in said.stdout


def test_what_can_not_be_added_is_told(database: Engine, tmp_path: Path) -> None:
    path = str(tmp_path / "candidates.jsonl")

    both = run(tmp_path, "golden", "add", "--from-answer", "a", "--from-query", "b", "--file", path)
    unknown = run(tmp_path, "golden", "add", "--from-answer", "a", "--file", path)

    assert (both.exit_code, unknown.exit_code) == (2, 2)
    assert "--from-answer ID and --from-query ID" in both.stderr
    assert "no trace 'a'" in unknown.stderr
    assert not Path(path).exists()


def test_a_running_service_makes_the_candidate(keyed: Keyed, tmp_path: Path) -> None:
    with keyed.client("reader") as reader, keyed.client("judge") as judge:
        told = reader.post("/v1/answers", json={"question": "How do I restart the gateway?"}).json()
        body = {"answer_id": told["answer_id"], "kind": "correction", "text": "Drain it before."}
        assert judge.post("/v1/feedback", json=body).status_code == 201
        problem(judge.get(f"/v1/quality/candidates/{told['answer_id']}"), 403, "forbidden")
    path = tmp_path / "candidates.jsonl"
    where = ("--url", keyed.url, "--api-key", keyed.tokens["admin"])

    added = run(tmp_path, "golden", "add", "--from-answer", told["answer_id"], "--file", str(path), *where)
    listed = run(tmp_path, "golden", "list", "--worst", "--json", *where)
    said = run(tmp_path, "feedback", "list", "--kind", "correction", "--json", *where)

    assert added.exit_code == 0, added.output
    (case,) = read_golden(path)
    assert case.origin == told["answer_id"]
    assert case.note is not None
    assert "Correction: Drain it before." in case.note
    assert told["answer_id"] in [one["trace_id"] for one in json.loads(listed.stdout)["answers"]]
    assert json.loads(said.stdout)["feedback"][0]["text"] == "Drain it before."
    with keyed.client("beta") as beta:
        problem(beta.get(f"/v1/quality/candidates/{told['answer_id']}"), 404, "not_found")


def test_a_case_of_a_golden_file_is_reviewed_unless_it_says_otherwise() -> None:
    assert GoldenCase(id="a", question="q", relevant_documents=("a.md",)).reviewed
