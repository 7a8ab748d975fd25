"""Verdicts: what keeps a sentence from being supported, and that no changed fact gets through."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.generation.answers import AnsweredSentence, GroundingLabel, Support, SupportLabel
from service.generation.checking.evidence import Evidence, Reader
from service.generation.checking.facts import FactText, facts_of
from service.generation.checking.grounding import GroundingScorer, OwnCitations, summarise
from tests.service.generation_parts import BACKUPS, CODES, PREFIX, RESTART, indexed

EVIDENCE = "\n\n".join((RESTART, CODES, BACKUPS))
COPIES = [
    "The drain waits 120 seconds for open requests.",
    "It must fall below 0.1 % within 2 minutes.",
    "`GH-5021` means no healthy upstream for the route.",
    "Backups of ledgerd run every night at 02:00 and are kept for 30 days.",
    "Restores need version 2.3.1 of dbtool.",
    "Restart the gateway with `kubectl -n edge rollout restart deployment/gatehouse`.",
]


def verdict(sentence: str, *texts: str) -> Support:
    reader = Reader()
    evidence = [Evidence(reader, text) for text in texts or (EVIDENCE,)]
    return GroundingScorer(reader).check(sentence, evidence).support


@pytest.mark.parametrize("sentence", COPIES)
def test_what_the_source_says_is_supported(sentence: str) -> None:
    assert verdict(sentence).label is SupportLabel.SUPPORTED


@pytest.mark.parametrize(
    "sentence",
    [
        "The drain takes 2 minutes while requests are open.",
        "Backups are kept 30 days; they run nightly at 02:00.",
        "Do not delete gatehouse pods during an incident.",
        "1. Restart the gateway:\n\n```bash\nkubectl -n edge rollout restart deployment/gatehouse\n```",
    ],
)
def test_a_paraphrase_is_supported(sentence: str) -> None:
    assert verdict(sentence).label is SupportLabel.SUPPORTED


@given(st.sampled_from(COPIES), st.data())
def test_a_copy_with_a_changed_number_is_never_supported(sentence: str, data: st.DataObject) -> None:
    numbers = list(re.finditer(r"\d+", sentence))
    if not numbers:
        return
    match = data.draw(st.sampled_from(numbers))
    other = data.draw(st.integers(0, 99_999).map(str).filter(lambda text: int(text) != int(match.group())))
    changed = sentence[: match.start()] + other + sentence[match.end() :]
    assert verdict(changed).label is not SupportLabel.SUPPORTED


@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=8))
def test_a_copied_command_with_another_flag_is_never_supported(name: str) -> None:
    changed = f"Restart the gateway with `kubectl -n edge --{name} rollout restart deployment/gatehouse`."
    assert verdict(changed).label is not SupportLabel.SUPPORTED


@pytest.mark.parametrize(
    ("sentence", "check"),
    [
        ("The drain waits 30 seconds for open requests.", "numbers:missing 30 s"),
        ("Restores need version 2.3.2 of dbtool.", "versions:missing 2.3.2"),
        ("`GH-5023` means no healthy upstream for the route.", "identifiers:missing gh-5023"),
        ("Restart the gateway on gw-01.tarnwell.example.", "identifiers:missing gw-01.tarnwell.example"),
        ("Backups of ledgerd run every night since 17 February 2026.", "dates:missing 2026-02-17"),
        ("Restart the gateway with `kubectl delete pod`.", "commands:missing kubectl delete pod"),
        ("Restart the gateway with --force.", "flags:missing --force"),
    ],
)
def test_a_fact_that_is_not_in_the_cited_text_is_named(sentence: str, check: str) -> None:
    support = verdict(sentence)
    assert support.label is not SupportLabel.SUPPORTED
    assert check in support.checks
    assert "facts:missing" in support.checks


def test_a_fact_borrowed_from_the_next_row_is_a_contradiction() -> None:
    support = verdict("`GH-5022` means no healthy upstream for the route.")
    assert support.label is SupportLabel.CONTRADICTED
    assert any(check.startswith("conflict:") for check in support.checks)


@pytest.mark.parametrize(
    "sentence",
    [
        "Delete gatehouse pods during an incident.",
        "Do not drain the host before you restart it.",
        "Backups of ledgerd are not kept for 30 days.",
    ],
)
def test_a_flipped_negation_is_a_contradiction(sentence: str) -> None:
    assert verdict(sentence).label is SupportLabel.CONTRADICTED


RISKY = """## What you must not do

