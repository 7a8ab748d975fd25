"""The second look of a model at what failed: sentences mended in their place, and follow-up questions made whole."""

from __future__ import annotations

import asyncio

import pytest

from ingestion.corpus.scope import Scope
from service.errors import ModelFailure, ModelFailureReason
from service.generation.answering import Answerer, collect
from service.generation.answers import Answer, AnswerQuery, Decision, RefusalReason, Support, SupportLabel, Turn
from service.generation.mending import what_is_wrong
from service.generation.models.llm import Models, Usage
from service.retrieval.results import SearchResult
from service.settings import AnswerSettings, Policy, ServiceSettings
from tests.fakes import ScriptedModel, Step
from tests.service.generation_parts import SCOPE, operations

QUESTION = "How long does the drain wait and how long are backups kept?"
TRUE = "Backups of ledgerd are kept for 30 days [3]. "
WRONG = "The drain waits 30 seconds for open requests [1]. "
INVENTED = "Then feed the hamster twice a day [1]. "
DOWN = ModelFailure(ModelFailureReason.UNREACHABLE, "down")


def ask(
    model: ScriptedModel,
    *,
    strong: ScriptedModel | None = None,
    policy: Policy = Policy.MARK,
    settings: AnswerSettings | None = None,
    query: AnswerQuery | None = None,
    asked: list[str] | None = None,
) -> Answer:
    def retrieve(scope: Scope, query: AnswerQuery) -> SearchResult:
        if asked is not None:
            asked.append(query.question)
        return operations()

    answerer = Answerer(retrieve, Models(model, strong), ServiceSettings(answers=settings or AnswerSettings()))
    return asyncio.run(collect(answerer.answer(SCOPE, query or AnswerQuery(QUESTION, unsupported=policy))))


def script(*answers: str | Step) -> ScriptedModel:
    return ScriptedModel([[answer, Usage(10, 5)] for answer in answers])


def labels(answer: Answer) -> list[SupportLabel]:
    return [sentence.support.label for sentence in answer.sentences]


def test_a_wrong_sentence_is_mended_in_its_place() -> None:
    model = script(WRONG + TRUE, "1: The drain waits 120 seconds for open requests [1].")
    answer = ask(model)
    assert [sentence.text for sentence in answer.sentences] == [
        "The drain waits 120 seconds for open requests.",
        "Backups of ledgerd are kept for 30 days.",
    ]
    assert labels(answer) == [SupportLabel.SUPPORTED] * 2
    assert len(model.calls) == 2
    assert answer.usage.prompt_tokens == 20
    assert answer.decisions[-1] == Decision("repair", "scripted", ("1 failed", "1 mended", "0 taken back"))
    asked = model.calls[1][-1].content
    assert "1: The drain waits 30 seconds" in asked
    assert "30 s is not in the passage" in asked
    assert "ledgerd are kept for 30 days.\n(" not in asked


def test_a_sentence_that_is_taken_back_is_gone() -> None:
    answer = ask(script(TRUE + INVENTED, "1: DROP"))
    assert labels(answer) == [SupportLabel.SUPPORTED]
    assert "hamster" not in answer.text


@pytest.mark.parametrize("second", ["1: The drain waits 31 seconds for open requests [1].", "I see.", "", DOWN])
def test_what_does_not_get_better_stays_as_it_was(second: str | Step) -> None:
    answer = ask(script(TRUE + WRONG, second))
    assert [sentence.text for sentence in answer.sentences][1] == "The drain waits 30 seconds for open requests."
    assert labels(answer)[1] is SupportLabel.CONTRADICTED
    assert answer.degraded is None


def test_an_answer_that_is_supported_is_not_asked_for_twice() -> None:
    model = script(TRUE)
    ask(model)
    assert len(model.calls) == 1


def test_there_is_one_round_and_none_that_comes_too_late() -> None:
    model = script(WRONG, "1: The drain waits 31 seconds for open requests [1].", "never")
    ask(model)
    assert len(model.calls) == 2
    late = script(WRONG)
    assert labels(ask(late, settings=AnswerSettings(repair_within_s=0))) == [SupportLabel.CONTRADICTED]
    assert len(late.calls) == 1


def test_a_mended_answer_passes_strictly_and_one_that_is_not_is_refused() -> None:
    mended = ask(script(TRUE + WRONG, "1: The drain waits 120 seconds for open requests [1]."), policy=Policy.STRICT)
    assert labels(mended) == [SupportLabel.SUPPORTED] * 2
    refused = ask(script(TRUE + WRONG, "no"), policy=Policy.STRICT)
    assert refused.refusal is not None
    assert refused.refusal.reason is RefusalReason.NOT_IN_SOURCES


def test_the_strong_model_mends_what_the_fast_one_began() -> None:
    strong = ScriptedModel([["1: The drain waits 120 seconds for open requests [1]."]], name="large")
    answer = ask(script(TRUE + WRONG), strong=strong)
    assert (len(strong.calls), answer.model, labels(answer)) == (1, "scripted", [SupportLabel.SUPPORTED] * 2)
    assert answer.decisions[-1].choice == "large"


def test_checks_are_told_in_words() -> None:
    def words(*checks: str) -> str:
        return what_is_wrong(Support(SupportLabel.UNSUPPORTED, 0.1, checks))

    assert words("facts:missing", "numbers:missing 30 s", "overlap:0.80") == "30 s is not in the passage"
    assert words("conflict:120 s not 30 s") == "the passage says 120 s, not 30 s"
    assert words("citations:none") == "no passage says this"
    assert words("numbers:ok", "overlap:0.20") == "the passage does not say this"


HISTORY = (Turn("user", "How do I restart the gateway?"), Turn("assistant", "Drain the host, then restart it."))
FOLLOW_UP = AnswerQuery("And how long does it wait?", history=HISTORY)


def test_a_follow_up_is_made_to_stand_alone_by_the_model() -> None:
    model = script("How long does the gateway wait?", "The drain waits 120 seconds for open requests [1].")
    asked: list[str] = []
    answer = ask(model, query=FOLLOW_UP, asked=asked)
    assert asked == ["How long does the gateway wait?"]
    assert model.calls[1][-1].content.endswith("Question: How long does the gateway wait?")
    assert answer.decisions[0] == Decision("rewrite", "scripted")
    assert answer.usage.prompt_tokens == 20
    assert "rewrite" in answer.timings_ms


@pytest.mark.parametrize(
    "rewritten", ["How long does cluster-7 wait for node 12?", "The gateway waits 120 seconds.", "", DOWN]
)
def test_a_rewrite_that_adds_to_the_question_is_not_used(rewritten: str | Step) -> None:
    asked: list[str] = []
    answer = ask(script(rewritten, TRUE), query=FOLLOW_UP, asked=asked)
    assert asked == ["How do I restart the gateway?\nAnd how long does it wait?"]
    assert answer.decisions[0].choice == "by rules"
    assert answer.answered


def test_a_question_that_stands_alone_costs_no_rewrite() -> None:
    model = script(TRUE)
    ask(model, query=AnswerQuery("Which backups of ledgerd are kept for thirty days?", history=HISTORY))
    assert len(model.calls) == 1
    rules = script(TRUE)
    ask(rules, query=FOLLOW_UP, settings=AnswerSettings(rewrite=False))
    assert len(rules.calls) == 1
