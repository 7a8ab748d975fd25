"""Signals in `/metrics`: every search and answer counts once, under what it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ingestion.corpus.records import ChunkId
from service.generation.answers import (
    Answer,
    AnsweredSentence,
    Grounding,
    GroundingLabel,
    Refusal,
    RefusalReason,
    RetrievalEvent,
    Support,
    SupportLabel,
)
from service.generation.models.llm import Usage
from service.ledger.metrics import CITATION_PRECISION, LEGS, SCORE_DRIFT, Metrics
from service.retrieval.candidates import Candidates
from service.retrieval.fusion import Weights
from service.retrieval.packing.records import ContextPack
from service.retrieval.results import Relevance, RelevanceLabel, RelevanceSignals, SearchResult, SearchTrail
from service.tracking.signals import Signals, legs_agree
from tests.service.generation_parts import operations

CHUNK = {ChunkId("c"): 0.5}


def samples(metrics: Metrics) -> dict[str, float]:
    """Every counted thing that happened: `name{label=value,…}` without its `plumbline_`."""
    found = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            if sample.value and not sample.name.endswith(("_bucket", "_created")):
                labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
                found[sample.name.removeprefix("plumbline_") + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


def searched(
    *, agree: bool = True, dense: bool = True, sparse: bool = True, label: RelevanceLabel = RelevanceLabel.STRONG
) -> SearchResult:
    """A result of which both legs found something, or only one was asked."""
    candidates = Candidates(ranking=(), dense=CHUNK if dense else {}, sparse=CHUNK if sparse else {})
    trail = SearchTrail("words", "e", Weights(), None, candidates, {})
    relevance = Relevance(label, 0.8, RelevanceSignals(top_score=0.9, legs_agree=agree))
    return replace(operations(), relevance=relevance, trail=trail)


def nothing(label: RelevanceLabel = RelevanceLabel.NONE) -> SearchResult:
    return SearchResult((), Relevance(label, 0.0), 0)


def sentence(label: SupportLabel) -> AnsweredSentence:
    return AnsweredSentence("s", (1,), Support(label, 0.5))


def answered(**changes: object) -> Answer:
    """An answer of three sentences, with one more withheld."""
    labels = (SupportLabel.SUPPORTED, SupportLabel.SUPPORTED, SupportLabel.CONTRADICTED)
    whole = Answer(
        answered=True,
        text="s",
        sentences=tuple(map(sentence, labels)),
        citations=(),
        grounding=Grounding(GroundingLabel.PARTIAL, 0.5, 1, 0.75, 1.0, "m", withheld_sentences=1),
        relevance=searched().relevance,
        refusal=None,
        degraded=None,
        model="m",
        prompt_version="answer@3",
        usage=Usage(),
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def test_a_search() -> None:
    metrics = Metrics()
    signals = Signals(metrics)

    signals.search(searched())
    signals.search(searched(agree=False))
    signals.search(nothing())

    assert samples(metrics) == {
        "relevance_confidence_count{operation=search}": 3,
        "relevance_confidence_sum{operation=search}": pytest.approx(1.6),
        "top_score_count{operation=search}": 2,
        "top_score_sum{operation=search}": 1.8,
        "zero_results_total{operation=search}": 1,
        "legs_total{agree=no,operation=search}": 1,
        "legs_total{agree=yes,operation=search}": 1,
    }


def test_a_page_past_the_last_hit_is_no_search_without_a_result() -> None:
    metrics = Metrics()

    Signals(metrics).search(nothing(RelevanceLabel.STRONG))

    assert not [name for name in samples(metrics) if name.startswith("zero_results")]


@pytest.mark.parametrize(("dense", "sparse"), [(True, False), (False, True), (False, False)])
def test_one_leg_alone_neither_agrees_nor_disagrees(dense: bool, sparse: bool) -> None:
    assert legs_agree(searched(agree=False, dense=dense, sparse=sparse)) is None
    assert legs_agree(searched(agree=False)) is False
    assert legs_agree(operations()) is None, "nobody kept what the legs found"


def test_a_context_pack() -> None:
    metrics = Metrics()
    relevance = searched().relevance

    Signals(metrics).context(ContextPack("", (), 0, (), relevance, ("q",), (searched(agree=False),)))
    Signals(metrics).context(ContextPack("", (), 0, (), nothing().relevance, (), ()))

    assert samples(metrics) == {
        "relevance_confidence_count{operation=context}": 2,
        "relevance_confidence_sum{operation=context}": 0.8,
        "zero_results_total{operation=context}": 1,
        "legs_total{agree=no,operation=context}": 1,
    }


def test_an_answer() -> None:
    metrics = Metrics()

    Signals(metrics).answer(answered(), RetrievalEvent(searched(), "q"))

    writer = "model=m,prompt_version=answer@3"
    assert samples(metrics) == {
        "relevance_confidence_count{operation=answer}": 1,
        "relevance_confidence_sum{operation=answer}": 0.8,
        "top_score_count{operation=answer}": 1,
        "top_score_sum{operation=answer}": 0.9,
        "legs_total{agree=yes,operation=answer}": 1,
        f"sentences_total{{{writer},verdict=supported}}": 2,
        f"sentences_total{{{writer},verdict=contradicted}}": 1,
        f"grounding_total{{label=partial,{writer}}}": 1,
        "citation_precision_count": 1,
        "citation_precision_sum": 0.75,
        "withheld_sentences_total": 1,
    }


def test_a_refusal_and_an_answer_without_a_model() -> None:
    metrics = Metrics()
    refusal = Refusal(RefusalReason.NOT_IN_SOURCES, "no")

    Signals(metrics).answer(answered(answered=False, sentences=(), grounding=None, refusal=refusal), None)
    Signals(metrics).answer(answered(model=None, prompt_version=None, grounding=None), None)

    assert samples(metrics) == {
        "refusals_total{reason=not_in_sources}": 1,
        "sentences_total{model=none,prompt_version=none,verdict=supported}": 2,
        "sentences_total{model=none,prompt_version=none,verdict=contradicted}": 1,
    }


def test_what_was_taken_away_comes_back_from_the_start() -> None:
    metrics = Metrics()
    metrics.set(SCORE_DRIFT, None, "confidence")
    metrics.set(SCORE_DRIFT, 0.2, "confidence")
    metrics.set(SCORE_DRIFT, None, "confidence")
    assert samples(metrics) == {}

    metrics.set(SCORE_DRIFT, 0.3, "confidence")
    metrics.count(LEGS, "search", "yes")
    metrics.count(LEGS, "search", "yes", by=2)
    metrics.observe(CITATION_PRECISION, 0.5)

    assert samples(metrics) == {
        "score_drift{score=confidence}": 0.3,
        "legs_total{agree=yes,operation=search}": 3,
        "citation_precision_count": 1,
        "citation_precision_sum": 0.5,
    }
