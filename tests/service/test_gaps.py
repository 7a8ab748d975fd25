"""Gaps: which questions failed, which belong together, and what an author is told about them."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sqlalchemy import Engine, insert
from typer.testing import CliRunner

from ingestion.corpus.database import open_database
from ingestion.corpus.scope import TenantId
from ingestion.errors import InvalidRequest
from service.app import app_for
from service.cli import app as commands
from service.ledger.database import migrate_ledger
from service.ledger.tables import feedback
from service.quality.knowledge import gaps as gaps_module
from service.quality.knowledge.clustering import central, clusters_of
from service.quality.knowledge.gaps import find_gaps
from service.quality.knowledge.questions import Reason, failed_questions
from service.quality.windows import window_of
from service.runtime import open_runtime
from service.settings import ServiceSettings
from service.tracking.recent import Recent
from tests.ingestion.corpora import SCOPE, Bench, open_bench, settings_for
from tests.service.http_parts import Keyed, command_environment, problem
from tests.service.http_parts import settings_for as service_settings_for
from tests.service.knowledge_parts import NOW, WEEK, keep, trace
from tests.service.search_corpus import DOCUMENTS

TENANT = TenantId("default")
UNKNOWN = "How do I rotate the TLS certificates of the ingress?"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    database = open_database(ServiceSettings(data_dir=tmp_path))
    migrate_ledger(database)
    yield database
    database.dispose()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Bench]:
    with open_bench(settings_for(tmp_path_factory.mktemp("gaps"), models_dir)) as opened:
        opened.ingest(*DOCUMENTS)
        migrate_ledger(opened.corpus.database)
        yield opened


# Windows


@pytest.mark.parametrize(
    ("text", "length"), [("24h", timedelta(hours=24)), ("7d", timedelta(7)), ("4w", timedelta(28))]
)
def test_a_window_ends_now(text: str, length: timedelta) -> None:
    window = window_of(text, NOW)

    assert window.end == NOW
    assert window.end - window.start == length


@pytest.mark.parametrize("text", ["", "7", "0d", "7y", "-1d", "7 d", "99999d", "7d\n"])
def test_what_is_no_window_is_said_to_be_none(text: str) -> None:
    with pytest.raises(InvalidRequest, match="24h, 7d or 4w"):
        window_of(text, NOW)


# Which questions failed


def _reasons(engine: Engine) -> list[set[Reason]]:
    found = failed_questions(engine, TENANT, WEEK)
    return [set(failure.reasons) for question in found.questions for failure in question.failures]


def _failing() -> list[tuple[dict[str, object], set[Reason]]]:
    return [
        ({"relevance": "none"}, {Reason.NOTHING_RELEVANT}),
        ({"relevance": "weak"}, {Reason.WEAK}),
        ({"operation": "answer", "refusal": "not_in_sources", "outcome": "refused"}, {Reason.REFUSED}),
        ({"operation": "answer", "grounding": "partial"}, {Reason.UNGROUNDED}),
        ({"operation": "answer", "grounding": "grounded", "unsupported": 1}, {Reason.UNGROUNDED}),
        (
            {"operation": "answer", "relevance": "none", "refusal": "nothing_relevant"},
            {Reason.NOTHING_RELEVANT, Reason.REFUSED},
        ),
    ]


@pytest.mark.parametrize(("values", "reasons"), _failing())
def test_what_went_wrong_is_read_off_the_trace(engine: Engine, values: dict[str, object], reasons: set[Reason]) -> None:
    keep(engine, [trace("how?", **values), trace("fine?")])

    assert _reasons(engine) == [reasons]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"operation": "answer", "grounding": "grounded", "unsupported": 0},
        {"operation": "answer", "refusal": "unsafe", "outcome": "refused"},
        {"relevance": None, "outcome": "backend_unavailable"},
        {"relevance": "none", "tenant": "other"},
        {"relevance": "none", "hours_ago": 8 * 24},
        {"relevance": "none", "hours_ago": -1},
    ],
)
def test_what_went_well_or_is_not_asked_for_is_left_out(engine: Engine, values: dict[str, object]) -> None:
    keep(engine, [trace("how?", **values)])

    assert failed_questions(engine, TENANT, WEEK).questions == ()


def _feedback(engine: Engine, about: str, tenant: str = "default", **values: object) -> None:
    row = {"id": str(uuid.uuid4()), "tenant": tenant, "trace_id": about, "at": NOW, **values}
    with engine.begin() as connection:
        connection.execute(insert(feedback), [row])


def test_an_answer_that_people_rejected_failed(engine: Engine) -> None:
    down, corrected, up, foreign = (trace(name, operation="answer") for name in ("a", "b", "c", "d"))
    keep(engine, [down, corrected, up, foreign])
    _feedback(engine, down.id, kind="rating", rating="down")
    _feedback(engine, corrected.query_id, kind="correction", text="it is 30 days")
    _feedback(engine, up.id, kind="rating", rating="up")
    _feedback(engine, foreign.id, "other", kind="rating", rating="down")

    found = failed_questions(engine, TENANT, WEEK)

    assert {question.text for question in found.questions} == {"a", "b"}
    assert {reason for question in found.questions for reason in question.failures[0].reasons} == {Reason.REJECTED}


def test_equal_questions_are_one_and_the_most_frequent_comes_first(engine: Engine) -> None:
    often = [trace("Reset MFA", relevance="none", hours_ago=age) for age in (1, 2, 3)]
    keep(engine, [trace("rare", relevance="none"), *often, trace("fine")])

    found = failed_questions(engine, TENANT, WEEK)

    assert [(question.text, len(question.failures)) for question in found.questions] == [("Reset MFA", 3), ("rare", 1)]
    assert [failure.trace_id for failure in found.questions[0].failures] == [one.id for one in often]
    assert (found.asked, found.failed, found.complete) == (5, 4, True)


def test_questions_without_words_are_counted_and_in_no_group(engine: Engine) -> None:
    keep(
        engine,
        [
            trace(None, relevance="none", query_hash="1" * 64),
            trace(" ", relevance="none"),
            trace("one", relevance="none"),
        ],
    )

    found = failed_questions(engine, TENANT, WEEK)

    assert [question.text for question in found.questions] == ["one"]
    assert (found.failed, found.without_words) == (3, 2)


def test_too_many_failures_are_cut_and_it_is_said(engine: Engine) -> None:
    keep(engine, [trace(f"question {n}", relevance="none", hours_ago=n + 1) for n in range(5)])

    found = failed_questions(engine, TENANT, WEEK, most=3)

    assert sorted(question.text for question in found.questions) == ["question 0", "question 1", "question 2"]
    assert (found.failed, found.complete) == (5, False)


def test_a_collection_has_its_own(engine: Engine) -> None:
    keep(engine, [trace("here", relevance="none", collection="ops"), trace("there", relevance="none")])

    assert [one.text for one in failed_questions(engine, TENANT, WEEK, "ops").questions] == ["here"]


@pytest.mark.postgres
def test_postgres_says_the_same(postgres_url: str, engine: Engine, tmp_path: Path) -> None:
    kept = [
        trace(f"question {n % 3}", hours_ago=n + 1, documents=["key"], **values)
        for n, (values, _) in enumerate(_failing())
    ]
    postgres = open_database(ServiceSettings(data_dir=tmp_path, database_url=postgres_url))
    try:
        migrate_ledger(postgres)
        for database in (engine, postgres):
            keep(database, kept)
            _feedback(database, kept[0].id, kind="rating", rating="down")
        assert failed_questions(postgres, TENANT, WEEK) == failed_questions(engine, TENANT, WEEK)
    finally:
        postgres.dispose()


# Groups


@given(
    arrays.arrays(np.float32, st.tuples(st.integers(0, 12), st.just(4)), elements=st.floats(-1, 1, width=32)),
    st.floats(-1, 1),
)
def test_every_row_is_in_one_group_and_groups_hold_together(raw: np.ndarray, threshold: float) -> None:
    vectors = raw + np.float32(1e-3)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)

    groups = clusters_of(vectors, threshold)

    assert sorted(row for group in groups for row in group) == list(range(len(vectors)))
    cosines = vectors @ vectors.T
    for at, one in enumerate(groups):
        for other in groups[at + 1 :]:
            assert cosines[np.ix_(one, other)].mean() < threshold + 1e-4


def test_groups_are_those_of_a_library() -> None:
    from sklearn.cluster import AgglomerativeClustering

    drawn = np.random.default_rng(7)
    vectors = drawn.normal(size=(200, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    library = AgglomerativeClustering(None, metric="cosine", linkage="average", distance_threshold=0.4).fit(vectors)

    groups = clusters_of(vectors, 0.6)

    expected = [frozenset(np.flatnonzero(library.labels_ == label).tolist()) for label in set(library.labels_)]
    assert {frozenset(group) for group in groups} == set(expected)
    assert 10 < len(groups) < 190


def test_the_central_row_is_near_to_the_others() -> None:
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], dtype=np.float32)

    assert central(vectors, np.ones(3, dtype=np.float32)) == 1
    assert central(vectors, np.array([9, 1, 1], dtype=np.float32)) == 0


# What is told


def test_gaps_name_the_question_the_askers_and_the_nearest_documents(bench: Bench) -> None:
    gateway, billing = (bench.corpus.get_document(SCOPE, name).key for name in ("gateway", "billing"))  # type: ignore[arg-type]
    window = window_of("1d", datetime(2026, 1, 2, tzinfo=UTC))
    times = iter(window.end - timedelta(minutes=minute) for minute in range(1, 60))
    asked = [
        (UNKNOWN, {"relevance": "none", "key_id": "k1", "documents": [gateway, "gone"]}),
        (UNKNOWN, {"relevance": "none", "key_id": "k2", "documents": [gateway, billing]}),
        ("how to rotate TLS certificates of the ingress", {"relevance": "weak", "documents": [gateway]}),
        ("Where can I park my bicycle?", {"relevance": "none"}),
    ]
    kept = [trace(text, at=next(times), **values) for text, values in asked]  # type: ignore[arg-type]
    keep(bench.corpus.database, kept)

    report = find_gaps(bench.corpus, SCOPE, window)

    tls, bicycle = report.gaps
    assert (tls.label, tls.count, tls.questions, tls.askers) == (UNKNOWN, 3, 2, 2)
    assert tls.shares == {Reason.NOTHING_RELEVANT: 2 / 3, Reason.WEAK: 1 / 3}
    assert (tls.last_seen, tls.first_seen) == (kept[0].at, kept[2].at)
    assert [one.trace_id for one in tls.examples] == [kept[0].id, kept[2].id]
    assert tls.trace_ids == tuple(one.id for one in kept[:3])
    assert [(one.document.id, one.shown) for one in tls.nearest] == [("gateway", 3), ("billing", 1)]
    assert (bicycle.count, bicycle.askers, bicycle.nearest) == (1, None, ())
    assert (report.asked, report.failed, report.complete) == (4, 4, True)


def test_documents_beyond_the_scope_are_not_named(bench: Bench) -> None:
    window = window_of("1d", datetime(2025, 1, 2, tzinfo=UTC))
    key = bench.corpus.get_document(SCOPE, "gateway").key  # type: ignore[arg-type]
    lost = trace(UNKNOWN, at=window.end - timedelta(hours=1), relevance="none", documents=[key], tenant="other")
    keep(bench.corpus.database, [lost])

    report = find_gaps(bench.corpus, type(SCOPE)(TenantId("other")), window)

    assert [gap.nearest for gap in report.gaps] == [()]


def test_more_questions_than_are_compared_are_said(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaps_module, "MAX_QUESTIONS", 2)
    window = window_of("1d", datetime(2024, 1, 2, tzinfo=UTC))
    at = window.end - timedelta(hours=1)
    names = ("parking", "parking", "lunch menu", "quantum physics")
    keep(bench.corpus.database, [trace(name, at=at, relevance="none") for name in names])

    report = find_gaps(bench.corpus, SCOPE, window)

    assert (report.questions, report.compared, report.complete) == (3, 2, False)
    assert report.gaps[0].label == "parking"


def test_a_long_log_has_a_short_label(bench: Bench) -> None:
    window = window_of("1d", datetime(2023, 1, 2, tzinfo=UTC))
    keep(bench.corpus.database, [trace("stack " * 9_000, at=window.end - timedelta(hours=1), relevance="none")])

    [gap] = find_gaps(bench.corpus, SCOPE, window).gaps

    assert len(gap.label) == 300
    assert gap.label.endswith("\u2026")


# Kept for a while


def test_a_report_is_made_again_when_its_time_is_over() -> None:
    now, made = [0.0], iter(range(9))
    recent = Recent(10, clock=lambda: now[0])

    assert [recent.get("a", lambda: next(made)) for now[0] in (0, 9, 11, 12)] == [0, 0, 1, 1]
    assert recent.get("b", lambda: next(made)) == 2


def test_a_report_that_failed_is_not_kept() -> None:
    recent = Recent()

    def fail() -> int:
        raise InvalidRequest("no")

    with pytest.raises(InvalidRequest):
        recent.get("a", fail)
    assert recent.get("a", lambda: 1) == 1


# At the edges


def test_only_admins_see_gaps(keyed: Keyed) -> None:
    with keyed.client("reader") as client:
        problem(client.get("/v1/quality/gaps"), 403, "forbidden")
    with keyed.client("admin") as client:
        problem(client.get("/v1/quality/gaps", params={"window": "soon"}), 422, "invalid_request")
        problem(client.get("/v1/quality/gaps", params={"limit": 101}), 422, "invalid_request")


def test_the_api_pages_and_the_command_shows_the_same(tmp_path: Path, models_dir: Path) -> None:
    settings = service_settings_for(tmp_path / "data", models_dir)
    recently = datetime.now(UTC) - timedelta(minutes=5)

    async def use() -> list[httpx.Response]:
        async with open_runtime(settings) as runtime:
            names = ("parking [bicycle]", "parking [bicycle]", "quantum physics")
            keep(runtime.corpus.database, [trace(name, at=recently, relevance="none") for name in names])
            app = app_for(runtime)

            async def with_state(scope, receive, send):  # type: ignore[no-untyped-def]
                await app({**scope, "state": {"runtime": runtime}}, receive, send)

            transport = httpx.ASGITransport(with_state, client=("127.0.0.1", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                first = await client.get("/v1/quality/gaps", params={"limit": 1})
                cursor = first.json()["next_cursor"]
                return [first, await client.get("/v1/quality/gaps", params={"limit": 1, "cursor": cursor})]

    first, second = asyncio.run(use())
    variables = command_environment(tmp_path / "data", models_dir)
    shown = CliRunner().invoke(commands, ["gaps"], env=variables)
    printed = CliRunner().invoke(commands, ["gaps", "--json", "--window", "24h"], env=variables)

    assert first.status_code == second.status_code == 200
    assert [page.json()["gaps"][0]["label"] for page in (first, second)] == ["parking [bicycle]", "quantum physics"]
    assert second.json()["next_cursor"] is None
    assert first.json()["total"] == 2
    assert shown.exit_code == 0, shown.output
    assert "parking [bicycle]" in shown.output
    assert "3 of 3 operations failed (100%); 2 gaps" in shown.output
    assert json.loads(printed.stdout)["gaps"][0]["count"] == 2
