"""A copied sentence with one thing changed is caught: thousands of changes of the sample documents."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from benchmarks.mutations import Caught, Copied, copies, false_alarms, judge, names_of, passages
from service.generation.checking.entailment.entailment import open_entailment
from service.generation.checking.evidence import Evidence, Reader
from service.generation.checking.grounding import scorers
from service.quality.answering.mutating import mutations

PROMISED = {"command": 0.99, "number": 0.99, "version": 0.99}
EXPECTED = {
    "unit": 0.97, "date": 0.97, "time": 0.97, "host": 0.97, "ip": 0.97, "port": 0.97, "path": 0.97, "error code": 0.97,
    "identifier": 0.97, "name": 0.9, "negation": 0.95, "comparison": 0.95, "opposite": 0.95,
}  # fmt: skip
FALSE_ALARMS = 0.02
"""Most of these are items of lists of what not to do, which nobody may advise."""
SEED = 7


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


@pytest.fixture(scope="module")
def evidence(reader: Reader) -> list[Evidence]:
    return passages(reader)


@pytest.fixture(scope="module")
def copied(reader: Reader, evidence: Sequence[Evidence]) -> list[Copied]:
    return copies(reader, evidence)


@pytest.fixture(scope="module")
def judged(reader: Reader, evidence: Sequence[Evidence], copied: Sequence[Copied]) -> list[Caught]:
    return list(judge(scorers(open_entailment())(reader, ()), copied, names_of(evidence), SEED, each=4))


def test_there_are_thousands(judged: Sequence[Caught]) -> None:
    assert len([result for result in judged if result.mutation.kind in PROMISED]) >= 1500
    assert len(judged) >= 3000


@pytest.mark.parametrize(("kind", "least"), [*PROMISED.items(), *EXPECTED.items()])
def test_a_changed_copy_is_caught(judged: Sequence[Caught], kind: str, least: float) -> None:
    of_kind = [result for result in judged if result.mutation.kind == kind]
    missed = [result.mutation for result in of_kind if not (result.own and result.six)]
    assert of_kind
    assert 1 - len(missed) / len(of_kind) >= least, "\n".join(f"{m.old!r} -> {m.new!r}: {m.text}" for m in missed)


def test_copies_are_supported(reader: Reader, copied: Sequence[Copied]) -> None:
    own, six = false_alarms(scorers(open_entailment())(reader, ()), copied)
    for alarms in (own, six):
        assert len(alarms) / len(copied) <= FALSE_ALARMS, "\n".join(copy.text for copy in alarms)


def test_a_change_differs_and_its_value_does_not_stand_in_the_sentence() -> None:
    sentence = (
        "Wait 30 seconds, then run `tw db rotate --cluster pg-main --login a` on gw-01 before 02:00, not after 3 tries."
    )
    found = list(mutations(sentence, ["Kittiwake"], Random(1), each=50))
    assert {"command", "number", "unit", "time", "host", "negation", "comparison"} <= {one.kind for one in found}
    for one in found:
        assert " ".join(one.text.split()) != sentence
        assert one.kind != "number" or one.new not in ("30", "3", "02:00")
