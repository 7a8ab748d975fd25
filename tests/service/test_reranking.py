"""Rerankers when things go wrong: budgets, models that are none, endpoints that are down, slow, rude or broken."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.corpus.embedders.resolution import WantedModel, resolve_files
from ingestion.errors import ModelIntegrityError, ModelUnavailable
from service.retrieval.reranking.cross_encoder import CrossEncoderReranker
from service.retrieval.reranking.endpoint import read_scores
from service.retrieval.reranking.opening import open_reranker
from service.retrieval.reranking.reranker import Reranker, RerankSkip, rerank
from service.retrieval.reranking.resting import FAILURES, MAX_PAUSE_S, PAUSE_S, Rest
from service.settings import RerankerSettings
from tests.cross_encoders import save_overlap_encoder
from tests.rerank_endpoint import KEY, MODEL, Endpoint, running_endpoint
from tests.servers import free_ports

WORDS = ("restart", "the", "gateway", "broker", "certificate", "expired")
QUERY = "restart the gateway"
PASSAGES = [f"passage {i} of the broker" for i in range(7)]
AMPLE_MS = 60_000.0
SHORT_MS = 300.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_overlap_encoder(tmp_path_factory.mktemp("encoder"), WORDS)


@pytest.fixture(scope="module")
def local(folder: Path) -> Iterator[Reranker]:
    with open_reranker(local_settings(folder), folder) as opened:
        yield opened


def local_settings(folder: Path, **changes: Any) -> RerankerSettings:
    return RerankerSettings.model_validate({"provider": "local", "model": str(folder), "batch_size": 2, **changes})


# --- the cross-encoder ---


def stepping(folder: Path) -> CrossEncoderReranker:
    """A cross-encoder whose clock goes one second further each time that it is asked."""
    ticks = count()
    return CrossEncoderReranker(
        resolve_files(WantedModel(str(folder)), folder), local_settings(folder), clock=lambda: float(next(ticks))
    )


@pytest.mark.parametrize(("deadline", "scored"), [(0.0, 0), (0.5, 2), (1.5, 2), (2.5, 4), (3.5, 6), (4.5, 7)])
def test_out_of_time_keeps_a_whole_head(folder: Path, local: Reranker, deadline: float, scored: int) -> None:
    """Each batch of two takes a second here: another one is begun only if as slow a one would end in time."""
    found = stepping(folder).score(QUERY, PASSAGES, deadline)

    assert len(found.values) == scored
    assert found.stopped is (None if scored == len(PASSAGES) else RerankSkip.OUT_OF_TIME)
    assert found.values == pytest.approx(local.score(QUERY, PASSAGES, 1e12).values[:scored], abs=1e-6)


def test_scores_stay_in_the_scale_of_the_model(folder: Path, local: Reranker, tmp_path: Path) -> None:
    raw_folder = save_overlap_encoder(tmp_path / "raw", WORDS, activation="Identity")
    with open_reranker(local_settings(raw_folder), tmp_path) as raw:
        logits = rerank(raw, QUERY, [QUERY, "nothing"], AMPLE_MS).scores
        assert not raw.probabilities
    chances = rerank(local, QUERY, [QUERY, "nothing"], AMPLE_MS).scores

    assert local.probabilities
    assert logits[0] > 1
    assert logits[1] < 0
    assert 1 > chances[0] > 0.8
    assert 0 < chances[1] < 0.2


def test_what_is_beyond_the_longest_input_is_not_read(folder: Path, tmp_path: Path) -> None:
    far = "filler " * 30 + "gateway"
    with open_reranker(local_settings(folder), tmp_path) as whole:
        assert whole.score("gateway", [far], 1e12).values[0] > 0.5
    with open_reranker(local_settings(folder, max_tokens=16), tmp_path) as short:
        assert short.score("gateway", [far], 1e12).values[0] < 0.5


def test_the_name_tells_the_weights(folder: Path, local: Reranker) -> None:
    label, _, identity = local.name.partition("@")

    assert label == folder.name
    assert resolve_files(WantedModel(str(folder)), folder).identity.startswith(identity)


def test_a_model_with_several_scores_is_refused(tmp_path: Path) -> None:
    folder = save_overlap_encoder(tmp_path, WORDS, labels=3)

    with pytest.raises(ModelUnavailable, match="3 numbers for a pair"), open_reranker(local_settings(folder), folder):
        pass


def test_a_folder_that_is_no_cross_encoder_is_refused(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (broken / "model.safetensors").write_bytes(b"not weights")

    for model in (broken, tmp_path):
        with (
            pytest.raises(ModelUnavailable, match="PLUMBLINE_RERANKER__MODEL"),
            open_reranker(local_settings(model), tmp_path),
        ):
            pass


def test_other_weights_than_expected_are_refused(folder: Path) -> None:
    settings = local_settings(folder, sha256="0" * 64)

    with pytest.raises(ModelIntegrityError, match="PLUMBLINE_RERANKER__SHA256"), open_reranker(settings, folder):
        pass


# --- the endpoint ---


@pytest.fixture
def served(local: Reranker) -> Iterator[Endpoint]:
    with running_endpoint(local) as endpoint:
        yield endpoint


@pytest.fixture
def remote(served: Endpoint) -> Iterator[Reranker]:
    settings = {"provider": "endpoint", "base_url": served.url, "model": MODEL, "api_key": KEY}
    with open_reranker(RerankerSettings.model_validate(settings), Path("unused")) as opened:
        yield opened


def reason(remote: Reranker, budget_ms: float = AMPLE_MS) -> RerankSkip | None:
    """Why nothing was reranked; in any case nothing was."""
    outcome = rerank(remote, QUERY, PASSAGES, budget_ms)
    assert not outcome.applied
    return outcome.skipped


def test_an_endpoint_gets_everything_in_one_request(served: Endpoint, remote: Reranker, local: Reranker) -> None:
    outcome = rerank(remote, QUERY, PASSAGES, AMPLE_MS)

    assert outcome.scores == pytest.approx(rerank(local, QUERY, PASSAGES, AMPLE_MS).scores, abs=1e-6)
    assert served.requests == [{"query": QUERY, "documents": PASSAGES, "top_n": len(PASSAGES), "model": MODEL}]


def test_the_dialect_is_learnt_once(served: Endpoint, remote: Reranker) -> None:
    served.speaks_tei = True

    assert rerank(remote, QUERY, PASSAGES, AMPLE_MS).applied
    assert rerank(remote, QUERY, PASSAGES, AMPLE_MS).applied
    assert ["texts" in request for request in served.requests] == [False, True, True]


def test_a_base_url_may_be_the_whole_address(served: Endpoint) -> None:
    settings = {"provider": "endpoint", "base_url": f"{served.url}/rerank/", "api_key": KEY}
    with open_reranker(RerankerSettings.model_validate(settings), Path("unused")) as opened:
        assert rerank(opened, QUERY, PASSAGES, AMPLE_MS).applied
    assert "model" not in served.requests[0]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (429, RerankSkip.RATE_LIMITED),
        (500, RerankSkip.SERVER_ERROR),
        (503, RerankSkip.SERVER_ERROR),
        (408, RerankSkip.SERVER_ERROR),
        (301, RerankSkip.REFUSED),
        (400, RerankSkip.REFUSED),
        (404, RerankSkip.REFUSED),
        (413, RerankSkip.REFUSED),
    ],
)
def test_a_status_is_a_reason(served: Endpoint, remote: Reranker, status: int, expected: RerankSkip) -> None:
    served.status = status

    assert reason(remote) is expected


def test_a_wrong_key_is_a_reason(served: Endpoint) -> None:
    settings = {"provider": "endpoint", "base_url": served.url, "api_key": "another"}
    with open_reranker(RerankerSettings.model_validate(settings), Path("unused")) as opened:
        assert reason(opened) is RerankSkip.REFUSED


ROWS = [{"index": i, "relevance_score": 0.5} for i in range(len(PASSAGES))]
MALFORMED = {
    "empty": b"",
    "no json": b"<html>gateway</html>",
    "not utf-8": b"\xff\xfe\x00",
    "a number": b"1",
    "null": b"null",
    "no results": b"{}",
    "results are no list": b'{"results": {"index": 0}}',
    "too few": json.dumps({"results": ROWS[:-1]}).encode(),
    "too many": json.dumps({"results": [*ROWS, {"index": 7, "relevance_score": 1}]}).encode(),
    "one twice": json.dumps({"results": [*ROWS[:-1], ROWS[0]]}).encode(),
    "index out of range": json.dumps([*ROWS[:-1], {"index": 99, "score": 1}]).encode(),
    "index below zero": json.dumps([*ROWS[:-1], {"index": -1, "score": 1}]).encode(),
    "index is true": json.dumps([{"index": True, "score": 1}, *ROWS[1:]]).encode(),
    "score is text": json.dumps([{"index": 0, "score": "high"}, *ROWS[1:]]).encode(),
    "score is null": json.dumps([{"index": 0, "score": None}, *ROWS[1:]]).encode(),
    "score is huge": json.dumps([{"index": 0, "score": 10**400}, *ROWS[1:]]).encode(),
    "rows are numbers": json.dumps([0.5] * len(PASSAGES)).encode(),
    "nested too deep": b"[" * 100_000,
    "far too long": b" " * 5_000_000,
}


@pytest.mark.parametrize("reply", MALFORMED)
def test_a_malformed_reply_is_a_reason(served: Endpoint, remote: Reranker, reply: str) -> None:
    served.raw = MALFORMED[reply]

    assert reason(remote) is RerankSkip.MALFORMED


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_score_that_is_no_number_is_a_reason(served: Endpoint, remote: Reranker, number: str) -> None:
    served.raw = json.dumps({"results": ROWS}).replace("0.5", number, 1).encode()

    assert reason(remote) is RerankSkip.NOT_FINITE


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=4)
                    | st.dictionaries(st.sampled_from(["index", "score", "relevance_score", "results", "data", "x"]),
                                      inner, max_size=4)))  # fmt: skip
def test_no_reply_gives_anything_but_scores_or_a_value_error(reply: object) -> None:
    try:
        scores = read_scores(json.dumps(reply).encode(), 2)
    except ValueError:
        return
    assert len(scores) == 2
    assert all(isinstance(score, float) for score in scores)


@pytest.mark.parametrize("fault", ["held", "drips"])
def test_a_slow_endpoint_ends_with_the_budget(served: Endpoint, remote: Reranker, fault: str) -> None:
    setattr(served, fault, True)

    assert reason(remote, SHORT_MS) is RerankSkip.OUT_OF_TIME
    assert len(served.requests) <= 1


def test_more_slow_calls_than_there_is_room_for_end_with_the_budget(served: Endpoint, remote: Reranker) -> None:
    served.held = True

    with ThreadPoolExecutor(24) as threads:
        reasons = set(threads.map(lambda _: reason(remote, SHORT_MS), range(24)))

    assert RerankSkip.OUT_OF_TIME in reasons
    assert reasons <= {RerankSkip.OUT_OF_TIME, RerankSkip.RESTING}


def test_an_endpoint_that_is_down_is_left_alone_after_a_few_failures() -> None:
    (port,) = free_ports(1)
    settings = {"provider": "endpoint", "base_url": f"http://127.0.0.1:{port}/v1"}
    with open_reranker(RerankerSettings.model_validate(settings), Path("unused")) as opened:
        reasons = [reason(opened) for _ in range(FAILURES + 1)]

    assert reasons == [RerankSkip.UNREACHABLE] * FAILURES + [RerankSkip.RESTING]


def test_an_endpoint_that_asks_to_wait_is_left_alone_at_once(served: Endpoint, remote: Reranker) -> None:
    served.status, served.retry_after = 429, "30"

    assert reason(remote) is RerankSkip.RATE_LIMITED
    assert reason(remote) is RerankSkip.RESTING
    assert len(served.requests) == 1


def test_a_refused_request_does_not_stop_others(served: Endpoint, remote: Reranker) -> None:
    served.status = 413
    for _ in range(FAILURES + 1):
        assert reason(remote) is RerankSkip.REFUSED
    served.status = 200

    assert rerank(remote, QUERY, PASSAGES, AMPLE_MS).applied


def test_a_rest_ends_by_itself_and_returns_after_one_failure() -> None:
    now = [100.0]
    rest = Rest(clock=lambda: now[0])
    for _ in range(FAILURES - 1):
        rest.count_failure()
    assert not rest.is_on()
    rest.count_failure()
    assert rest.is_on()
    now[0] += PAUSE_S
    assert not rest.is_on()
    rest.count_failure()
    assert rest.is_on()
    now[0] += PAUSE_S
    rest.end()
    rest.count_failure()
    assert not rest.is_on()
    rest.count_failure(asked_s=1e9)
    now[0] += MAX_PAUSE_S
    assert not rest.is_on()


# --- settings ---


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"provider": "local"}, "PLUMBLINE_RERANKER__MODEL"),
        ({"provider": "endpoint"}, "PLUMBLINE_RERANKER__BASE_URL"),
        ({"provider": "endpoint", "base_url": "ftp://x"}, "must begin with http"),
        ({"candidates": 1}, "candidates"),
        ({"budget_ms": 0}, "budget_ms"),
    ],
)
def test_settings_that_can_not_work_are_refused(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        RerankerSettings.model_validate(wrong)
