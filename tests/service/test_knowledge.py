"""Knowledge health: which sentences contradict each other and which only differ; documents that are old or lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ingestion.corpus.records import DocumentKey, IndexedChunk
from ingestion.corpus.scope import Scope, TenantId
from service.cli import app as commands
from service.generation.checking.evidence import Reader
from service.ledger.database import migrate_ledger
from service.quality.knowledge import contradictions as contradictions_module
from service.quality.knowledge.contradictions import Contradictions, find_contradictions
from service.quality.knowledge.health import HealthReport, contradictions_among, examine_knowledge, shown_in
from service.quality.knowledge.inventory import take_inventory
from service.quality.knowledge.statements import Reading, conflict_of
from service.quality.windows import Window
from tests.ingestion.corpora import SCOPE, Bench, markdown, open_bench, settings_for
from tests.service.http_parts import Keyed, command_environment, problem
from tests.service.knowledge_parts import WEEK, keep, trace
from tests.service.retrieval_parts import chunk_of, document_of

READER = Reader()
DRAIN = "The gateway waits 120 seconds for open requests before an instance stops."


def _reading(text: str, title: str = "Gateway 502", heading: str = "Restart", name: str = "a") -> Reading:
    chunk = IndexedChunk(DocumentKey(name), chunk_of(text, 0, (heading,)), document_of(name, title=title))  # type: ignore[arg-type]
    return Reading(READER, chunk)


def _told(one: Reading, other: Reading) -> list[tuple[str, str]]:
    found = [conflict_of(said, meant) for said in one.statements for meant in other.statements]
    return [(each.one, each.other) for each in found if each is not None]


@pytest.mark.parametrize(
    ("said", "meant", "facts"),
    [
        (DRAIN, DRAIN.replace("120", "60"), ("120 seconds", "60 seconds")),
        (
            DRAIN,
            "Our gateway waits 60 seconds for open requests before the instance stops.",
            ("120 seconds", "60 seconds"),
        ),
        (
            "Restart it with `tw deploy restart --drain 120`.",
            "Restart it with `tw deploy restart --drain 60`.",
            ("120", "60"),
        ),
        (
            "The metrics of the gateway are served on metrics.edge.example:9090 by default.",
            "The metrics of the gateway are served on metrics.edge.example:9191 by default.",
            ("metrics.edge.example:9090", "metrics.edge.example:9191"),
        ),
        (
            "The nightly run starts at 02:00 on the ledger host.",
            "The nightly run starts at 04:00 on the ledger host.",
            ("02:00", "04:00"),
        ),
        ("The gateway needs Envoy 1.29.2 to start.", "The gateway needs Envoy 1.31.0 to start.", ("1.29.2", "1.31.0")),
    ],
)
def test_the_same_with_another_fact_is_a_contradiction(said: str, meant: str, facts: tuple[str, str]) -> None:
    assert _told(_reading(said), _reading(meant, name="b")) == [facts]


@pytest.mark.parametrize(
    ("other", "title", "heading"),
    [
        (DRAIN, "Gateway 502", "Restart"),
        (DRAIN.replace("120 seconds", "2 minutes"), "Gateway 502", "Restart"),
        (
            "In staging the gateway waits 60 seconds for open requests before an instance stops.",
            "Gateway 502",
            "Restart",
        ),
        (DRAIN.replace("120", "60"), "Gateway 502 (VM)", "Restart"),
        (DRAIN.replace("120", "60"), "Gateway 503", "Restart"),
        (DRAIN.replace("120", "60"), "Gateway 502", "Development"),
        (DRAIN.replace("gateway waits 120", "tracker waits 60"), "Tracker lag", "Restart"),
        (f"For example: {DRAIN.replace('120', '60')}", "Gateway 502", "Restart"),
        (DRAIN.replace("120", "60").replace("an instance", "Quillfeather"), "Gateway 502", "Restart"),
        (DRAIN.replace("120 seconds", "at most 60 seconds"), "Gateway 502", "Restart"),
        (DRAIN.replace("120 seconds", "<n> seconds"), "Gateway 502", "Restart"),
        (DRAIN.replace("waits 120", "never waits 60"), "Gateway 502", "Restart"),
        (f"{DRAIN.replace('120', '60')} A large instance waits 120 seconds.", "Gateway 502", "Restart"),
        ("Customers wait 60 seconds for a text message after the parcel was scanned.", "Gateway 502", "Restart"),
    ],
)
def test_what_differs_for_a_reason_is_no_contradiction(other: str, title: str, heading: str) -> None:
    assert _told(_reading(DRAIN), _reading(other, title, heading, "b")) == []


def test_pages_of_a_kind_may_have_values_of_their_own() -> None:
    text = "The alert fires when its {} certificate expires in less than 7 days."
    one = _reading(text.format("ingress"), "Ingress certificate alert", "Meaning")
    other = _reading(text.format("broker").replace("7", "30"), "Broker certificate alert", "Meaning", "b")

    assert _told(one, other) == []


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_two_texts_can_be_compared_and_none_contradicts_itself(first: str, second: str) -> None:
    one, other = _reading(first), _reading(second, name="b")

    assert _told(one, _reading(first, name="b")) == []
    assert len(_told(one, other)) == len(_told(other, one))


# Over a corpus


WAITS = "The gateway waits {} seconds for open requests before an instance stops."
GATEWAY = f"# Gateway 502\n\n## Restart the gateway\n\n{DRAIN} Announce it first.\n"
PHONE = f"# Phone notes on the gateway\n\n## Restart the gateway\n\n{WAITS.format(45)}\n"
OLD = f"# Gateway 502 as it was\n\n## Restart the gateway\n\n{WAITS.format(30)}\n"
HOLIDAYS = "# Office holidays\n\nThe office is closed on public holidays. Keys are with the office manager.\n"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Bench]:
    with open_bench(settings_for(tmp_path_factory.mktemp("knowledge"), models_dir)) as opened:
        opened.ingest(
            markdown("gateway", GATEWAY, metadata={"supersedes": "gateway-old"}),
            markdown("phone", PHONE, modified_at=datetime(2020, 5, 1, tzinfo=UTC)),
            markdown("gateway-old", OLD),
            markdown("holidays", HOLIDAYS, collection="office"),
        )
        migrate_ledger(opened.corpus.database)
        yield opened


def _contradictions(bench: Bench, collection: str | None = None, **limits: float) -> Contradictions:
    inventory = take_inventory(bench.corpus, SCOPE, collection)
    with bench.corpus.pinned() as view:
        return find_contradictions(view, SCOPE, inventory.current, **limits)


def test_live_documents_that_contradict_each_other_are_named_with_their_sentences(bench: Bench) -> None:
    found = _contradictions(bench)

    [told] = found.found
    sides = {side.document.id: side for side in (told.one, told.other)}
    assert sides.keys() == {"gateway", "phone"}
    assert {told.conflict.one, told.conflict.other} == {"120 seconds", "45 seconds"}
    for side in sides.values():
        content = bench.corpus.get_content(SCOPE, side.document.id).text
        assert side.span.of(content) == side.text
        assert side.heading_path[-1] == "Restart the gateway"
    assert found.complete


def test_without_time_nothing_is_compared_and_it_is_said(bench: Bench) -> None:
    found = _contradictions(bench, seconds=-1)

    assert (found.found, found.pairs, found.complete) == ((), 0, False)


def test_too_many_passages_are_cut_by_whole_documents(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contradictions_module, "MAX_CHUNKS", 1)

    found = _contradictions(bench)

    assert (found.chunks, found.complete) == (1, False)


def test_one_document_or_none_contradicts_nothing(bench: Bench) -> None:
    assert _contradictions(bench, "office").found == ()
    assert _contradictions(bench, "nowhere") == Contradictions((), 0, 0, True)


def test_other_tenants_have_nothing(bench: Bench) -> None:
    assert take_inventory(bench.corpus, Scope(TenantId("other"))).documents == ()


def test_a_form_that_many_documents_fill_in_is_left_out(bench: Bench) -> None:
    pages = [
        markdown(f"form-{n}", f"# Branch\n\n## Opening\n\nThe counter of the branch closes {n} minutes after lunch.\n")
        for n in (10, 20, 30, 40)
    ]
    bench.ingest(*pages[:2], scope=Scope(TenantId("forms")))
    scope = Scope(TenantId("forms"))

    few = contradictions_among(bench.corpus, scope, take_inventory(bench.corpus, scope))
    bench.ingest(*pages[2:], scope=scope)
    many = contradictions_among(bench.corpus, scope, take_inventory(bench.corpus, scope))

    assert len(few.found) == 1
    assert many.found == ()


# Old, replaced, never shown


def _report(bench: Bench, window: Window, stale_days: int = 365) -> HealthReport:
    nothing = Contradictions((), 0, 0, True)
    inventory = take_inventory(bench.corpus, SCOPE)
    return examine_knowledge(bench.corpus.database, inventory, nothing, SCOPE.tenant, window, stale_days)


def test_what_is_old_or_replaced_counts_when_it_is_shown(bench: Bench) -> None:
    key = {name: bench.corpus.get_document(SCOPE, name).key for name in ("gateway", "phone", "gateway-old")}  # type: ignore[arg-type]
    end = datetime.now(UTC) + timedelta(days=2)
    window = Window(end - timedelta(days=1), end)
    at = end - timedelta(hours=1)
    shown = [[key["gateway"], key["phone"]], [key["phone"], key["phone"]], [key["gateway-old"]], ["gone"]]
    keep(bench.corpus.database, [trace("how?", at=at, documents=documents) for documents in shown])

    report = _report(bench, window)

    assert [(old.document.id, old.shown) for old in report.stale] == [("phone", 2)]
    [replaced] = report.superseded
    assert (replaced.document.id, replaced.shown, replaced.note) == ("gateway-old", 1, "superseded by Gateway 502")
    assert replaced.by is not None
    assert replaced.by.id == "gateway"
    assert [document.id for document in report.never_shown] == ["holidays"]
    assert (report.eligible, report.operations, report.asked, report.complete) == (4, 4, 4, True)
    assert _report(bench, window, stale_days=3650).stale == ()


def test_documents_that_came_within_the_window_were_not_there_to_be_shown(bench: Bench) -> None:
    report = _report(bench, WEEK)

    assert (report.eligible, report.never_shown) == (0, ())


@pytest.mark.parametrize("url", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_what_was_shown_is_counted_once_per_operation(url: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    from ingestion.corpus.database import open_database
    from service.settings import ServiceSettings

    address = request.getfixturevalue("postgres_url") if url == "postgres" else None
    database = open_database(ServiceSettings(data_dir=tmp_path, database_url=address))
    try:
        migrate_ledger(database)
        rows = [trace("a", documents=["x", "y", "x"]), trace("b", documents=["x"], hours_ago=2)]
        keep(database, [*rows, trace("c", documents=["x"], tenant="other"), trace("d", documents=["x"], hours_ago=999)])
        whole, cut = (shown_in(database, TenantId("default"), WEEK, most=most) for most in (10, 1))
        assert (whole.times, whole.operations, whole.asked) == ({"x": 2, "y": 1}, 2, 2)
        assert (cut.times, cut.operations, cut.asked) == ({"x": 1, "y": 1}, 1, 2)
    finally:
        database.dispose()


# At the edges


def test_only_admins_read_about_the_knowledge(keyed: Keyed) -> None:
    with keyed.client("reader") as client:
        problem(client.get("/v1/quality/knowledge"), 403, "forbidden")
    with keyed.client("admin") as client:
        problem(client.get("/v1/quality/knowledge", params={"stale_days": 0}), 422, "invalid_request")
        report = client.get("/v1/quality/knowledge", params={"limit": 1}).json()
    assert report["documents"] >= 2
    assert report["complete"]
    assert report["contradictions"] == []


def test_the_command_shows_the_sentences(tmp_path: Path, models_dir: Path) -> None:
    with open_bench(settings_for(tmp_path, models_dir)) as opened:
        opened.ingest(markdown("gateway", GATEWAY), markdown("phone", PHONE))
    variables = command_environment(tmp_path, models_dir)

    shown = CliRunner().invoke(commands, ["knowledge"], env=variables)
    printed = CliRunner().invoke(commands, ["knowledge", "--json"], env=variables)

    assert shown.exit_code == 0, shown.output
    assert "120 seconds" in shown.output
    assert "45 seconds" in shown.output
    assert json.loads(printed.stdout)["contradictions_total"] == 1
