"""What becomes of sentences that the sources don't support: marked, withheld, refused; and which model writes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from ingestion.corpus.scope import Scope
from service.errors import ModelFailure, ModelFailureReason
from service.generation.answering import Answerer, Means, collect
from service.generation.answers import (
    Answer,
    AnswerQuery,
    DegradedMode,
    RefusalReason,
    SentenceEvent,
    SupportLabel,
    Tier,
)
from service.generation.checking.judging import Judge
from service.generation.models.llm import ChatModel, Models, Usage
from service.retrieval.results import RelevanceLabel, SearchResult
from service.settings import AnswerSettings, LLMSettings, Policy, ServiceSettings
from tests.fakes import ScriptedModel, saying
from tests.service.generation_parts import SCOPE, found, indexed, operations

QUESTION = "How do I restart the gateway and how long does the drain wait?"
TRUE = "The drain waits 120 seconds for open requests [1]. "
WRONG = "The drain waits 30 seconds for open requests [1]. "
MORE = "Backups are kept for 30 days [3]. "
BROKEN = ModelFailure(ModelFailureReason.SERVER_ERROR, "broken", retryable=True)


def answerer(
    fast: ChatModel | None,
    strong: ChatModel | None = None,
    *,
    result: SearchResult | None = None,
    settings: AnswerSettings | None = None,
) -> Answerer:
    chosen = result or operations()

    def retrieve(scope: Scope, query: AnswerQuery) -> SearchResult:
        return chosen

    return Answerer(
        retrieve,
        Models(fast, strong),
        ServiceSettings(llm=LLMSettings(max_output_tokens=64), answers=settings or AnswerSettings(repair=False)),
    )


def ask(
    fast: ChatModel | None,
    strong: ChatModel | None = None,
    *,
    policy: Policy = Policy.MARK,
    tier: Tier = Tier.AUTO,
    result: SearchResult | None = None,
    settings: AnswerSettings | None = None,
) -> Answer:
    query = AnswerQuery(QUESTION, tier=tier, unsupported=policy)
    answering = answerer(fast, strong, result=result, settings=settings)
    return asyncio.run(collect(answering.answer(SCOPE, query)))


def texts(answer: Answer) -> list[str]:
    return [sentence.text for sentence in answer.sentences]


def choices(answer: Answer) -> list[tuple[str, str]]:
    return [(decision.step, decision.choice) for decision in answer.decisions]


def test_marked_is_the_default_and_shows_everything() -> None:
    answer = ask(saying(TRUE + WRONG + MORE))
    assert [sentence.support.label for sentence in answer.sentences] == [
        SupportLabel.SUPPORTED,
        SupportLabel.CONTRADICTED,
        SupportLabel.SUPPORTED,
    ]
    assert answer.grounding is not None
    assert (answer.grounding.unsupported_sentences, answer.grounding.withheld_sentences) == (1, 0)


def test_withheld_sentences_are_left_out_and_counted() -> None:
    answer = ask(saying(TRUE + WRONG + MORE), policy=Policy.WITHHOLD)
    assert texts(answer) == ["The drain waits 120 seconds for open requests.", "Backups are kept for 30 days."]
    assert "30 seconds" not in answer.text
    assert answer.grounding is not None
    assert (answer.grounding.unsupported_sentences, answer.grounding.withheld_sentences) == (0, 1)
    assert [citation.n for citation in answer.citations] == [1, 2]


def test_an_answer_of_nothing_but_withheld_sentences_is_extracted() -> None:
    answer = ask(saying(WRONG), policy=Policy.WITHHOLD)
    assert answer.degraded is not None
    assert (answer.degraded.reason, answer.degraded.mode) == (
        ModelFailureReason.UNSUPPORTED,
        DegradedMode.EXTRACTIVE,
    )
    assert "30 seconds" not in answer.text
    assert answer.model is None


def test_strict_refuses_the_whole_answer_for_one_sentence() -> None:
    answer = ask(saying(TRUE + WRONG), policy=Policy.STRICT)
    assert (answer.answered, answer.sentences, answer.text) == (False, (), "")
    assert answer.refusal is not None
    assert answer.refusal.reason is RefusalReason.NOT_IN_SOURCES
    assert answer.degraded is None


def test_strict_shows_an_answer_that_is_supported_throughout() -> None:
    assert len(texts(ask(saying(TRUE + MORE), policy=Policy.STRICT))) == 2


@pytest.mark.parametrize(
    ("policy", "shown_early"), [(Policy.MARK, True), (Policy.WITHHOLD, True), (Policy.STRICT, False)]
)
def test_only_strict_waits_for_the_end_of_what_is_supported(policy: Policy, shown_early: bool) -> None:
    async def run() -> bool:
        gate = asyncio.Event()
        model = ScriptedModel([[TRUE, "Then", gate, " backups are kept for 30 days [3]."]])
        early = False
        query = AnswerQuery(QUESTION, unsupported=policy)
        events = answerer(model).answer(SCOPE, query)
        upcoming = asyncio.ensure_future(anext(events))
        while True:
            done, _ = await asyncio.wait({upcoming}, timeout=None if gate.is_set() else 2.0)
            if not done:
                gate.set()
                continue
            try:
                event = upcoming.result()
            except StopAsyncIteration:
                return early
            if isinstance(event, SentenceEvent) and not gate.is_set():
                early = True
                gate.set()
            upcoming = asyncio.ensure_future(anext(events))

    assert asyncio.run(asyncio.wait_for(run(), 30)) is shown_early


def test_the_only_model_writes_whatever_is_asked_for() -> None:
    model = saying(TRUE)
    answer = ask(model, tier=Tier.STRONG)
    assert choices(answer) == [("tier", "fast")]
    assert answer.decisions[0].reasons == ("no strong model is configured",)
    assert len(model.calls) == 1


@pytest.mark.parametrize(("tier", "calls"), [(Tier.FAST, (1, 0)), (Tier.STRONG, (0, 1)), (Tier.AUTO, (1, 0))])
def test_a_tier_that_is_asked_for_is_used(tier: Tier, calls: tuple[int, int]) -> None:
    fast, strong = saying(TRUE), ScriptedModel([[TRUE]], name="large")
    answer = ask(fast, strong, tier=tier)
    assert (len(fast.calls), len(strong.calls)) == calls
    assert answer.model == ("scripted" if calls[0] else "large")


def test_weak_relevance_and_sources_that_disagree_go_to_the_strong_model() -> None:
    weak = ask(saying(TRUE), ScriptedModel([[TRUE]], name="large"), result=weakly(operations()))
    assert weak.model == "large"
    assert weak.decisions[0].reasons == ("weak relevance",)

    one = indexed("The drain of the gateway waits 120 seconds for open requests.", name="new", title="Gateway runbook")
    two = indexed("The drain of the gateway waits 30 seconds for open requests.", name="other", title="Notes")
    torn = ask(saying(TRUE), ScriptedModel([[TRUE]], name="large"), result=found(one, two))
    assert torn.model == "large"
    assert torn.decisions[0].reasons[0].startswith("sources disagree: conflict:")


def weakly(result: SearchResult) -> SearchResult:
    return found(*(passage.indexed for passage in result.passages), label=RelevanceLabel.WEAK)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ([WRONG, Usage(10, 5)], ModelFailureReason.UNSUPPORTED),
        ([BROKEN], ModelFailureReason.SERVER_ERROR),
        ([""], ModelFailureReason.EMPTY),
        (["Turn the rack off and on again."], ModelFailureReason.UNCITED),
    ],
)
def test_what_fails_its_verification_is_asked_of_the_strong_model_once(
    script: Sequence[str | Usage | ModelFailure], reason: ModelFailureReason
) -> None:
    fast, strong = ScriptedModel([script]), ScriptedModel([[TRUE + WRONG, Usage(20, 10)]], name="large")
    answer = ask(fast, strong)
    assert (len(fast.calls), len(strong.calls)) == (1, 1)
    assert answer.model == "large"
    assert choices(answer) == [("tier", "fast"), ("escalation", "strong")]
    assert answer.decisions[1].reasons == (reason,)
    assert len(answer.sentences) == 2


def test_a_chosen_tier_does_not_escalate() -> None:
    strong = ScriptedModel([[TRUE]], name="large")
    answer = ask(ScriptedModel([[BROKEN]]), strong, tier=Tier.FAST)
    assert strong.calls == []
    assert answer.degraded is not None
    assert answer.degraded.mode is DegradedMode.EXTRACTIVE


def test_no_second_model_is_asked_when_it_would_come_too_late() -> None:
    strong = ScriptedModel([[TRUE]], name="large")
    answer = ask(ScriptedModel([[BROKEN]]), strong, settings=AnswerSettings(repair=False, repair_within_s=0))
    assert strong.calls == []
    assert answer.degraded is not None


def test_the_tokens_of_both_models_are_told() -> None:
    fast = ScriptedModel([[WRONG, Usage(10, 5, 0.1)]])
    strong = ScriptedModel([[TRUE, Usage(20, 10, 0.2)]], name="large")
    usage = ask(fast, strong).usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (30, 15)
    assert usage.cost_usd == pytest.approx(0.3)


@pytest.mark.parametrize("sampled", [True, False])
def test_a_sampled_answer_is_shown_to_a_judge_whose_word_changes_no_verdict(sampled: bool) -> None:
    judging = ScriptedModel([["1: no\n2: yes", Usage(7, 3)]])
    judge = Judge(judging, 0.5, draw=lambda: 0.4 if sampled else 0.6)
    answering = Answerer(
        lambda scope, query: operations(),
        Models(ScriptedModel([[TRUE + MORE, Usage(10, 5)]])),
        ServiceSettings(),
        Means(judge=judge),
    )
    answer = asyncio.run(collect(answering.answer(SCOPE, AnswerQuery(QUESTION))))
    told = [[check for check in sentence.support.checks if "judge" in check] for sentence in answer.sentences]
    assert told == ([["judge:no"], ["judge:yes"]] if sampled else [[], []])
    assert {sentence.support.label for sentence in answer.sentences} == {SupportLabel.SUPPORTED}
    assert answer.usage.prompt_tokens == (17 if sampled else 10)
    assert len(judging.calls) == sampled
