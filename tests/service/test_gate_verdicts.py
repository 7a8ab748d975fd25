"""What the gate says of two runs: falls by measure and case, and nothing that is missing passes in silence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from ingestion.errors import InvalidRequest
from service.quality.bootstrap import estimate
from service.quality.reporting import report, verdict_lines
from service.quality.runs import OURS, AnswerRow, Answers, Difference, Run, Value, load_run
from service.quality.verdicts import Gate, judge
from tests.service.quality_parts import run_of

CASES = [f"q{n:02}" for n in range(30)]


def answered(metrics: Mapping[str, Mapping[str, float]], *, name: str = "set", policy: str = "mark") -> Run:
    """A run of thirty cases whose answers have these measures, by measure and case."""
    run = run_of(dict.fromkeys(CASES, 1.0), name=name)
    rows = tuple(
        AnswerRow(
            id=id_,
            metrics={measure: values[id_] for measure, values in metrics.items() if id_ in values},
            wrong=(f"{id_} is wrong",),
        )
        for id_ in CASES
    )
    means = {}
    for measure, values in metrics.items():
        found = estimate(np.array(list(values.values())), 0)
        means[measure] = Value(mean=found.mean, low=found.low, high=found.high, n=found.n)
    answers = Answers(
        model="m", prompt="answer@3", grounding="g", policy=policy, repeat=1, metrics=means, cases=rows,
        not_measured=("triage: 2 cases say what a triage card should, and this version makes no triage cards",),
    )  # fmt: skip
    same = {"ndcg@10": Difference(mean=0.0, low=0.0, high=0.0, n=30, over=OURS)}
    return run.model_copy(update={"sets": (run.sets[0].model_copy(update={"answers": answers, "differences": same}),)})


def values(good: int, of: int = 30) -> dict[str, float]:
    """The first cases have 1, the others 0."""
    return {id_: float(n < good) for n, id_ in enumerate(CASES[:of])}


def test_an_equal_run_passes_and_says_what_was_compared() -> None:
    run = answered({"answered": values(28), "unsupported": values(2)})

    verdict = judge(run, run, Gate())

    assert verdict.passed
    assert [check.measure for check in verdict.checks] == ["ndcg@10", "answered", "unsupported"]


def test_a_fall_is_named_with_how_much_and_the_worst_cases() -> None:
    verdict = judge(answered({"fact_recall": values(30)}), answered({"fact_recall": values(18)}), Gate())

    assert not verdict.passed
    assert "set: fact_recall fell by 0.4000" in verdict.failures[0]
    assert "1.0000 → 0.6000; 0.02 is allowed" in verdict.failures[0]
    (fallen,) = verdict.fallen
    assert [case.id for case in fallen.worst] == ["q18", "q19", "q20", "q21", "q22"]
    assert verdict_lines(verdict)[1] == "    1.000 → 0.000 q18: question q18 (q18 is wrong)"


def test_what_is_better_when_lower_falls_by_rising() -> None:
    few, many = answered({"unsupported": values(1)}), answered({"unsupported": values(14)})

    assert "set: unsupported rose by 0.4333" in judge(few, many, Gate()).failures[0]
    assert judge(many, few, Gate()).passed


def test_a_measure_that_is_not_there_is_a_failure() -> None:
    baseline = answered({"answered": values(28), "probe_caught": values(30)})

    without_answers = judge(baseline, run_of(dict.fromkeys(CASES, 1.0)), Gate())
    without_probes = judge(baseline, answered({"answered": values(28)}), Gate())

    assert len(without_answers.failures) == 2
    assert all("run it with --answers" in line for line in without_answers.failures)
    assert without_probes.failures == ("set: probe_caught was measured in the baseline and not in this run",)
    assert judge(baseline, run_of(dict.fromkeys(CASES, 1.0)), Gate(metrics=("ndcg@10",))).passed


def test_a_set_that_is_not_there_is_a_failure() -> None:
    one, other = answered({"answered": values(28)}), answered({"answered": values(28)}, name="other")
    both = one.model_copy(update={"sets": (*one.sets, *other.sets)})

    verdict = judge(both, one, Gate())

    assert verdict.failures == ("other: in the baseline and not in this run",)
    assert "other: not in the baseline, and not compared" in judge(one, both, Gate()).notes


def test_a_new_measure_is_no_failure_unless_it_is_named() -> None:
    old, new = answered({"answered": values(28)}), answered({"answered": values(28), "grounded": values(30)})

    assert judge(old, new, Gate()).passed
    assert "make a new one" in judge(old, new, Gate(metrics=("grounded",))).failures[0]


def test_cost_and_time_are_gated_where_a_tolerance_is_given() -> None:
    cheap = answered({"tokens": dict.fromkeys(CASES, 1000.0)})
    dear = answered({"tokens": dict.fromkeys(CASES, 1300.0)})

    assert judge(cheap, dear, Gate()).passed
    assert "tokens rose by 300" in judge(cheap, dear, Gate(tolerances={"tokens": 0.2})).failures[0]
    assert judge(cheap, dear, Gate(tolerances={"tokens": 0.4})).passed


def test_tolerances_are_those_of_all_or_of_one() -> None:
    before, after = answered({"answered": values(30)}), answered({"answered": values(20)})

    assert not judge(before, after, Gate()).passed
    assert judge(before, after, Gate(tolerance=0.5)).passed
    assert judge(before, after, Gate(tolerances={"answered": 0.5})).passed
    with pytest.raises(InvalidRequest, match="no measure answred"):
        judge(before, after, Gate(tolerances={"answred": 0.5}))


def test_few_cases_fail_only_together_and_that_is_said() -> None:
    before = answered({"answered": values(5, of=5), "refused": values(2, of=2)})

    partly = judge(before, answered({"answered": values(1, of=5), "refused": values(0, of=2)}), Gate())
    wholly = judge(before, answered({"answered": values(0, of=5), "refused": values(0, of=2)}), Gate())

    assert partly.passed
    assert "set: so few cases that only a fall of every one of them fails: answered (5)" in partly.notes
    assert "set: fewer than 3 cases, and not judged: refused" in partly.notes
    assert [check.measure for check in wholly.fallen] == ["answered"]


def test_a_minimum_holds_for_answers_too() -> None:
    run = answered({"probe_caught": values(27)})

    assert judge(None, run, Gate(minimums={"probe_caught": 0.9})).passed
    assert "probe_caught 0.9000 is below 0.95" in judge(None, run, Gate(minimums={"probe_caught": 0.95})).failures[0]


def test_runs_that_were_asked_otherwise_say_so() -> None:
    one, other = answered({"answered": values(28)}), answered({"answered": values(28)}, policy="strict")

    assert "set: answers had policy mark in the baseline and strict in this run" in judge(one, other, Gate()).notes


def test_the_report_shows_answers_the_verdict_and_what_is_not_measured() -> None:
    before, after = answered({"fact_recall": values(30)}), answered({"fact_recall": values(18)})

    page = report(after, (), judge(before, after, Gate()))

    assert "### Answers: m with answer@3" in page
    assert "| fact_recall | share of the expected facts in the answer; a refusal holds none | 0.600 |" in page
    assert "Not measured: triage: 2 cases" in page
    assert "# Gate: not passed" in page
    assert "| set | fact_recall | 1.000 | 0.600 | -0.4000 |" in page


def test_a_run_of_the_version_before_is_read(tmp_path: Path) -> None:
    stored = json.loads(run_of({"a": 1.0}).model_dump_json())
    stored["format"] = "plumbline-evaluation-1"
    del stored["sets"][0]["answers"]
    (tmp_path / "old.json").write_text(json.dumps(stored))

    run = load_run(tmp_path / "old.json")

    assert run.sets[0].answers is None
    assert judge(run, run_of({"a": 1.0}), Gate()).passed