- `FLUSHALL`. It logs out every shipper at once.
- Raise `maxmemory` above 26 GB.

## When replicas do not start

- Restart the primary.
"""


@pytest.mark.parametrize(
    ("sentence", "supported"),
    [
        ("1. `FLUSHALL`", False),
        ("Raise `maxmemory` above 26 GB.", False),
        ("Do not raise `maxmemory` above 26 GB.", True),
        ("Never use `FLUSHALL`, it logs out every shipper at once.", True),
        ("Restart the primary.", True),
    ],
)
def test_what_a_list_forbids_is_no_advice(sentence: str, supported: bool) -> None:
    support = verdict(sentence, RISKY)
    assert (support.label is SupportLabel.SUPPORTED) is supported, support
    assert ("negation:listed as what not to do" in support.checks) is not supported


def test_what_a_list_forbids_does_not_contradict_what_only_shares_a_word_with_it() -> None:
    assert verdict("Each shipper pays once a month, by direct debit.", RISKY).label is SupportLabel.UNSUPPORTED


@pytest.mark.parametrize("lead", ["Never do this:", "You should not:", "Do not try to:"])
def test_what_a_line_before_a_list_forbids_is_no_advice(lead: str) -> None:
    assert verdict("Raise the quota.", f"{lead}\n\n- Raise the quota.\n").label is SupportLabel.CONTRADICTED
    assert verdict("Raise the quota.", f"{lead}\n\nSo:\n\n- Raise the quota.\n").label is SupportLabel.SUPPORTED


def test_a_flag_that_is_part_of_another_is_not_that_flag() -> None:
    text = FactText("git push --force-with-lease on 4.8.1 and api.tarnwell.example, /var/log/old")
    for absent in ("--force", "4.8", "tarnwell.example", "/var/log", "`git push --force`"):
        assert not any(text.states(fact) for fact in facts_of(absent)), absent
    for present in ("--force-with-lease", "4.8.1", "api.tarnwell.example", "/var/log/old"):
        assert all(text.states(fact) for fact in facts_of(present)), present


def test_nothing_cited_is_nothing_supported() -> None:
    reader = Reader()
    assert GroundingScorer(reader).check("Drain the host.", []).support.label is SupportLabel.UNSUPPORTED


def test_unrelated_text_is_unsupported() -> None:
    assert verdict("Penguins sleep standing in cold weather.").label is SupportLabel.UNSUPPORTED


def test_facts_may_come_from_the_union_of_what_is_cited() -> None:
    sentence = "The drain waits 120 seconds and backups are kept for 30 days."
    assert verdict(sentence, RESTART, BACKUPS).label is SupportLabel.SUPPORTED
    assert verdict(sentence, RESTART).label is not SupportLabel.SUPPORTED


def test_the_quote_is_the_shortest_stretch_that_says_it() -> None:
    reader = Reader()
    passage = indexed(RESTART)
    evidence = Evidence.of(reader, passage)
    checked = GroundingScorer(reader).check("The drain waits 120 seconds.", [evidence])
    ((_, window),) = checked.windows
    span = evidence.span(window)
    assert (PREFIX + RESTART)[span.start : span.end] == "The drain waits 120 seconds for open requests."


def test_the_verdict_on_an_answer_counts_sentences_and_the_writers_own_citations() -> None:
    good = AnsweredSentence("a", (1,), Support(SupportLabel.SUPPORTED, 0.9))
    bad = AnsweredSentence("b", (2,), Support(SupportLabel.UNSUPPORTED, 0.1))
    cited, wrong, uncited = OwnCitations(1, 1, True), OwnCitations(1, 0, False), OwnCitations(0, 0, False)
    whole = summarise([good, bad], [cited, wrong])
    assert (whole.label, whole.unsupported_sentences) == (GroundingLabel.PARTIAL, 1)
    assert (whole.citation_precision, whole.citation_recall, whole.score) == (0.5, 0.5, 0.5)
    assert summarise([good], [cited]).label is GroundingLabel.GROUNDED
    assert summarise([bad], [wrong]).label is GroundingLabel.UNGROUNDED

    found_afterwards = summarise([good, good, good], [cited, uncited, OwnCitations(0, 0, None)])
    assert found_afterwards.label is GroundingLabel.GROUNDED
    assert (found_afterwards.citation_precision, found_afterwards.citation_recall) == (1.0, 0.5)
