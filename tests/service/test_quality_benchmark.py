"""The typing mistakes of benchmarks.retrieval, and the promises that it checks."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.mistakes import mistype, with_typo
from benchmarks.retrieval import Kept, Literal, Measured, promises
from service.quality.golden import GoldenCase
from service.quality.runs import KEYWORD, OURS, RRF, SEMANTIC, Difference, SetRun
from tests.service.quality_parts import run_of


@given(st.integers(0, 10_000))
def test_a_mistake_is_one_edit_inside_one_longer_word(seed: int) -> None:
    text = "why is the gateway slow"

    changed = with_typo(text, random.Random(seed))

    assert changed != text
    before, after = text.split(), changed.split()
    different = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(different) == 1
    ((word, typo),) = different
    assert len(word) >= 4
    assert abs(len(word) - len(typo)) <= 1
    if sorted(word) == sorted(typo):
        assert sum(a != b for a, b in zip(word, typo, strict=True)) == 2


def test_mistakes_repeat_with_their_seed_and_leave_short_queries_alone() -> None:
    cases = [GoldenCase(id=f"q{n}", question=f"gateway number {n}", relevant_documents=("d",)) for n in range(50)]
    cases.append(GoldenCase(id="short", question="a b c", relevant_documents=("d",)))
    cases.append(GoldenCase(id="none", question="parking", must_refuse=True))

    pairs = mistype(cases, 60, seed=3)

    assert pairs == mistype(cases, 60, seed=3)
    assert len(pairs) == 50
    assert all(pair.clean.id == pair.typo.id and pair.clean.question != pair.typo.question for pair in pairs)


def _measured(name: str, ours: float, leg: float, *, kept: float, missed: int) -> Measured:
    def row(value: float) -> SetRun:
        return run_of({"a": value, "b": value}, name=name).sets[0]

    base = row(ours)
    gain = Difference(mean=ours - leg, low=ours - leg, high=ours - leg, n=2, over=SEMANTIC)
    rows = {
        OURS: base.rows[OURS],
        KEYWORD: row(leg).rows[OURS],
        SEMANTIC: row(leg).rows[OURS],
        RRF: row(leg).rows[OURS],
    }
    run = base.model_copy(update={"rows": rows, "differences": {"ndcg@10": gain}})
    return Measured(run, Kept(100, 1.0, kept, kept, kept), Literal(10, 100, missed, 0))


def test_promises_that_are_not_kept_are_told() -> None:
    good = _measured("scifact", 0.75, 0.70, kept=0.95, missed=0)
    bad = _measured("runbooks_openshift", 0.90, 0.91, kept=0.5, missed=1)

    assert all(promise.holds for promise in promises([good]))
    broken = [promise.what for promise in promises([bad]) if not promise.holds]
    assert len(broken) == len(list(promises([bad]))) == 5
    assert any("LIKE" in what for what in broken)
