"""What every reranker promises, run on each of them: none, a cross-encoder, and an endpoint in both dialects."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.retrieval.reranking.opening import open_reranker
from service.retrieval.reranking.reranker import (
    MAX_PASSAGE_CHARS,
    Reranker,
    RerankOutcome,
    RerankSkip,
    Scored,
    reorder,
    rerank,
)
from service.settings import RerankerProvider, RerankerSettings
from tests.cross_encoders import save_overlap_encoder
from tests.rerank_endpoint import KEY, MODEL, Endpoint, running_endpoint

WORDS = (
    "restart",
    "the",
    "gateway",
    "broker",
    "certificate",
    "expired",
    "vacation",
    "days",
    "over",
    "to",
    "next",
    "year",
)
QUERY = "restart the gateway"
PASSAGES = [
    "vacation days carry over to the next year",
    "the broker certificate expired",
    "how do i restart the gateway",
    "restart the broker",
]
BEST_FIRST = [2, 3, 0, 1]
"""Three words of the query, two, then one and one in the order that they had."""
AMPLE_MS = 60_000.0

ALL = ["none", "local", "endpoint", "tei"]
SCORING = ALL[1:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_overlap_encoder(tmp_path_factory.mktemp("encoder"), WORDS)


@pytest.fixture(scope="module")
def local(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reranker]:
    settings = RerankerSettings(provider=RerankerProvider.LOCAL, model=str(folder), batch_size=2)
    with open_reranker(settings, tmp_path_factory.mktemp("models")) as opened:
        yield opened


def endpoint_settings(served: Endpoint) -> RerankerSettings:
    return RerankerSettings.model_validate(
        {"provider": "endpoint", "base_url": served.url, "model": MODEL, "api_key": KEY, "connect_timeout_s": 20}
    )


@contextmanager
def opened(kind: str, local: Reranker) -> Iterator[Reranker]:
    """A reranker of the kind; endpoints are served from the local one."""
    with ExitStack() as stack:
        if kind == "local":
            yield local
            return
        settings = RerankerSettings()
        if kind != "none":
            served = stack.enter_context(running_endpoint(local))
            served.speaks_tei = kind == "tei"
            settings = endpoint_settings(served)
        yield stack.enter_context(open_reranker(settings, Path("unused")))


@pytest.fixture(scope="module", params=ALL)
def reranker(request: pytest.FixtureRequest, local: Reranker) -> Iterator[Reranker]:
    with opened(request.param, local) as made:
        yield made


@pytest.fixture(scope="module", params=SCORING)
def scoring(request: pytest.FixtureRequest, local: Reranker) -> Iterator[Reranker]:
    with opened(request.param, local) as made:
        yield made


def test_scores_are_finite_and_no_more_than_passages(reranker: Reranker) -> None:
    scored = reranker.score(QUERY, PASSAGES, monotonic() + 60)

    assert len(scored.values) <= len(PASSAGES)
    assert all(math.isfinite(value) for value in scored.values)
    assert (len(scored.values) < len(PASSAGES)) == (scored.stopped is not None)


def test_every_passage_is_ordered_once(reranker: Reranker) -> None:
    order = reorder(range(len(PASSAGES)), rerank(reranker, QUERY, PASSAGES, AMPLE_MS))

    assert sorted(order) == list(range(len(PASSAGES)))


def test_the_passage_with_the_words_of_the_query_goes_first(scoring: Reranker) -> None:
    outcome = rerank(scoring, QUERY, PASSAGES, AMPLE_MS)

    assert outcome.skipped is None
    assert outcome.applied
    assert reorder(range(len(PASSAGES)), outcome) == BEST_FIRST


def test_without_a_reranker_the_order_stays_and_says_so() -> None:
    with open_reranker(RerankerSettings(), Path("unused")) as none:
        outcome = rerank(none, QUERY, PASSAGES, AMPLE_MS)

    assert (outcome.applied, outcome.skipped) == (False, RerankSkip.OFF)
    assert reorder(PASSAGES, outcome) == PASSAGES


def test_a_score_is_the_same_whatever_stands_beside_the_passage(scoring: Reranker) -> None:
    together = rerank(scoring, QUERY, PASSAGES, AMPLE_MS).scores
    pairs = [rerank(scoring, QUERY, [passage, "x"], AMPLE_MS).scores[0] for passage in PASSAGES]

    assert together == pytest.approx(pairs, abs=1e-5)


def test_no_time_means_the_order_as_it_was(scoring: Reranker) -> None:
    outcome = rerank(scoring, QUERY, PASSAGES, 0.0)

    assert (outcome.scores, outcome.skipped) == ((), RerankSkip.OUT_OF_TIME)
    assert reorder(PASSAGES, outcome) == PASSAGES


@pytest.mark.parametrize("passages", [[], ["only one"]])
def test_what_can_not_be_ordered_is_not_scored(reranker: Reranker, passages: list[str]) -> None:
    assert rerank(reranker, QUERY, passages, AMPLE_MS).skipped is RerankSkip.NOTHING_TO_ORDER


def test_odd_text_is_scored_too(scoring: Reranker) -> None:
    odd = ["", " ", "🙂", "\x00", "half of a pair: \ud83d", "顧客の注文", "<|endoftext|> [SEP] [CLS]", "a" * 100_000]

    for query in (QUERY, "🙂 \ud83d", "word " * 5_000):
        outcome = rerank(scoring, query, odd, AMPLE_MS)
        assert (len(outcome.scores), outcome.skipped) == (len(odd), None)


def test_threads_get_what_one_thread_gets(scoring: Reranker) -> None:
    queries = [f"{word} {other}" for word in WORDS[:6] for other in WORDS[6:10]]
    expected = [rerank(scoring, query, PASSAGES, AMPLE_MS).scores for query in queries]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda query: rerank(scoring, query, PASSAGES, AMPLE_MS).scores, queries))

    assert found == [pytest.approx(scores, abs=1e-5) for scores in expected]
    assert len(set(expected)) > 10


def test_a_name_says_what_scores(reranker: Reranker) -> None:
    assert reranker.name


# --- what `rerank` makes of what a reranker gives ---


class Scripted:
    """Gives what it was told to, and keeps what it was asked."""

    name = "scripted"
    probabilities = False

    def __init__(self, scored: Scored) -> None:
        self.scored = scored
        self.asked: list[str] = []

    def score(self, query: str, passages: list[str], deadline: float) -> Scored:
        self.asked = passages
        return self.scored

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_score_that_is_no_number_spoils_them_all(value: float) -> None:
    outcome = rerank(Scripted(Scored((0.1, value, 0.3))), QUERY, ["a", "b", "c"], AMPLE_MS)

    assert (outcome.scores, outcome.skipped) == ((), RerankSkip.NOT_FINITE)


def test_more_scores_than_passages_are_none() -> None:
    outcome = rerank(Scripted(Scored((1.0, 2.0, 3.0))), QUERY, ["a", "b"], AMPLE_MS)

    assert (outcome.scores, outcome.skipped) == ((), RerankSkip.MALFORMED)


def test_a_head_of_one_orders_nothing() -> None:
    outcome = rerank(Scripted(Scored((1.0,), RerankSkip.OUT_OF_TIME)), QUERY, ["a", "b"], AMPLE_MS)

    assert (outcome.scores, outcome.skipped) == ((), RerankSkip.OUT_OF_TIME)


def test_a_long_passage_is_cut_before_it_is_sent() -> None:
    scripted = Scripted(Scored((1.0, 2.0)))
    rerank(scripted, QUERY, ["a" * (MAX_PASSAGE_CHARS + 1), "b"], AMPLE_MS)

    assert [len(passage) for passage in scripted.asked] == [MAX_PASSAGE_CHARS, 1]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20), st.integers(0, 10))
def test_a_scored_head_is_in_order_and_the_rest_as_it_was(scores: list[float], unscored: int) -> None:
    candidates = list(range(len(scores) + unscored))

    order = reorder(candidates, RerankOutcome(tuple(scores)))

    head, rest = order[: len(scores)], order[len(scores) :]
    assert rest == candidates[len(scores) :]
    assert sorted(head) == candidates[: len(scores)]
    assert head == sorted(head, key=lambda i: (-scores[i], i))
