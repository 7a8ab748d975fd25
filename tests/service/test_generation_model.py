"""What becomes of a model's sentences: citations found and corrected, lists, lead-ins, limits, versions of prompts."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import ModelFailureReason
from service.generation.answers import AnsweredSentence, Degraded, DegradedMode, SupportLabel
from service.generation.checking.attribution import Attributor, Judged
from service.generation.checking.evidence import Evidence, Reader
from service.generation.checking.grounding import GroundingScorer
from service.generation.citations import CitedSentence
from service.generation.models.llm import ChatDelta
from service.generation.prompts import load_prompt
from tests.fakes import ScriptedModel, saying
from tests.service.generation_parts import BACKUPS, CODES, RESTART, found, indexed, operations
from tests.service.test_generation import QUESTION, TEXTS, ask, assert_exact

DRAIN = "The drain waits 120 seconds for open requests"
KEPT = "Backups of ledgerd run every night at 02:00 and are kept for 30 days."


def labels(sentences: tuple[AnsweredSentence, ...]) -> list[SupportLabel]:
    return [sentence.support.label for sentence in sentences]


def judge(text: str, *cites: int, passages: tuple[str, ...] = (RESTART, CODES, BACKUPS)) -> Judged:
    reader = Reader()
    evidence = [Evidence(reader, passage) for passage in passages]
    attributor = Attributor(reader, GroundingScorer(reader), evidence, QUESTION)
    return attributor.judge(CitedSentence(text, "", cites))


def test_an_uncited_sentence_is_given_the_passage_that_says_it() -> None:
    answer = ask(saying(f"{DRAIN} [1]. {KEPT}"))
    first, second = answer.sentences
    assert "citation:added" not in first.support.checks
    assert second.support.label is SupportLabel.SUPPORTED
    assert second.support.checks[0] == "citation:added"
    assert [answer.citations[n - 1].document.id for n in second.citations] == ["backups"]
    assert_exact(answer, TEXTS)


def test_a_wrong_citation_is_replaced_by_the_passage_that_says_it() -> None:
    answer = ask(saying(f"{DRAIN} [3]."))
    (sentence,) = answer.sentences
    assert sentence.support.label is SupportLabel.SUPPORTED
    assert sentence.support.checks[0] == "citation:corrected"
    assert [citation.document.id for citation in answer.citations] == ["restart"]
    assert_exact(answer, TEXTS)


def test_a_corrected_citation_does_not_count_for_the_model() -> None:
    grounding = ask(saying(f"{DRAIN} [3]. {KEPT} Restores need version 2.3.1 of dbtool [3].")).grounding
    assert grounding is not None
    assert grounding.unsupported_sentences == 0
    assert grounding.citation_precision == 0.5
    assert grounding.citation_recall == pytest.approx(1 / 3, abs=1e-4)


def test_a_citation_of_a_passage_never_shown_counts_against_the_model() -> None:
    answer = ask(saying(f"{DRAIN} [8]."))
    assert answer.grounding is not None
    assert (answer.grounding.citation_precision, answer.grounding.citation_recall) == (0.0, 0.0)
    assert labels(answer.sentences) == [SupportLabel.SUPPORTED]


def test_a_wrong_citation_that_nothing_supports_stays_as_the_model_gave_it() -> None:
    judged = judge("Restarting the whole fleet takes a quarter of an hour on Mondays.", 3)
    assert judged.support.label is SupportLabel.UNSUPPORTED
    assert [index for index, _ in judged.sources] == [2]
    assert not any(check.startswith("citation:") for check in judged.support.checks)


@pytest.mark.parametrize("cites", [(1,), (2,), ()])
def test_a_sentence_that_a_passage_contradicts_is_not_rescued_by_another(cites: tuple[int, ...]) -> None:
    judged = judge(
        "The drain waits 30 seconds for open requests.",
        *cites,
        passages=(RESTART, CODES, "In those days the drain waits 30 seconds for open requests."),
    )
    assert judged.support.label is not SupportLabel.SUPPORTED


def test_a_sentence_half_told_by_its_source_is_completed() -> None:
    judged = judge("The drain waits 120 seconds and backups of ledgerd are kept for 30 days.", 1)
    assert judged.support.label is SupportLabel.SUPPORTED
    assert judged.support.checks[0] == "citation:added"
    assert [index for index, _ in judged.sources] == [0, 2]


def test_half_a_sentence_and_a_fitting_number_elsewhere_do_not_make_a_whole() -> None:
    passages = ("Tarnwell gives notice of changes in working hours.", "Claims are paid within 15 working days.")
    invented = "Tarnwell gives 15 working days of parental leave."
    assert judge(invented, 1, passages=passages).support.label is not SupportLabel.SUPPORTED
    assert judge(invented, 2, passages=passages).support.label is not SupportLabel.SUPPORTED
    assert judge(invented, passages=passages).sources == ()


def test_what_only_a_replaced_document_says_is_at_most_partly_supported() -> None:
    old = indexed("The drain waits 30 seconds on virtual machines.", name="old", metadata={"status": "superseded"})
    for passages, label in (((old, indexed(BACKUPS)), SupportLabel.PARTIAL), ((old,), SupportLabel.SUPPORTED)):
        (sentence,) = ask(saying("The drain waits 30 seconds [1]."), result=found(*passages)).sentences
        assert sentence.support.label is label
        assert ("source:superseded" in sentence.support.checks) is (label is SupportLabel.PARTIAL)


def test_a_sentence_of_few_words_is_found_to_the_letter() -> None:
    passages = ("Hold both keys. Scans are kept.", BACKUPS)
    assert judge("Scans are kept.", passages=passages).support.label is SupportLabel.SUPPORTED
    assert judge("Scans were kept.", passages=passages).sources == ()


@pytest.mark.parametrize("text", ["Have fun.", "It is done.", "Then restart."])
def test_a_sentence_of_few_words_is_not_looked_for(text: str) -> None:
    assert judge(text).sources == ()


def test_where_several_passages_say_about_the_same_none_is_chosen() -> None:
    loosely = "Gatehouse drains wait for open requests, brief or extended"
    one, other = (f"The gatehouse drains wait for {which} open requests." for which in ("brief", "extended"))
    assert judge(loosely, passages=(one, other)).sources == ()


@given(st.sampled_from([DRAIN, KEPT, "It must fall below 0.1 % within 2 minutes."]), st.data())
def test_no_citation_is_found_for_a_copy_with_a_changed_number(sentence: str, data: st.DataObject) -> None:
    match = data.draw(st.sampled_from(list(re.finditer(r"\d+", sentence))))
    other = data.draw(st.integers(0, 99_999).map(str).filter(lambda text: int(text) != int(match.group())))
    judged = judge(sentence[: match.start()] + other + sentence[match.end() :])
    assert judged.support.label is not SupportLabel.SUPPORTED
    assert judged.sources == ()


STEPS = "1. Drain the host before you restart it.\n2. Watch the error ratio. It must fall below 0.1 % within 2 minutes."


def test_items_without_a_citation_are_checked_against_the_one_of_their_list() -> None:
    answer = ask(saying(f"{STEPS} [1]"))
    assert labels(answer.sentences) == [SupportLabel.SUPPORTED] * 2
    assert answer.sentences[0].support.checks[0] == "citation:inherited"
    assert answer.grounding is not None
    assert (answer.grounding.citation_precision, answer.grounding.citation_recall) == (1.0, 1.0)
    assert_exact(answer, TEXTS)


def test_items_without_any_citation_are_found_one_by_one() -> None:
    answer = ask(saying(f"How to restart the gateway:\n\n{STEPS}\n\nLater, it snows."))
    assert labels(answer.sentences) == [SupportLabel.SUPPORTED] * 3 + [SupportLabel.UNSUPPORTED]
    assert answer.sentences[1].support.checks[0] == "citation:added"


def test_a_line_that_introduces_takes_the_verdict_of_what_it_introduces() -> None:
    answer = ask(saying(f"To restart the gateway, follow these steps:\n\n{STEPS} [1]"))
    line, item, _ = answer.sentences
    assert line.support.checks == ("connective",)
    assert (line.support.label, line.support.score, line.citations) == (
        item.support.label,
        item.support.score,
        item.citations,
    )
    assert answer.grounding is not None
    assert answer.grounding.citation_recall == 1.0

    wrong = ask(saying(f"{DRAIN} [1]. To restart the gateway:\n\n- Paint the rack yellow [1]\n- {DRAIN} [1]"))
    assert labels(wrong.sentences)[1:3] == [SupportLabel.UNSUPPORTED] * 2


@pytest.mark.parametrize(
    "line",
    [
        "To restart the gateway, call the police:",
        "To restart the gateway within 5 minutes:",
        "To never restart the gateway:",
        "To restart the gateway.",
    ],
)
def test_a_line_that_says_something_of_its_own_is_judged_by_it(line: str) -> None:
    answer = ask(saying(f"{line}\n\n{STEPS} [1]"))
    assert "connective" not in answer.sentences[0].support.checks
    assert answer.sentences[0].support.label is not SupportLabel.SUPPORTED


BLOCK = "```bash\nkubectl -n edge rollout restart deployment/gatehouse\n```"


def test_a_block_is_found_by_its_commands_whatever_words_of_the_question_stand_before_it() -> None:
    judged = judge(f"To restart the gateway, run the following command:\n\n{BLOCK}")
    assert judged.support.label is SupportLabel.SUPPORTED
    assert [index for index, _ in judged.sources] == [0]
    assert judge(f"To restart the gateway, run:\n\n{BLOCK.replace('gatehouse', 'ledgerd')}").sources == ()
    assert judge(f"To deliver fresh flowers to elephants tomorrow, run:\n\n{BLOCK}").sources == ()


def test_a_line_that_introduces_nothing_is_unsupported() -> None:
    answer = ask(saying(f"{DRAIN} [1]. To restart the gateway, follow these steps:"))
    assert labels(answer.sentences) == [SupportLabel.SUPPORTED, SupportLabel.UNSUPPORTED]


CUT = ChatDelta(cut_off=True)


def test_an_answer_that_reached_the_limit_says_so_and_ends_with_a_whole_sentence() -> None:
    answer = ask(ScriptedModel([[f"{DRAIN} [1]. Never delete gatehouse", CUT]]))
    assert [sentence.text for sentence in answer.sentences] == [f"{DRAIN}."]
    assert answer.degraded == Degraded(ModelFailureReason.TRUNCATED, DegradedMode.PARTIAL)
    assert answer.model == "scripted"


def test_an_answer_that_reached_the_limit_before_its_first_sentence_is_extracted() -> None:
    answer = ask(ScriptedModel([["The drain", CUT]]))
    assert answer.degraded == Degraded(ModelFailureReason.TRUNCATED, DegradedMode.EXTRACTIVE)
    assert "120 seconds" in answer.text


def test_passages_carry_their_dates_but_for_those_that_were_replaced() -> None:
    passages = [indexed("The drain waits."), indexed("The drain waits.", metadata={"status": "superseded"})]
    body = load_prompt().render("Q?", passages, frozenset({1})).messages[-1].content
    assert body.count('updated="2026-02-01"') == 1
    assert '<passage number="2" title="Gateway runbook" status="superseded">' in body


def test_the_best_passage_stands_last_and_bears_its_number_where_an_answer_shall() -> None:
    passages = [indexed(RESTART), indexed(CODES), indexed("The drain waits.")]
    body = load_prompt().render("Q?", passages, frozenset({0})).messages[-1].content
    assert re.findall(r'<passage number="(\d)"', body) == ["1", "3", "2"]
    assert "The drain waits 120 seconds for open requests. [1]" in body
    assert "before you restart it. The drain" in body
    assert "within 2 minutes. [1]" in body
    assert "1. Restart the gateway:\n\n   ```bash" in body
    assert "   ```\n[1]\n\n2. Watch" in body
    assert "headers |\n[2]\n" in body


def test_an_earlier_prompt_still_renders_as_it_did() -> None:
    prompt = load_prompt("answer@1")
    assert prompt.version == "answer@1"
    passages = [passage.indexed for passage in operations().passages]
    assert "updated=" not in prompt.render("Q?", passages).messages[-1].content
    answer = ask(saying(f"{DRAIN} [1]."), result=found(indexed(RESTART)))
    assert answer.prompt_version == load_prompt().version != prompt.version
