"""The chat model that is asked about verified sentences: what it is asked, how its answer is read, and no harm done."""

from __future__ import annotations

import asyncio

import pytest

from service.errors import ModelFailure, ModelFailureReason
from service.generation.answers import AnsweredSentence, Support, SupportLabel
from service.generation.checking.judging import Judge, Opinion, read_opinions, with_opinion
from tests.fakes import ScriptedModel, saying

SENTENCES = ["Drain the node.", "It takes\n30 seconds."]


def test_opinions_come_in_the_order_of_the_sentences() -> None:
    model = saying("1: yes\n2: no")
    judged = asyncio.run(Judge(model, 1.0).judge("How?", SENTENCES, []))
    assert judged.opinions == (Opinion.YES, Opinion.NO)
    assert "1: Drain the node.\n2: It takes 30 seconds." in model.calls[0][-1].content


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("**1:** Yes, it is.\n- 2. no", (Opinion.YES, Opinion.NO)),
        ("2: no\n7: yes", (Opinion.UNKNOWN, Opinion.NO)),
        ("I cannot tell.", (Opinion.UNKNOWN, Opinion.UNKNOWN)),
        ("1: yes\n1: no\n2: yesterday", (Opinion.YES, Opinion.UNKNOWN)),
    ],
)
def test_answers_are_read_as_small_models_write_them(answer: str, expected: tuple[Opinion, ...]) -> None:
    assert read_opinions(answer, 2) == expected


def test_a_model_that_fails_has_no_opinion() -> None:
    failing = ScriptedModel([[ModelFailure(ModelFailureReason.TIMEOUT, "too slow")]])
    judged = asyncio.run(Judge(failing, 1.0).judge("How?", SENTENCES, []))
    assert judged.opinions == (Opinion.UNKNOWN, Opinion.UNKNOWN)


def test_a_model_that_does_not_end_is_left() -> None:
    hanging = ScriptedModel([[asyncio.Event()]])
    judged = asyncio.run(Judge(hanging, 1.0, within_s=0.01).judge("How?", SENTENCES, []))
    assert judged.opinions == (Opinion.UNKNOWN, Opinion.UNKNOWN)
    assert hanging.closed == 1


def test_the_share_is_drawn() -> None:
    assert not Judge(saying(""), 0.0, draw=lambda: 0.0).is_sampled()
    assert Judge(saying(""), 0.5, draw=lambda: 0.4).is_sampled()
    assert not Judge(saying(""), 0.5, draw=lambda: 0.5).is_sampled()


def test_an_opinion_changes_no_verdict() -> None:
    sentence = AnsweredSentence("Drain it.", (1,), Support(SupportLabel.SUPPORTED, 0.9, ("entailment:0.90",)))
    told = with_opinion(sentence, Opinion.NO)
    assert told.support == Support(SupportLabel.SUPPORTED, 0.9, ("entailment:0.90", "judge:no"))
    assert with_opinion(sentence, Opinion.UNKNOWN) == sentence
