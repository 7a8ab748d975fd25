"""Relevance means the same across queries, its signals are in bounds, and scores never rise along the ranking."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.corpus.records import DocumentKey
from service.retrieval.calibration import Calibration
from service.retrieval.coefficients import ANY_EMBEDDER, ANY_EMBEDDER_ALONE, GRANITE, GRANITE_ALONE, LEXICAL
from service.retrieval.relevance import (
    POOL,
    Evidence,
    Observations,
    Thresholds,
    calibration_for,
    judge,
    never_rising,
    observe,
    passage_signals,
    score_passages,
    weigh_terms,
)
from service.retrieval.results import RelevanceLabel

THRESHOLDS = Thresholds(strong=0.6, weak=0.3)
TERMS = frozenset({"restart", "gateway", "drain"})
evidence = st.builds(
    Evidence,
    document=st.sampled_from("abc").map(DocumentKey),
    dense=st.none() | st.floats(-1, 1),
    sparse=st.none() | st.floats(0, 50),
    matched=st.frozensets(st.sampled_from(sorted(TERMS))),
    literal=st.booleans(),
)


def found(document: str, dense: float | None, sparse: float | None, *matched: str) -> Evidence:
    return Evidence(DocumentKey(document), dense, sparse, frozenset(matched))


@given(pool=st.lists(evidence, max_size=12))
@pytest.mark.parametrize("calibration", [GRANITE, GRANITE_ALONE, ANY_EMBEDDER, ANY_EMBEDDER_ALONE, LEXICAL])
def test_scores_confidence_and_signals_are_in_bounds(pool: list[Evidence], calibration: Calibration) -> None:
    weights = weigh_terms(TERMS, pool)
    scores = never_rising(score_passages(pool, weights, calibration.passage))
    documents = [(entry.document, score) for entry, score in zip(pool, scores, strict=True)]
    relevance = judge(observe(pool, weights), documents, calibration.query, THRESHOLDS)

    assert all(0 <= score <= 1 for score in [*scores, relevance.confidence, relevance.signals.lexical_coverage])
    assert relevance.signals.margin >= 0
    assert (relevance.label is RelevanceLabel.NONE) == (relevance.confidence < THRESHOLDS.weak)


@given(scores=st.lists(st.floats(0, 1), max_size=30))
def test_scores_never_rise_and_keep_their_mean(scores: list[float]) -> None:
    fitted = never_rising(scores)

    assert all(before >= after for before, after in itertools.pairwise(fitted))
    assert sum(fitted) == pytest.approx(sum(scores))
    if scores == sorted(scores, reverse=True):
        assert fitted == scores


def test_a_close_match_in_words_and_meaning_is_strong_and_a_far_one_none() -> None:
    close = [found("a", 0.86, 22.0, "restart", "gateway", "drain"), found("b", 0.66, 4.0, "restart")]
    far = [found("a", 0.52, 3.0, "restart"), found("b", 0.51, None)]

    labels = []
    for pool in (close, far):
        weights = weigh_terms(TERMS, pool)
        scores = score_passages(pool, weights, GRANITE.passage)
        documents = [(entry.document, score) for entry, score in zip(pool, scores, strict=True)]
        labels.append(judge(observe(pool, weights), documents, GRANITE.query, THRESHOLDS).label)

    assert labels == [RelevanceLabel.STRONG, RelevanceLabel.NONE]


def test_nothing_found_is_none() -> None:
    relevance = judge(Observations(), [], GRANITE.query, THRESHOLDS)

    assert (relevance.label, relevance.confidence) == (RelevanceLabel.NONE, 0.0)


def test_signals_look_at_documents_not_chunks() -> None:
    pool = [found("a", 0.8, 8.0, "restart"), found("a", 0.79, 10.0, "gateway"), found("b", 0.6, 4.0)]

    observed = observe(pool, weigh_terms(TERMS, pool))

    assert observed.dense_lead == pytest.approx(0.2)
    assert observed.sparse_lead == pytest.approx(0.6)
    assert observed.agree
    assert 0 < observed.best_coverage < observed.coverage < 1


@given(pool=st.lists(evidence, min_size=1, max_size=12))
def test_leads_are_in_bounds_and_no_two_documents_lead(pool: list[Evidence]) -> None:
    weights = weigh_terms(TERMS, pool)
    observed = observe(pool[:POOL], weights)
    signals = passage_signals(pool, weights)

    assert 0 <= observed.sparse_lead <= 1
    assert observed.dense_lead >= 0
    ahead = {e.document for e, s in zip(pool[:POOL], signals[:POOL], strict=True) if s["dense_lead"] > 0}
    assert len(ahead) <= 1


def test_a_passage_has_the_signals_it_has_whatever_comes_after_the_pool() -> None:
    """What stands on the first page must not depend on how far a reader turns."""
    pool = [found(f"d{at}", 0.8 - at / 100, 9.0 - at / 10, "restart") for at in range(POOL)]
    further = [*pool, found("far", 0.2, 0.1)]
    weights = weigh_terms(TERMS, pool)

    assert passage_signals(further, weights)[:POOL] == passage_signals(pool, weights)


def test_what_stands_in_many_documents_literally_is_no_less_relevant() -> None:
    """An identifier that ten runbooks hold is found in each of them; none has to lead."""
    pool = [Evidence(DocumentKey(name), 0.4, 5.0, frozenset(), literal=True) for name in "abcdefghij"]

    relevance = judge(observe(pool, {}), [(DocumentKey("a"), 0.9)], GRANITE.query, THRESHOLDS)

    assert relevance.label is RelevanceLabel.STRONG
    assert min(score_passages(pool, {}, GRANITE.passage)) > 0.5


def test_a_query_without_words_that_stands_there_literally_is_relevant() -> None:
    pool = [Evidence(DocumentKey("a"), 0.4, None, frozenset(), literal=True)]

    relevance = judge(observe(pool, {}), [(DocumentKey("a"), 0.9)], GRANITE.query, THRESHOLDS)

    assert relevance.label is RelevanceLabel.STRONG


def test_terms_that_no_candidate_has_weigh_most() -> None:
    pool = [found("a", None, None, "restart", "gateway"), found("b", None, None, "restart")]
    weights = weigh_terms(TERMS, pool)

    assert weights["drain"] > weights["gateway"] > weights["restart"] > 0
    assert sum(weights.values()) == pytest.approx(1)


def test_the_calibration_follows_the_vector_space() -> None:
    assert calibration_for("ibm-granite/granite-embedding-30m-english@0ab1", dense=True) is GRANITE
    assert calibration_for("some/other-model", dense=True) is ANY_EMBEDDER
    assert calibration_for("some/other-model", dense=False) is LEXICAL
    assert calibration_for("ibm-granite/granite-embedding-30m-english", dense=True, sparse=False) is GRANITE_ALONE
    assert calibration_for("some/other-model", dense=True, sparse=False) is ANY_EMBEDDER_ALONE
