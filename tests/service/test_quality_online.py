"""Signals of a window of the ledger: counted on both databases, beside the window before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, event

from ingestion.corpus.database import open_database
from ingestion.corpus.scope import TenantId
from ingestion.errors import InvalidRequest
from ingestion.settings import Settings
from service.api.models.quality import QualityResponse, SeriesResponse
from service.ledger.database import migrate_ledger
from service.ledger.tallies import MOST_ROWS, Slice, sampled_scores, searches, tallies, tenants, written
from service.quality.online.comparing import Figure
from service.quality.online.report import Quality, quality
from service.quality.online.series import series
from service.quality.windows import length_of, slice_of
from service.settings import SignalSettings
from tests.service.http_parts import Keyed, pointers, problem
from tests.service.ledger_parts import NOW, answer, call, keep, refusal, say, search

ACME = TenantId("acme")
HOUR = timedelta(hours=1)
THEN = NOW - 6 * HOUR
EARLIER = NOW - 30 * HOUR
DAY = Slice(NOW - timedelta(days=1), NOW, ACME)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    address = SecretStr(request.getfixturevalue("postgres_url")) if request.param == "postgres" else None
    engine = open_database(Settings(data_dir=tmp_path, database_url=address))
    migrate_ledger(engine)
    yield engine
    engine.dispose()


def look(engine: Engine, about: Slice = DAY, **settings: Any) -> Quality:
    return quality(engine, about, SignalSettings(**settings))


@pytest.fixture
def busy(database: Engine) -> Quality:
    """A day with a bit of everything."""
    clicked, other = search(THEN), search(THEN, legs_agree=False, relevance="weak")
    keep(
        database,
        [
            *(clicked, other),
            search(THEN, hits=0, relevance="none", confidence=0.1, top_score=0.0, legs_agree=None),
            # A page past the last hit is no search without a result.
            search(THEN, hits=0),
            search(THEN, outcome="backend_unavailable", hits=0, relevance=None, confidence=None, legs_agree=None),
            answer(THEN),
            answer(THEN, grounding="partial", unsupported=1, sentences=5, citation_precision=0.5),
            answer(THEN, degraded="timeout", model=None, prompt_version=None),
            refusal(THEN),
            answer(THEN, outcome="closed", grounding=None, sentences=None, unsupported=None, citation_precision=None),
            *(search(EARLIER), answer(EARLIER), refusal(EARLIER, "unsafe")),
            *(search(NOW), search(EARLIER - 30 * HOUR), search(THEN, tenant="beta")),
        ],
        [
            *(call(THEN), call(THEN, purpose="repair"), call(THEN, outcome="timeout", completion_tokens=None)),
            call(THEN, model="unpriced", cost_usd=None),
            *(call(EARLIER), call(THEN, tenant="beta")),
        ],
        [
            *(say(clicked, "click", THEN, rank=rank, chunk_id=f"c{rank}") for rank in (2, 3)),
            say(other, "click", THEN, rank=1, chunk_id="c1"),
            *(say(other, "rating", THEN, rating="down"), say(other, "outcome", EARLIER, outcome="resolved")),
        ],
    )

    return look(database)


def test_counts_beside_the_window_before(busy: Quality) -> None:
    assert {name: (pair.now, pair.before) for name, pair in busy.counts.items()} == {
        "queries": (10, 3),
        "failed": (1, 0),
        "answers": (4, 2),
        "clicks": (3, 0),
        "model_calls": (4, 1),
        "unpriced_calls": (1, 0),
        "prompt_tokens": (4000, 1000),
        "completion_tokens": (300, 100),
    }
    assert {(one.kind, one.value): (one.now, one.before) for one in busy.feedback} == {
        ("click", None): (3, 0),
        ("rating", "down"): (1, 0),
        ("outcome", "resolved"): (0, 1),
    }


def test_rates_beside_the_window_before(busy: Quality) -> None:
    rates = busy.rates
    assert rates["failed_rate"] == Figure(0.1, 0.0, 10, 3)
    assert rates["zero_result_rate"] == Figure(1 / 9, 0.0, 9, 3)
    assert rates["weak_relevance_rate"] == Figure(1 / 9, 0.0, 9, 3)
    assert rates["no_relevance_rate"] == Figure(1 / 9, 0.0, 9, 3)
    assert rates["legs_disagree_rate"] == Figure(1 / 8, 0.0, 8, 3)
    assert rates["refusal_rate"] == Figure(1 / 4, 1 / 2, 4, 2)
    assert rates["degraded_rate"] == Figure(1 / 4, 0.0, 4, 2)
    assert rates["grounded_rate"] == Figure(2 / 3, 1.0, 3, 1)
    assert rates["unsupported_sentence_rate"] == Figure(1 / 11, 0.0, 11, 3)
    assert rates["citation_precision"] == Figure(pytest.approx(2.5 / 3), 1.0, 3, 1)
    assert rates["click_mrr"] == Figure(0.75, None, 2, 0)
    assert rates["confidence_drift"].now is None, "too few searches for a figure"
    assert busy.refusals == {"nothing_relevant": Figure(1 / 4, 0.0, 4, 2), "unsafe": Figure(0.0, 1 / 2, 4, 2)}
    assert busy.degraded == {"timeout": Figure(1 / 4, 0.0, 4, 2)}


def test_what_each_model_did_with_each_prompt(busy: Quality) -> None:
    assert (busy.cost_usd.now, busy.cost_usd.before) == (pytest.approx(0.03), 0.01)
    assert [(one.model, one.prompt_version) for one in busy.models] == [
        ("m", "answer@3"),
        ("unpriced", "answer@3"),
        (None, None),
    ]
    mine = busy.models[0].now
    assert (mine.calls, mine.failed_calls, mine.answers) == (3, 1, 2)
    assert mine.unsupported_sentence_rate == 1 / 8
    assert busy.models[1].now.cost_usd is None


def test_a_window_without_anything_claims_nothing(database: Engine) -> None:
    found = look(database)

    assert all(figure.now is None and figure.now_over == 0 for figure in found.rates.values())
    assert found.cost_usd.now is None
    assert (list(found.latency), list(found.models), list(found.findings)) == ([], [], [])
    QualityResponse.of(found, "24h")


def test_a_collection_of_its_own(database: Engine) -> None:
    here, elsewhere = answer(THEN), answer(THEN, collection="policies", unsupported=3)
    keep(
        database,
        [here, elsewhere],
        [call(THEN, answer_id=here.id), call(THEN, answer_id=elsewhere.id, prompt_tokens=7)],
        [say(here, "rating", THEN, rating="up"), say(elsewhere, "rating", THEN, rating="down")],
    )

    found = look(database, Slice(DAY.since, DAY.until, ACME, "policies"))

    assert found.counts["queries"].now == 1
    assert found.counts["prompt_tokens"].now == 7
    assert found.rates["unsupported_sentence_rate"].now == 1.0
    assert [(one.value, one.now) for one in found.feedback] == [("down", 1)]


def test_percentiles_of_every_stage(database: Engine) -> None:
    keep(database, [search(THEN, total_ms=float(n), timings={"embed": n / 2, "total": float(n)}) for n in range(101)])

    found = look(database)

    told = {(one.operation, one.stage): (one.p50_ms.now, one.p95_ms.now, one.now_over) for one in found.latency}
    assert told == {("search", "total"): (50.0, 95.0, 101), ("search", "embed"): (25.0, 47.5, 101)}
    assert not found.sampled


def test_percentiles_of_many_are_of_a_random_part(database: Engine) -> None:
    rows = MOST_ROWS + 2_000
    keep(database, [search(THEN, total_ms=float(n % 100), timings={}) for n in range(rows)])

    found = look(database)

    (total,) = found.latency
    assert found.sampled
    assert MOST_ROWS * 0.95 < total.now_over <= MOST_ROWS
    assert total.p50_ms.now == pytest.approx(49.5, abs=3)
    assert found.counts["queries"].now == rows, "counts are of all"


def test_a_series_adds_up_to_its_window(database: Engine) -> None:
    traces = [search(NOW - n * timedelta(minutes=13, seconds=0.7), total_ms=float(n)) for n in range(1, 101)]
    refused = [refusal(THEN), refusal(THEN, "unsafe"), refusal(THEN, "unsafe", degraded="timeout")]
    late = answer(NOW - HOUR, degraded="timeout")
    calls = [call(THEN), call(NOW - HOUR, cost_usd=None)]
    keep(database, [*traces, answer(THEN, unsupported=1), *refused, late], calls)

    found = SeriesResponse.of(series(database, DAY, 24), "24h")

    assert len(found.points) == 24
    assert found.points[0].at == DAY.since
    assert sum(point.queries for point in found.points) == 105
    last = found.points[-1]
    assert last.operations == {"search": 4, "answer": 1}, "the last hour holds four of those that come every 13 minutes"
    assert (last.refusals, last.degradations) == ({}, {"timeout": 1})
    assert found.points[-1].latency["search"].p50_ms == 2.5
    busy, _ = (point for point in found.points if point.answers)
    assert busy.at == THEN
    assert busy.refusals == {"nothing_relevant": 1, "unsafe": 2}
    assert busy.degradations == {"timeout": 1}
    assert [(one.model, one.calls, one.cost_usd) for one in busy.models] == [(call(THEN).model, 1, 0.01)]
    assert (busy.unsupported, busy.sentences, busy.cost_usd, busy.citation_precision) == (1, 3, 0.01, 1.0)
    assert [point.prompt_tokens for point in found.points if point.model_calls] == [1000, 1000]


def test_what_is_worth_a_look(database: Engine) -> None:
    keep(
        database,
        [
            *(search(EARLIER, relevance="weak" if n % 10 == 0 else "strong") for n in range(200)),
            *(search(THEN, relevance="weak" if n % 3 == 0 else "strong") for n in range(200)),
            *(answer(THEN, degraded="timeout" if n % 2 else None) for n in range(40)),
        ],
    )

    found = look(database)

    assert [one.signal for one in found.findings] == ["weak_relevance_rate", "degraded"]
    assert "10.0% before" in found.findings[0].detail


def test_the_running_second_is_part_of_the_window() -> None:
    about = slice_of("24h", NOW + timedelta(microseconds=5), ACME)

    assert about.since < NOW < about.until
    assert about.seconds == 86_400


@pytest.mark.parametrize(("window", "length"), [("15m", HOUR / 4), ("24h", 24 * HOUR), ("90d", timedelta(days=90))])
def test_windows(window: str, length: timedelta) -> None:
    assert length_of(window) == length


@pytest.mark.parametrize("window", ["", "0h", "24", "h", "91d", "-1h", "1.5h", "24 h", "9999999d", "\uff11h", "24h\n"])
def test_windows_that_are_none(window: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        length_of(window)

    assert raised.value.pointer == "/window"


def test_over_http(client: httpx.Client) -> None:
    client.post("/v1/search", json={"query": "gateway 502"}).raise_for_status()

    found = client.get("/v1/quality", params={"window": "1h"})
    over_time = client.get("/v1/quality/series", params={"window": "1h", "buckets": 4})

    assert found.status_code == over_time.status_code == 200
    assert found.json()["zero_result_rate"].keys() == {"now", "before", "now_over", "before_over"}
    assert len(over_time.json()["points"]) == 4
    for path, parameters, pointer in (
        ("/v1/quality", {"window": "tomorrow"}, "/window"),
        ("/v1/quality", {"until": "now"}, "/until"),
        ("/v1/quality/series", {"buckets": 0}, "/buckets"),
    ):
        assert pointers(problem(client.get(path, params=parameters), 422, "invalid_request")) == [pointer]


def test_only_for_the_tenant_s_admin(keyed: Keyed) -> None:
    with keyed.client("reader") as reader, keyed.client("admin") as admin, keyed.client(None) as nobody:
        problem(reader.get("/v1/quality"), 403, "forbidden")
        problem(reader.get("/v1/quality/series"), 403, "forbidden")
        problem(nobody.get("/v1/quality"), 401, "unauthenticated")
        assert admin.get("/v1/quality").status_code == 200


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_counting_reads_no_bodies(database: Engine) -> None:
    """A body fills a page; a million of them are not to be read for a count. Postgres keeps them apart anyhow."""
    asked: list[tuple[str, Any]] = []
    event.listen(database, "before_cursor_execute", lambda *call: asked.append((call[2], call[3])))
    with database.connect() as connection:
        tallies(connection, DAY)
        tallies(connection, DAY, 24)
        written(connection, DAY)
        searches(connection, DAY)
        sampled_scores(connection, DAY, 1_000_000)
        tenants(connection, Slice(DAY.since, DAY.until))
        plans = [
            [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
            for statement, values in asked.copy()
            if statement.startswith("SELECT")
        ]

    assert len(plans) == 6
    for plan in plans:
        assert "USING COVERING INDEX ix_traces_" in plan[0], plan
