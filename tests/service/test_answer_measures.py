"""What one answer is worth beside its golden case, and which cases can be written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ingestion.corpus.records import Span
from ingestion.errors import ConfigurationError
from service.errors import ModelFailureReason
from service.generation.answers import (
    Answer,
    AnsweredSentence,
    Citation,
    Degraded,
    DegradedMode,
    Grounding,
    GroundingLabel,
    Refusal,
    RefusalReason,
    Support,
    SupportLabel,
)
from service.generation.models.llm import Usage
from service.quality.answering.measuring import mean_of, measure_answer
from service.quality.golden import GoldenCase, load_golden, names_document
from service.quality.stating import share_stated, stated
from service.retrieval.results import Relevance, RelevanceLabel
from tests.service.generation_parts import indexed

CASE = GoldenCase(
    id="restart",
    question="how do I restart it?",
    relevant_documents=("restart.md", "other.md"),
    expected_facts=("rollout  restart", "120 seconds"),
    forbidden_facts=("delete the pod",),
    must_cite=("restart.md", "codes.md"),
)
REFUSING = GoldenCase(id="chess", question="who won?", must_refuse=True)


def answer_of(*sentences: tuple[str, str, SupportLabel], grounding: GroundingLabel = GroundingLabel.PARTIAL) -> Answer:
    """An answer of sentences, each with the document that it cites."""
    names = list(dict.fromkeys(name for _, name, _ in sentences))
    chunks = {name: indexed("text", name=name) for name in names}
    citations = tuple(
        Citation(n, chunks[name].document, chunks[name].id, "text", Span(0, 4)) for n, name in enumerate(names, start=1)
    )
    bad = sum(label in (SupportLabel.UNSUPPORTED, SupportLabel.CONTRADICTED) for _, _, label in sentences)
    return Answer(
        answered=True,
        text=" ".join(f"{text} [{names.index(name) + 1}]" for text, name, _ in sentences),
        sentences=tuple(
            AnsweredSentence(text, (names.index(name) + 1,), Support(label, 0.5)) for text, name, label in sentences
        ),
        citations=citations,
        grounding=Grounding(grounding, 0.5, bad, 0.75, 0.5, "m"),
        relevance=Relevance(RelevanceLabel.STRONG, 0.9),
        refusal=None,
        degraded=None,
        model="gpt",
        prompt_version="answer@3",
        usage=Usage(100, 20, 0.002),
        timings_ms={"total": 12.5},
    )


def refused() -> Answer:
    base = answer_of(("x", "restart", SupportLabel.SUPPORTED))
    refusal = Refusal(RefusalReason.NOT_IN_SOURCES, "no")
    return replace(
        base, answered=False, text="", sentences=(), citations=(), grounding=None, refusal=refusal, model=None
    )


def test_an_answer_is_measured_by_what_it_says_and_cites() -> None:
    answer = answer_of(
        ("Run `kubectl ROLLOUT\nrestart`.", "restart", SupportLabel.SUPPORTED),
        ("Then delete the pod.", "restart", SupportLabel.UNSUPPORTED),
    )

    measured = measure_answer(CASE, answer, names_document)

    assert measured.metrics == {
        "degraded": 0.0, "total_ms": 12.5, "tokens": 120.0, "cost_usd": 0.002, "answered": 1.0, "right_document": 1.0,
        "fact_recall": 0.5, "must_cite": 0.5, "forbidden_free": 0.0, "unsupported": 0.5, "grounded": 0.0,
        "citation_precision": 0.75, "citation_recall": 0.5,
    }  # fmt: skip
    assert measured.wrong == (
        "does not state '120 seconds'",
        "does not cite codes.md",
        "states the forbidden 'delete the pod'",
        "not supported: 'Then delete the pod.'",
    )


def test_a_document_that_no_sentence_shown_cites_does_not_count() -> None:
    answer = answer_of(("Drained.", "restart", SupportLabel.SUPPORTED), ("Coded.", "codes", SupportLabel.SUPPORTED))

    measured = measure_answer(CASE, replace(answer, sentences=answer.sentences[:1]), names_document)

    assert measured.metrics["must_cite"] == 0.5


def test_a_refusal_states_nothing_and_has_no_verdict() -> None:
    measured = measure_answer(CASE, refused(), names_document)

    assert {name: measured.metrics[name] for name in ("answered", "fact_recall", "right_document", "must_cite")} == {
        "answered": 0.0, "fact_recall": 0.0, "right_document": 0.0, "must_cite": 0.0,
    }  # fmt: skip
    assert measured.metrics["forbidden_free"] == 1.0
    assert not {"unsupported", "grounded", "citation_recall"} & measured.metrics.keys()
    assert measured.wrong == ("not answered: not_in_sources",)


def test_what_must_be_refused_is() -> None:
    answer = answer_of(("Nobody knows.", "restart", SupportLabel.SUPPORTED))

    assert measure_answer(REFUSING, refused(), names_document).metrics["refused"] == 1.0
    measured = measure_answer(REFUSING, answer, names_document)
    assert measured.metrics["refused"] == 0.0
    assert "answered" not in measured.metrics
    assert measured.wrong == ("answered, and had to be refused",)


def test_an_extracted_answer_has_no_writer_and_what_is_not_known_is_no_nought() -> None:
    extracted = replace(
        answer_of(("Drained.", "restart", SupportLabel.SUPPORTED)),
        model=None,
        degraded=Degraded(ModelFailureReason.NOT_CONFIGURED, DegradedMode.EXTRACTIVE),
        usage=Usage(None, None, None),
    )

    metrics = measure_answer(CASE, extracted, names_document).metrics

    assert metrics["degraded"] == 1.0
    assert not {"citation_precision", "citation_recall", "tokens", "cost_usd"} & metrics.keys()


def test_repetitions_are_one_case() -> None:
    good = measure_answer(CASE, answer_of(("Waits 120 seconds.", "restart", SupportLabel.SUPPORTED)), names_document)
    none = measure_answer(CASE, refused(), names_document)

    both = mean_of([good, none])

    assert both.metrics["answered"] == 0.5
    assert both.metrics["fact_recall"] == 0.25
    assert both.metrics["citation_recall"] == 0.5  # of the answer alone
    assert set(both.wrong) == {*good.wrong, *none.wrong}


def test_facts_stand_whatever_their_case_and_white_space() -> None:
    assert stated(["Idle in  Transaction", "16 MB"], ["it is idle\nin transaction"]) == ("Idle in  Transaction",)
    assert share_stated([], ["x"]) is None


def test_what_a_case_may_expect_of_answers(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "question": "?", "must_cite": ["x.md"]},
        {"id": "b", "question": "?", "must_refuse": True, "triage": {"category": "infra", "severity": "P1"}},
    ]
    path = tmp_path / "cases.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))

    one, other = load_golden(path)

    assert one.judged() == {"x.md": 1}
    assert other.triage is not None
    assert other.triage.severity == "P1"


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"triage": {"severity": "P9"}, "must_refuse": True}, "triage.severity"),
        ({"triage": {}, "must_refuse": True}, "names a category"),
        ({"must_cite": ["x.md"], "must_refuse": True}, "must be refused"),
        ({"expected_facts": [" "], "must_cite": ["x.md"]}, "a fact is empty"),
        ({"must_quote": ["x.md"]}, "must_quote"),
    ],
)
def test_a_case_that_makes_no_sense_is_named(tmp_path: Path, fields: dict[str, object], what: str) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps({"id": "a", "question": "?", **fields}))

    with pytest.raises(ConfigurationError, match=f"cases.jsonl:1.*{what}"):
        load_golden(path)
