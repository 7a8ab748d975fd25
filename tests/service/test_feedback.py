"""Feedback: joined to the trace that it is about, checked against what was shown, and stored when it is answered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from ingestion.corpus.database import open_database
from ingestion.corpus.scope import TenantId
from ingestion.errors import Conflict, InvalidRequest, NotFound
from ingestion.settings import Settings
from service.api.models.feedback import FeedbackRequest
from service.ledger.database import migrate_ledger
from service.ledger.feedback import Feedback, FeedbackFilter, FeedbackRecord, Kind, Rating
from service.ledger.masking import Masker
from service.ledger.metrics import Metrics
from service.ledger.recording import open_recorder
from service.ledger.traces import Operation, Trace, Traces, write_traces
from service.settings import Content, LedgerSettings
from service.tracking.feedback import FeedbackTaker, GivenFeedback, Subject
from service.tracking.shown import shown
from tests.architecture.repository import REPO
from tests.service.feedback_parts import AT, TENANT, keep, passage, search_trace

ACME = TenantId(TENANT)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    engine = open_database(Settings(data_dir=tmp_path, database_url=url))
    migrate_ledger(engine)
    yield engine
    engine.dispose()


class Desk:
    """A taker over a ledger of its own, and what it left there."""

    def __init__(self, engine: Engine, stack: ExitStack, **ledger: Any) -> None:
        self.engine = engine
        chosen = LedgerSettings(**ledger)
        self.metrics = Metrics()
        self.recorder = stack.enter_context(open_recorder(engine, self.metrics, {Trace: write_traces}, chosen))
        self.feedback = Feedback(engine)
        masker = Masker(chosen, b"secret")
        self.taker = FeedbackTaker(self.feedback, Traces(engine), self.recorder, masker, self.metrics, chosen)

    def take(self, trace: Trace, **given_: Any) -> FeedbackRecord:
        return self.taker.take(ACME, GivenFeedback(Subject.QUERY, trace.id, **given_))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def desk(database: Engine, stack: ExitStack) -> Desk:
    return Desk(database, stack)


def answer_trace(**changes: Any) -> Trace:
    """An answer that cites its third and its first passage."""
    cited = [{"n": 1, "chunk_id": "c", "document": "key-c", "uri": "docs/c.md", "title": "c", "quote": "…"}]
    cited.append({"n": 2, "chunk_id": "a", "document": "key-a", "uri": "docs/a.md", "title": "a", "quote": "…"})
    body = {"citations": cited, "passages": [passage(name) for name in "abc"]}
    return replace(search_trace("a", "b", "c"), id="answer-1", operation=Operation.ANSWER, body=body, **changes)


def test_a_click_is_stored_with_the_rank_of_its_trace(desk: Desk) -> None:
    trace = search_trace("a", "b", "c")
    keep(desk.engine, trace)

    taken = desk.take(trace, kind=Kind.CLICK, chunk_id="b", key_id="k")

    assert (taken.rank, taken.kind, taken.key_id) == (2, "click", "k")
    assert desk.feedback.of_trace(ACME, trace.id) == (taken,)
    assert 'plumbline_feedback_total{kind="click",rating="none"} 1.0' in desk.metrics.exposition().decode()


def test_a_rank_that_is_given_is_checked(desk: Desk) -> None:
    trace = search_trace("a", "b", "c")
    keep(desk.engine, trace)

    assert desk.take(trace, kind=Kind.CLICK, chunk_id="c", rank=3).rank == 3
    with pytest.raises(InvalidRequest, match="shown at rank 3") as raised:
        desk.take(trace, kind=Kind.CLICK, chunk_id="c", rank=1)
    assert raised.value.pointer == "/rank"


def test_a_chunk_that_was_not_shown_is_refused_with_what_was(desk: Desk) -> None:
    trace, empty = search_trace(*"abcdefghijkl"), search_trace()
    keep(desk.engine, trace, empty)

    with pytest.raises(InvalidRequest, match="'zzz'; it showed a, b, c, d, e, f, g, h, i, j and 2 more") as raised:
        desk.take(trace, kind=Kind.CLICK, chunk_id="zzz")
    assert raised.value.pointer == "/chunk_id"
    with pytest.raises(InvalidRequest, match="it showed none"):
        desk.take(empty, kind=Kind.CLICK, chunk_id="a")
    assert desk.feedback.list(ACME).items == ()


def test_of_an_answer_the_sources_stand_before_what_else_was_found() -> None:
    assert [(one.chunk_id, one.rank) for one in shown(answer_trace())] == [("c", 1), ("a", 2), ("b", 3)]


def test_what_was_folded_into_a_hit_has_its_rank() -> None:
    folded = {"chunk_id": "b2", "document": "key-b2", "uri": "docs/b2.md", "title": "b2"}
    trace = search_trace("a", "b", "c")
    trace = replace(trace, body={"offset": 10, "passages": [passage("a"), passage("b", duplicates=[folded])]})

    assert [(one.chunk_id, one.rank, one.folded) for one in shown(trace)] == [
        ("a", 11, False),
        ("b", 12, False),
        ("b2", 12, True),
    ]


def test_feedback_finds_an_answer_by_its_id_and_by_its_query(desk: Desk) -> None:
    keep(desk.engine, answer_trace(query_id="query-1"))

    for subject, id_ in ((Subject.ANSWER, "answer-1"), (Subject.QUERY, "query-1")):
        desk.taker.take(ACME, GivenFeedback(subject, id_, Kind.RATING, rating=Rating.DOWN))

    assert [one.rating for one in desk.feedback.of_trace(ACME, "answer-1")] == ["down", "down"]
    assert 'plumbline_feedback_total{kind="rating",rating="down"} 2.0' in desk.metrics.exposition().decode()


def test_the_id_of_a_search_is_no_answer(desk: Desk) -> None:
    trace = search_trace("a")
    keep(desk.engine, trace)

    with pytest.raises(InvalidRequest, match="id of a search: give it as query_id") as raised:
        desk.taker.take(ACME, GivenFeedback(Subject.ANSWER, trace.id, Kind.RATING, rating=Rating.UP))
    assert raised.value.pointer == "/answer_id"


def test_a_trace_that_is_on_its_way_is_waited_for(database: Engine, stack: ExitStack) -> None:
    desk = Desk(database, stack, flush_ms=100)
    trace = search_trace("a", "b")
    desk.recorder.record(lambda: trace)

    assert desk.take(trace, kind=Kind.CLICK, chunk_id="b").rank == 2


def test_an_unknown_trace_says_why_it_may_be_gone(desk: Desk) -> None:
    with pytest.raises(NotFound, match=r"query_id .*older than 30 days.*dropped under load"):
        desk.take(search_trace("a"), kind=Kind.RATING, rating=Rating.UP)


def test_another_tenant_has_no_such_trace(desk: Desk) -> None:
    trace = search_trace("a", tenant="beta")
    keep(desk.engine, trace)

    with pytest.raises(NotFound):
        desk.take(trace, kind=Kind.RATING, rating=Rating.UP)


def test_without_traces_feedback_is_refused(database: Engine, stack: ExitStack) -> None:
    desk = Desk(database, stack, enabled=False)

    with pytest.raises(Conflict, match="PLUMBLINE_LEDGER__ENABLED"):
        desk.take(search_trace("a"), kind=Kind.RATING, rating=Rating.UP)


@pytest.mark.parametrize(
    ("content", "kept"), [(Content.KEEP, "ask [e-mail]"), (Content.HASH, None), (Content.DROP, None)]
)
def test_words_are_kept_as_the_settings_say(
    database: Engine, stack: ExitStack, content: Content, kept: str | None
) -> None:
    desk = Desk(database, stack, content=content)
    trace = answer_trace()
    keep(database, trace)

    desk.take(trace, kind=Kind.RATING, rating=Rating.DOWN, text="ask ada@example.org")

    (found,) = desk.feedback.of_trace(ACME, trace.id)
    assert (found.rating, found.text) == ("down", kept)


def test_a_list_pages_and_filters(database: Engine) -> None:
    feedback = Feedback(database)
    records = [
        FeedbackRecord(TENANT, f"t{number % 2}", Kind.RATING, rating=Rating.UP, at=AT + timedelta(seconds=number // 2))
        for number in range(7)
    ]
    for one in (
        *records,
        FeedbackRecord(TENANT, "t0", Kind.CORRECTION, text="x"),
        FeedbackRecord("beta", "t0", "click"),
    ):
        feedback.add(one)

    seen: list[FeedbackRecord] = []
    cursor = None
    while True:
        page = feedback.list(ACME, FeedbackFilter(kind=Kind.RATING), cursor=cursor, limit=3)
        assert len(page.items) <= 3
        seen += page.items
        if (cursor := page.next_cursor) is None:
            break

    assert seen == sorted(records, key=lambda one: (one.at, one.id), reverse=True)
    assert {one.trace_id for one in feedback.list(ACME, FeedbackFilter(trace_id="t1")).items} == {"t1"}
    within = FeedbackFilter(since=AT, until=AT + timedelta(seconds=1))
    assert set(feedback.list(ACME, within).items) == set(records[:2])
    assert feedback.list(TenantId("beta"), FeedbackFilter(rating=Rating.UP)).items == ()


OPTIONAL = {
    "query_id": st.none() | st.just("q"),
    "answer_id": st.none() | st.just("a"),
    "triage_id": st.none() | st.just("t"),
    "chunk_id": st.none() | st.just("c"),
    "rank": st.none() | st.integers(1, 9),
    "rating": st.none() | st.sampled_from(Rating),
    "text": st.none() | st.just("words"),
    "outcome": st.none() | st.just("resolved"),
}


@settings(max_examples=300, deadline=None)
@given(st.fixed_dictionaries({"kind": st.sampled_from(Kind), **OPTIONAL}))
def test_whatever_is_taken_has_one_subject_and_the_fields_of_its_kind(fields: dict[str, Any]) -> None:
    request = FeedbackRequest.model_validate(fields)
    try:
        taken = request.given_by("k")
    except InvalidRequest as error:
        refused = error.pointer
    else:
        refused = None
    if refused is not None:
        assert refused.removeprefix("/") in fields
        return

    assert [name for name in ("query_id", "answer_id", "triage_id") if fields[name]] == [taken.subject.value]
    assert fields[taken.subject.value] == taken.id
    assert (taken.rating is not None) == (taken.kind is Kind.RATING)
    assert (taken.outcome is not None) == (taken.kind is Kind.OUTCOME)
    assert taken.kind is not Kind.CLICK or (taken.chunk_id == "c" and taken.text is None)
    assert taken.kind is not Kind.CORRECTION or taken.text == "words"
    assert taken.rank is None or taken.chunk_id is not None


def test_the_examples_of_the_documentation_are_valid() -> None:
    page = (REPO / "docs" / "quality" / "feedback.md").read_text("utf-8")
    examples = re.findall(r"-d '(\{.*?\})'", page)

    kinds = [FeedbackRequest.model_validate_json(one).given_by(None).kind for one in examples]

    assert kinds == [Kind.CLICK, Kind.RATING, Kind.CORRECTION, Kind.OUTCOME]
