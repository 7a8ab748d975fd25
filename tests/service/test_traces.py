"""Traces are written whole, found by either id, and listed by what they have; only within their tenant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import Engine, insert

from ingestion.corpus.database import write_transaction
from ingestion.corpus.scope import TenantId
from ingestion.errors import InvalidRequest, NotFound
from ingestion.settings import Settings
from service.ledger.model_calls import ModelCall, write_model_calls
from service.ledger.tables import feedback, traces
from service.ledger.traces import Operation, Sort, Trace, TraceFilter, Traces, row_of, write_traces
from tests.service.ledger_parts import NOW, answer, open_ledger, search

ACME = TenantId("acme")


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    yield from open_ledger(Settings(data_dir=tmp_path))


@pytest.fixture
def postgres(tmp_path: Path, postgres_url: str) -> Iterator[Engine]:
    yield from open_ledger(Settings(data_dir=tmp_path, database_url=SecretStr(postgres_url)))


def write(engine: Engine, *records: Trace) -> None:
    with write_transaction(engine) as connection:
        write_traces(connection, records)


def complain(engine: Engine, trace: Trace, **values: str) -> None:
    row = {"id": trace.id, "tenant": trace.tenant, "trace_id": trace.id, "kind": "rating", "at": NOW, **values}
    with write_transaction(engine) as connection:
        connection.execute(insert(feedback).values(row))


def test_every_column_has_its_field() -> None:
    assert {column.name for column in traces.columns} == {field.name for field in fields(Trace)}


def _round_trip(engine: Engine) -> None:
    full = answer(
        key_id="k" * 16,
        query="How — ünïcode \U0001f600 %s ? :x",
        query_hash="h" * 64,
        legs_agree=False,
        cost_usd=0.25,
        prompt_tokens=7,
        documents=["d1", "d2"],
        body={"text": "100 % of `a\\b`", "n": [1, None, {"x": 0.5}]},
    )
    bare = Trace("t2", "q2", "acme", NOW, "search", "ok", 1.0)
    write(engine, full, bare)
    write(engine, full)  # as after a cut connection: it is not known whether the database took it
    reader = Traces(engine)
    assert reader.get(ACME, full.id) == full
    assert reader.get(ACME, full.query_id) == full
    assert reader.get(ACME, "t2") == replace(bare, documents=[])
    for tenant, id_ in ((TenantId("beta"), full.id), (ACME, "none")):
        with pytest.raises(NotFound):
            reader.get(tenant, id_)


def test_a_trace_comes_back_as_it_was_written(sqlite: Engine) -> None:
    _round_trip(sqlite)


@pytest.mark.postgres
def test_a_trace_comes_back_as_it_was_written_on_postgres(postgres: Engine) -> None:
    _round_trip(postgres)
    long = search(request_id="r" * 500, model="m" * 500, confidence=float("nan"))
    write(postgres, long)  # what does not fit is cut, and no trace is lost for it
    assert Traces(postgres).get(ACME, long.id).model == "m" * 200


@given(st.text(max_size=300))
def test_no_text_is_longer_than_its_column(text: str) -> None:
    row = dict(
        zip([field.name for field in fields(Trace)], row_of(search(model=text, outcome=text)).values, strict=True)
    )
    assert row["model"] == text[:200]
    assert row["outcome"] == text[:32]


def _lists(engine: Engine) -> None:
    made = [search(NOW - timedelta(minutes=n), id=f"t{n}", confidence=n / 10) for n in range(7)]
    write(engine, *made, search(tenant="beta"))
    reader = Traces(engine)
    for sort, expected in ((Sort.NEWEST, range(7)), (Sort.WORST, range(7))):
        ids: list[str] = []
        cursor = None
        while True:
            page = reader.list(ACME, sort=sort, cursor=cursor, limit=3)
            ids += [trace.id for trace in page.items]
            assert all(trace.body == {} for trace in page.items)
            if (cursor := page.next_cursor) is None:
                break
        assert ids == [f"t{n}" for n in expected]
    other = reader.list(ACME, limit=1).next_cursor
    for cursor, sort in (("nonsense", Sort.NEWEST), (other, Sort.WORST), ("WzEsMl0=", Sort.NEWEST)):
        with pytest.raises(InvalidRequest, match="cursor"):
            reader.list(ACME, sort=sort, cursor=cursor)
    within = TraceFilter(since=NOW - timedelta(minutes=3), until=NOW)
    assert [trace.id for trace in reader.list(ACME, within).items] == ["t1", "t2", "t3"]


def test_lists_page_to_their_end(sqlite: Engine) -> None:
    _lists(sqlite)


@pytest.mark.postgres
def test_lists_page_to_their_end_on_postgres(postgres: Engine) -> None:
    _lists(postgres)


def _worst(engine: Engine) -> None:
    fine = answer(id="fine", grounding_score=0.9, confidence=0.2)
    liked, disliked, corrected = (replace(fine, id=name, query_id=name) for name in ("liked", "disliked", "corrected"))
    made = (
        fine,
        search(NOW - timedelta(hours=1), id="weak", confidence=0.3),
        answer(id="loose", grounding_score=0.4),
        search(id="failed", confidence=None, outcome="backend_unavailable"),
        liked,
        replace(disliked, grounding_score=0.95),
        corrected,
    )
    write(engine, *made)
    complain(engine, liked, rating="up")
    complain(engine, disliked, rating="down")
    complain(engine, corrected, kind="correction")
    found = [trace.id for trace in Traces(engine).list(ACME, sort=Sort.WORST, limit=5).items]
    assert found == ["corrected", "disliked", "failed", "weak", "loose"]


def test_the_worst_come_first(sqlite: Engine) -> None:
    _worst(sqlite)


@pytest.mark.postgres
def test_the_worst_come_first_on_postgres(postgres: Engine) -> None:
    _worst(postgres)


@pytest.mark.parametrize(
    "name", ["outcome", "relevance", "grounding", "collection", "model", "prompt_version", "query_hash"]
)
def test_a_filter_takes_what_has_the_value(sqlite: Engine, name: str) -> None:
    write(sqlite, answer(id="yes", **{name: "x"}), answer(id="no", **{name: "y"}))
    assert [trace.id for trace in Traces(sqlite).list(ACME, TraceFilter(**{name: "x"})).items] == ["yes"]


def test_a_filter_by_operation(sqlite: Engine) -> None:
    write(sqlite, answer(id="yes"), search(id="no"))
    assert [one.id for one in Traces(sqlite).list(ACME, TraceFilter(operation=Operation.ANSWER)).items] == ["yes"]


def test_calls_belong_to_an_answer(sqlite: Engine) -> None:
    asked = answer()
    call = ModelCall("acme", asked.id, "answer", "fast", "m", None, "ok", 1, 1, False, None, 1.0)
    with write_transaction(sqlite) as connection:
        write_model_calls(connection, [call, replace(call, id="other", tenant="beta")])
    assert Traces(sqlite).calls(ACME, asked) == [call]
    assert not Traces(sqlite).calls(ACME, search(id=asked.id))
