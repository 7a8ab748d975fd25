"""What keeps a sentence from being supported: what differs in a copy, unknown names, limits turned round."""

from __future__ import annotations

import pytest

from service.generation.checking.evidence import Evidence, Reader
from service.generation.checking.exactness import Findings, examine
from service.generation.checking.facts import FactKind

LAG = "The replica counts as lost when it is more than 16 MB behind the primary for 5 minutes."
DEPENDS = "The gateway depends on addrbook. Support calls Kittiwake before the Platform lead."
CODES = "| GH-5021 | 10 retries |\n| GH-5022 | 12 retries |\n| GH-5023 | 14 retries |"
DEADLINES = "| Lost | 60 days after hand-over |\n| Damaged | 10 days after the delivery |"


def findings(sentence: str, *texts: str, question: str = "", titles: tuple[str, ...] = ()) -> Findings:
    reader = Reader()
    cited = [Evidence(reader, text, about=titles) for text in texts]
    claim = reader.read(sentence)
    windows = [window for evidence in cited if (window := evidence.best_window(claim))]
    return examine(claim, windows, cited, question)


def vetoed(found: Findings) -> bool:
    return bool(found.missing) or found.contradicted


@pytest.mark.parametrize(
    ("sentence", "texts"),
    [
        (LAG.replace("more", "less"), (LAG,)),
        (LAG.replace("lost", "not lost"), (LAG,)),
        (LAG.replace("minutes", "hours"), (LAG, "It takes 5 hours.")),
        (LAG.replace("16", "5"), (LAG, "5 MB are free.")),
        ("Addrbook depends on the gateway.", (DEPENDS,)),
        ("Support calls Kittiwake after the Platform lead.", (DEPENDS,)),
        ("Support calls Paybarrow before the Platform lead.", (DEPENDS, "We pay through Paybarrow.")),
        ("| GH-5021 | 12 retries |", (CODES,)),
        ("| Damaged | 60 days after the delivery |", (DEADLINES,)),
        ("Keep it for some weeks.", ("Keep it for some days.",)),
        ("Copy it from 180 to 60 GB.", ("Copy it from 60 to 180 GB.",)),
    ],
)
def test_a_copy_with_one_thing_changed_is_vetoed(sentence: str, texts: tuple[str, ...]) -> None:
    assert vetoed(findings(sentence, *texts)), findings(sentence, *texts)


@pytest.mark.parametrize(
    ("sentence", "texts"),
    [
        (LAG, (LAG,)),
        ("A replica over 16 MB behind is lost.", (LAG,)),
        ("Addrbook and the gateway start.", ("The gateway and addrbook start.",)),
        ("| GH-5022 | 12 retries |", (CODES,)),
        ("Never delete a pod.", ("Do not delete a pod.",)),
        ("Avoid deleting pods during an incident.", ("Do not delete pods during an incident.",)),
        ("Reports are made once a day.", ("Reports are made daily.",)),
        ("Drain it for 120 seconds, then keep it 30 days.", ("Drain it for 2 minutes.", "Keep backups 30 days.")),
        ("Lost: 60 days; damaged: 10 days.", (DEADLINES,)),
    ],
)
def test_a_retelling_is_not_vetoed(sentence: str, texts: tuple[str, ...]) -> None:
    assert not vetoed(findings(sentence, *texts)), findings(sentence, *texts)


def test_a_command_must_be_whole_in_one_passage() -> None:
    halves = ("Run `kubectl -n edge`.", "Run `get pods` there.")
    assert vetoed(findings("Run `kubectl -n edge get pods`.", *halves))
    assert not vetoed(findings("Run `kubectl -n edge get pods`.", *halves, "Or `kubectl -n edge get pods`."))


def test_a_fact_may_stand_in_the_title() -> None:
    sentence = "The pool of 4.8.1 is larger."
    assert vetoed(findings(sentence, "The pool is larger."))
    assert not vetoed(findings(sentence, "The pool is larger.", titles=("gatehouse 4.8.1",)))


def test_a_limit_turned_round_is_a_contradiction() -> None:
    source = "Handsets need at least 512 MB of memory to sync their parcels."
    assert findings("To sync parcels, handsets need at most 512 MB of memory.", source).contradicted
    assert not vetoed(findings("To sync parcels, handsets need no less than 512 MB of memory.", source))


@pytest.mark.parametrize(
    ("sentence", "unknown"),
    [
        ("The texts go through Kittiwake today.", False),
        ("The texts go through Kittiwake's gateway.", False),
        ("The texts go through Paybarrow today.", True),
        ("The texts go through Northgrid today.", False),
        ("Paybarrow carries the texts.", False),
        ("There the texts go, as agreed, only through the Agreed Provider (AP) of each region.", True),
        ("There the texts go, as agreed, only through the Kittiwake service (KS) of each region.", False),
        ("Der Dienst schickt die Texte nicht mit Paybarrow.", False),
        ("The Texts Go Through Many Odd Places.", False),
    ],
)
def test_a_name_must_be_known(sentence: str, unknown: bool) -> None:
    found = findings(sentence, "The texts go through Kittiwake.", question="Does Northgrid send texts?")
    assert any(fact.kind is FactKind.NAME for fact in found.missing) is unknown, found
    assert any(check.startswith("names:missing") for check in found.checks) is unknown


def test_hints_are_shares() -> None:
    found = findings("The texts go through Paybarrow within 5 minutes.", LAG, "The texts go through Kittiwake.")
    assert set(found.hints) == {"facts_elsewhere", "fact_context", "unknown_names", "copied"}
    assert all(0 <= value <= 1 for value in found.hints.values())
    assert 0 <= found.stated <= 1
