"""Documents go live whole or not at all, once or twice ingested, changed, deleted or overtaken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingestion.corpus.catalog import PublishOutcome
from ingestion.corpus.catalog_reader import DocumentQuery
from ingestion.corpus.corpus import Selection
from ingestion.corpus.literal import literal_text
from ingestion.corpus.records import DocumentId, DocumentStatus, Metadata, ParsedDocument
from ingestion.corpus.scope import Scope, TenantId
from ingestion.corpus.writer import EmbeddedChunk
from ingestion.errors import Conflict, InvalidRequest, NotFound, RejectionCode
from ingestion.pipeline import OutcomeStatus, draft_of, stated_date
from tests.ingestion.corpora import SCOPE, Bench, markdown, open_bench, settings_for, stored

RESTART = "# Restart the gateway\n\nRun this on the host:\n\n```sh\nsystemctl restart gatehouse\n```\n"


@pytest.fixture
def bench(tmp_path: Path, models_dir: Path) -> Iterator[Bench]:
    with open_bench(settings_for(tmp_path, models_dir)) as bench:
        yield bench


def read_as(text: str) -> ParsedDocument:
    return ParsedDocument(text, (), "Any", "text/markdown")


def _texts(bench: Bench, needle: str, scope: Scope = SCOPE) -> list[str]:
    return [hit.chunk.text for hit in bench.corpus.find_exact(scope, needle)]


def test_a_document_is_created_then_unchanged_then_updated(bench: Bench) -> None:
    first, again = bench.ingest(markdown("restart", RESTART)), bench.ingest(markdown("restart", RESTART))
    changed = bench.ingest(markdown("restart", RESTART.replace("systemctl", "kubectl rollout")))

    assert [outcome.status for outcome in (*first, *again, *changed)] == [
        OutcomeStatus.CREATED,
        OutcomeStatus.UNCHANGED,
        OutcomeStatus.UPDATED,
    ]
    assert _texts(bench, "systemctl") == []
    assert len(_texts(bench, "kubectl rollout")) == 1


def test_ingesting_twice_equals_once(bench: Bench) -> None:
    bench.ingest(markdown("restart", RESTART), markdown("other", "# Other\n\nNothing here.\n"))
    once = stored(bench.corpus)
    bench.ingest(markdown("restart", RESTART), markdown("other", "# Other\n\nNothing here.\n"))
    assert stored(bench.corpus) == once


def test_the_index_and_the_catalogue_hold_the_same_chunks(bench: Bench) -> None:
    bench.ingest(*(markdown(f"d{n}", RESTART + f"\nNote {n}.\n") for n in range(5)))
    bench.ingest(markdown("d0", RESTART + "\nNote zero.\n"))
    everything = stored(bench.corpus)
    assert {point[0] for point in everything["points"]} == {chunk[0] for chunk in everything["chunks"]}  # type: ignore[attr-defined]
    assert {version[2] for version in everything["versions"]} == {"live"}  # type: ignore[attr-defined]


def test_a_bad_document_fails_alone(bench: Bench) -> None:
    outcomes = bench.ingest(markdown("empty", "  \n"), markdown("restart", RESTART))
    assert [outcome.status for outcome in outcomes] == [OutcomeStatus.FAILED, OutcomeStatus.CREATED]
    assert outcomes[0].code is RejectionCode.EMPTY
    failed = bench.corpus.get_document(SCOPE, DocumentId("empty"))
    assert failed.status is DocumentStatus.FAILED
    assert failed.failure is not None
    assert failed.failure.startswith("empty: ")


def test_a_failed_update_leaves_the_live_version(bench: Bench) -> None:
    bench.ingest(markdown("restart", RESTART))
    bench.ingest(markdown("restart", " "))
    document = bench.corpus.get_document(SCOPE, DocumentId("restart"))
    assert document.status is DocumentStatus.INDEXED
    assert document.failure is not None
    assert len(_texts(bench, "systemctl")) == 1
    bench.ingest(markdown("restart", RESTART + "\nMore.\n"))
    assert bench.corpus.get_document(SCOPE, DocumentId("restart")).failure is None


def test_the_last_of_several_versions_in_one_run_wins(bench: Bench) -> None:
    one, two = markdown("note", "# Note\n\nthe first text\n"), markdown("note", "# Note\n\nthe second text\n")
    outcomes = bench.ingest(one, two, one, one)
    assert [outcome.status for outcome in outcomes] == [
        OutcomeStatus.CREATED,
        OutcomeStatus.UPDATED,
        OutcomeStatus.UPDATED,
        OutcomeStatus.UNCHANGED,
    ]
    assert len(_texts(bench, "first text")) == 1
    assert _texts(bench, "second text") == []


def test_a_document_longer_than_a_batch_goes_live_whole(bench: Bench) -> None:
    sections = "\n\n".join(f"## Part {n}\n\n" + f"Sentence about matter {n}. " * 8 for n in range(270))
    (outcome,) = bench.ingest(markdown("long", f"# Long\n\n{sections}\n"))
    assert outcome.chunks > 256
    assert bench.corpus.count(SCOPE) == outcome.chunks
    assert bench.corpus.get_document(SCOPE, DocumentId("long")).chunk_count == outcome.chunks


def test_what_is_deleted_is_gone_when_the_call_returns(bench: Bench) -> None:
    bench.ingest(markdown("restart", RESTART))
    bench.corpus.delete_document(SCOPE, DocumentId("restart"))
    assert _texts(bench, "systemctl") == []
    assert bench.corpus.count(SCOPE) == 0
    assert stored(bench.corpus) == {"documents": set(), "versions": set(), "chunks": set(), "points": set()}
    with pytest.raises(NotFound):
        bench.corpus.delete_document(SCOPE, DocumentId("restart"))


def test_an_older_submission_neither_replaces_a_newer_one_nor_revives_a_deleted_document(bench: Bench) -> None:
    early = datetime.now(UTC) - timedelta(minutes=5)
    bench.ingest(markdown("restart", RESTART))
    list(bench.pipeline.ingest(SCOPE, [markdown("restart", "# Old\n\nold words\n")], submitted_at=early))
    assert _texts(bench, "old words") == []
    bench.corpus.delete_document(SCOPE, DocumentId("restart"))
    list(bench.pipeline.ingest(SCOPE, [markdown("restart", "# Old\n\nold words\n")], submitted_at=early))
    assert _texts(bench, "old words") == []
    assert bench.corpus.count(SCOPE) == 0
    (outcome,) = bench.ingest(markdown("restart", RESTART))
    assert outcome.status is OutcomeStatus.CREATED


def test_a_staged_version_is_invisible_and_swept(tmp_path: Path, models_dir: Path) -> None:
    settings = settings_for(tmp_path, models_dir)
    source = markdown("half", "# Half\n\nhalf written\n")
    with open_bench(settings) as bench:
        bench.ingest(source)
        clean = stored(bench.corpus)
        changed = markdown("half", "# Half\n\nhalf rewritten\n")
        draft = draft_of(SCOPE, changed, datetime.now(UTC), "any")
        (hit,) = bench.corpus.find_exact(SCOPE, "half written")
        bench.corpus.writer.stage(SCOPE, draft, read_as("# Half\n\nhalf rewritten\n"), ())
        (dense,) = bench.corpus.embedder.embed_documents(["half rewritten"])
        literal = literal_text("# Half\n\nhalf rewritten\n", [hit.chunk], 0)
        bench.corpus.writer.add_chunks(SCOPE, draft, [EmbeddedChunk(hit.chunk, "any", dense, literal)])
        assert len(bench.corpus.find_exact(SCOPE, "half written")) == 1
        assert stored(bench.corpus) != clean
    with open_bench(settings) as bench:
        assert stored(bench.corpus) == clean


def test_publishing_an_overtaken_version_says_so(bench: Bench) -> None:
    bench.ingest(markdown("restart", RESTART))
    draft = draft_of(SCOPE, markdown("restart", "# X\n\nx\n"), datetime.now(UTC) - timedelta(days=1), "any")
    bench.corpus.writer.stage(SCOPE, draft, read_as("x"), ())
    assert bench.corpus.writer.publish(SCOPE, draft, chunk_count=0) is PublishOutcome.SUPERSEDED


def test_tenants_and_labels_keep_apart(bench: Bench) -> None:
    other = Scope(TenantId("other"))
    bench.ingest(markdown("restart", RESTART, labels=("ops",)))
    bench.ingest(markdown("restart", RESTART.replace("gatehouse", "sortline")), scope=other)
    assert "gatehouse" in _texts(bench, "systemctl")[0]
    assert "sortline" in _texts(bench, "systemctl", other)[0]
    outsider = Scope(SCOPE.tenant, frozenset({"sales"}))
    assert _texts(bench, "systemctl", outsider) == []
    with pytest.raises(NotFound):
        bench.corpus.get_document(outsider, DocumentId("restart"))
    assert bench.corpus.list_documents(outsider, DocumentQuery()).items == ()
    insider = Scope(SCOPE.tenant, frozenset({"ops"}))
    assert len(_texts(bench, "systemctl", insider)) == 1
    assert len(bench.corpus.list_documents(insider, DocumentQuery()).items) == 1


def test_one_id_in_two_collections_must_be_told_apart(bench: Bench) -> None:
    bench.ingest(markdown("restart", RESTART), markdown("restart", RESTART, collection="old"))
    with pytest.raises(Conflict, match=r"default, old"):
        bench.corpus.get_document(SCOPE, DocumentId("restart"))
    assert bench.corpus.get_document(SCOPE, DocumentId("restart"), "old").collection == "old"
    assert len(bench.corpus.find_exact(SCOPE, "systemctl", Selection(collections=("old",)))) == 1


def test_spans_of_stored_chunks_point_into_the_stored_text(bench: Bench) -> None:
    bench.ingest(markdown("restart", "\ufeff" + RESTART.replace("\n", "\r\n") + "\r\nÜber 🦊 alles.\r\n"))
    content = bench.corpus.get_content(SCOPE, DocumentId("restart"))
    hits = bench.corpus.find_exact(SCOPE, "a")
    assert hits
    for hit in hits:
        assert hit.chunk.span.of(content.text) == hit.chunk.text
    assert [entry.title for entry in content.outline] == ["Restart the gateway"]


def test_lists_page_through_everything_once(bench: Bench) -> None:
    bench.ingest(*(markdown(f"d{n}", f"# Document {n}\n\ntext {n}\n") for n in range(7)))
    seen: list[str] = []
    cursor = None
    for _ in range(4):
        page = bench.corpus.list_documents(SCOPE, DocumentQuery(), cursor=cursor, limit=2)
        seen += [document.id for document in page.items]
        cursor = page.next_cursor
    assert cursor is None
    assert sorted(seen) == [f"d{n}" for n in range(7)]
    assert len(bench.corpus.list_documents(SCOPE, DocumentQuery(title="MENT 3")).items) == 1
    with pytest.raises(InvalidRequest):
        bench.corpus.list_documents(SCOPE, DocumentQuery(), cursor="nonsense")


def test_a_document_is_as_old_as_it_says(bench: Bench) -> None:
    modified_at = datetime(2026, 11, 1, tzinfo=UTC)
    bench.ingest(
        markdown("stated", "---\nupdated: 2025-03-04\n---\n# Old\n\ntext\n", modified_at=modified_at),
        markdown("silent", "---\nupdated: last spring\n---\n# Old\n\ntext\n", modified_at=modified_at),
    )
    assert bench.corpus.get_document(SCOPE, DocumentId("stated")).updated_at == datetime(2025, 3, 4, tzinfo=UTC)
    assert bench.corpus.get_document(SCOPE, DocumentId("silent")).updated_at == modified_at


@pytest.mark.parametrize(
    ("metadata", "stated"),
    [
        ({"date": "Thu, 14 May 2026 17:42:10 +0200"}, datetime(2026, 5, 14, 15, 42, 10, tzinfo=UTC)),
        ({"date": "2024-01-01", "updated": "2025-01-01T12:00:00"}, datetime(2025, 1, 1, 12, tzinfo=UTC)),
        ({"updated": 2025, "date": "soon"}, None),
        ({}, None),
    ],
)
def test_dates_that_documents_state(metadata: Metadata, stated: datetime | None) -> None:
    assert stated_date(metadata) == stated
