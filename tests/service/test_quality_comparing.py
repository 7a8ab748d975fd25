"""A planted regression stops the gate, an equal run passes, and a diff names who lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ingestion.errors import ConfigurationError, InvalidRequest
from service.quality.comparing import compare
from service.quality.reporting import diff_report
from service.quality.runs import Run, load_run, save_run
from service.quality.verdicts import Gate, judge
from tests.service.quality_parts import run_of

GATE = Gate(metrics=("ndcg@10",), tolerance=0.005)
VALUES = {f"q{n:03}": float(value) for n, value in enumerate(np.random.default_rng(5).random(100).round(3))}
BASELINE = run_of(VALUES)


def worse(by: float, queries: int) -> Run:
    """The baseline with the first queries worse."""
    return run_of({id_: value - by * (n < queries) for n, (id_, value) in enumerate(VALUES.items())})


def test_an_equal_run_passes() -> None:
    assert judge(BASELINE, run_of(VALUES), GATE).passed


def test_a_planted_regression_is_caught() -> None:
    verdict = judge(BASELINE, worse(0.2, 30), GATE)

    assert not verdict.passed
    assert "set: ndcg@10 fell by 0.0600" in verdict.failures[0]


def test_a_loss_within_the_tolerance_passes() -> None:
    assert judge(BASELINE, worse(0.004, 100), GATE).passed
    assert not judge(BASELINE, worse(0.006, 100), GATE).passed


def test_noise_around_zero_passes() -> None:
    """Half of the queries lose what the other half gain."""
    noisy = run_of({id_: value + (0.3 if n % 2 else -0.3) for n, (id_, value) in enumerate(VALUES.items())})

    assert judge(BASELINE, noisy, GATE).passed


def test_a_gain_passes() -> None:
    assert judge(worse(0.3, 50), BASELINE, GATE).passed


def test_the_verdict_is_the_same_each_time() -> None:
    noisy = worse(0.05, 35)

    assert judge(BASELINE, noisy, GATE, seed=3) == judge(BASELINE, noisy, GATE, seed=3)


def test_a_minimum_holds_without_a_baseline() -> None:
    mean = BASELINE.sets[0].rows["ours"].metrics["ndcg@10"].mean

    assert judge(None, BASELINE, Gate(GATE.metrics, minimums={"ndcg@10": mean - 0.01})).passed
    failed = judge(None, BASELINE, Gate(GATE.metrics, minimums={"ndcg@10": mean + 0.01}))
    assert "below" in failed.failures[0]


def test_a_gate_over_nothing_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="--baseline"):
        judge(None, BASELINE, GATE)
    with pytest.raises(InvalidRequest, match="there are ndcg@10"):
        judge(None, BASELINE, Gate(GATE.metrics, minimums={"ndgc": 0.5}))
    with pytest.raises(InvalidRequest, match="no set in common: other and set"):
        judge(run_of(VALUES, name="other"), BASELINE, GATE)
    with pytest.raises(InvalidRequest, match="no query in common"):
        judge(run_of({"stranger": 1.0}), BASELINE, GATE)
    with pytest.raises(InvalidRequest, match="no measure recall@10"):
        judge(BASELINE, BASELINE, Gate(("ndcg@10", "recall@10")))


def test_only_the_queries_of_both_are_compared() -> None:
    fewer = run_of({id_: value for id_, value in VALUES.items() if id_ > "q049"})

    verdict = judge(BASELINE, fewer, GATE)

    assert verdict.passed
    assert "50 queries of the baseline and 0 of this run" in verdict.notes[0]


def test_a_diff_names_the_queries_that_changed_most() -> None:
    after = run_of({**VALUES, "q010": VALUES["q010"] - 0.5, "q020": VALUES["q020"] + 0.25})

    (change,) = compare(BASELINE, after, "ndcg@10")

    assert [one.id for one in change.changes] == ["q010", "q020"]
    assert change.changes[0].gain == pytest.approx(-0.5)
    assert change.changes[0].top_before == ("Title of q010",)
    page = diff_report([change])
    assert "1 queries lost, 1 gained" in page
    assert "question q010 (q010)" in page


@pytest.mark.parametrize("name", ["run.json", "run.json.gz"])
def test_a_stored_run_is_the_run(tmp_path: Path, name: str) -> None:
    save_run(BASELINE, tmp_path / "below" / name)

    assert load_run(tmp_path / "below" / name) == BASELINE


def test_what_is_no_run_is_named(tmp_path: Path) -> None:
    for name, data in (("a.json", b"{}"), ("b.json", b"{"), ("c.json.gz", b"no gzip")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ConfigurationError, match=name):
            load_run(tmp_path / name)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_run(tmp_path / "nonesuch.json")
