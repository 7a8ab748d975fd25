"""What is at the origin is in the corpus after a sync, and nothing else is; silence never deletes."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select, update

from ingestion.corpus import tables
from ingestion.corpus.catalog_reader import DocumentQuery
from ingestion.corpus.records import DocumentId
from ingestion.errors import Conflict, NotFound, SourceUnavailable
from ingestion.sources.definitions import SourceId
from ingestion.syncing import ItemRecord, ItemStatus, Oversight, SyncProgress, SyncStage
from tests.ingestion.syncing.parts import SCOPE, WIKI, Interrupted, SyncBench, definition, raising


def counts(bench: SyncBench) -> dict[str, int]:
    return {name: value for name, value in bench.sync().counts().items() if value}


def items(bench: SyncBench) -> dict[str, tuple[str | None, int]]:
    """Code and attempts of each item, by key."""
    table = tables.source_items.c
    with bench.corpus.database.connect() as connection:
        rows = connection.execute(select(table.key, table.code, table.attempts))
        return {row.key: (row.code, row.attempts) for row in rows}


def test_new_changed_unchanged_and_deleted_documents_are_told_apart(bench: SyncBench) -> None:
    bench.place.texts |= {"a": "Alpha text.", "b": "Beta text.", "c": "Gamma text."}
    assert counts(bench) == {"seen": 3, "created": 3}
    assert counts(bench) == {"seen": 3, "unchanged": 3}
    bench.place.texts |= {"a": "Alpha edited.", "d": "Delta text."}
    del bench.place.texts["b"]
    assert counts(bench) == {"seen": 3, "created": 1, "updated": 1, "unchanged": 1, "deleted": 1}
    assert bench.texts("Alpha") == ["Alpha edited."]
    assert bench.texts("Beta") == []
    assert bench.reconcile().equal
    assert set(items(bench)) == {"a", "c", "d"}
    assert bench.place.closed == bench.place.scans


def test_documents_are_filed_as_the_definition_says(bench: SyncBench) -> None:
    bench.store.add(SCOPE, definition("shop", collection="rows", labels=["staff"], metadata={"team": "ops"}))
    bench.place.texts["a"] = "Alpha text."
    bench.sync(id_=SourceId("shop"))
    (document,) = bench.corpus.list_documents(SCOPE, DocumentQuery()).items
    assert (document.collection, document.source, document.labels) == ("rows", "shop", ("staff",))
    assert document.metadata["team"] == "ops"
    assert document.uri == "place/a"


def test_content_without_revision_is_fetched_each_time_and_ingested_once(bench: SyncBench) -> None:
    bench.place.revisions = False
    bench.place.texts |= {"a": "Alpha text.", "b": "Beta text."}
    assert counts(bench) == {"seen": 2, "created": 2}
    calls = bench.endpoint.requests
    assert counts(bench) == {"seen": 2, "unchanged": 2}
    assert bench.endpoint.requests == calls


def test_a_renamed_document_finds_its_embeddings(bench: SyncBench) -> None:
    bench.place.texts |= {"old": "# Restart\n\nAlpha text.", "other": "Beta text."}
    bench.sync()
    calls = bench.endpoint.requests
    bench.place.texts["new"] = bench.place.texts.pop("old")
    assert counts(bench) == {"seen": 2, "created": 1, "unchanged": 1, "deleted": 1}
    assert bench.endpoint.requests == calls
    assert bench.texts("Alpha") == ["# Restart\n\nAlpha text."]


@pytest.mark.parametrize("how", ["incomplete", "no end", "unavailable", "crashed", "stopped"])
def test_a_scan_that_did_not_meet_everything_deletes_nothing_and_keeps_what_it_met(bench: SyncBench, how: str) -> None:
    bench.place.texts |= {"a": "Alpha text.", "b": "Beta text."}
    bench.sync()
    bench.place.texts = {"a": "Alpha edited."}
    if how == "incomplete":
        bench.place.complete = False
        assert not bench.sync().complete
    elif how == "no end":
        bench.place.ends = False
        assert not bench.sync().complete
    elif how == "stopped":
        assert bench.sync(Oversight(should_stop=lambda: True)).stopped
    else:
        error = SourceUnavailable("told to fail") if how == "unavailable" else Interrupted()
        bench.place.fails, bench.place.fails_after = error, 1
        with pytest.raises(type(error)):
            bench.sync()
    assert bench.texts("Beta") == ["Beta text."]
    assert bench.texts("Alpha") == (["Alpha text."] if how in ("stopped", "crashed") else ["Alpha edited."])
    bench.place.fails, bench.place.complete, bench.place.ends = None, True, True
    bench.sync()
    assert bench.texts("Beta") == []
    assert bench.texts("Alpha") == ["Alpha edited."]
    assert bench.reconcile().equal


def test_what_the_origin_says_is_gone_is_deleted_though_the_scan_was_incomplete(bench: SyncBench) -> None:
    bench.place.texts |= {"a": "Alpha text.", "b": "Beta text."}
    bench.sync()
    bench.place.texts, bench.place.gone, bench.place.complete = {}, ["a"], False
    assert bench.sync().deleted == 1
    assert (bench.texts("Alpha"), bench.texts("Beta")) == ([], ["Beta text."])


def test_what_could_not_be_fetched_stays_and_says_why(bench: SyncBench) -> None:
    bench.place.texts |= {"a": "Alpha text.", "b": "Beta text."}
    bench.place.broken = {"b"}
    assert counts(bench) == {"seen": 2, "created": 1, "failed": 1}
    bench.place.broken = {"a", "b"}
    told: list[ItemRecord] = []
    report = bench.sync(Oversight(record=told.append))
    assert (report.failed, report.complete) == (2, True)
    assert {(record.uri, record.status, record.code) for record in told} == {
        ("place/a", ItemStatus.FAILED, "fetch_failed"),
        ("place/b", ItemStatus.FAILED, "fetch_failed"),
    }
    assert items(bench) == {"a": ("fetch_failed", 1), "b": ("fetch_failed", 2)}
    assert bench.texts("Alpha") == ["Alpha text."]
    found = bench.reconcile()
    assert (found.failed.count, found.missing.count, found.equal) == (2, 0, False)
    bench.place.broken = set()
    assert counts(bench) == {"seen": 2, "created": 1, "unchanged": 1}
    assert items(bench) == {"a": (None, 0), "b": (None, 0)}
    assert bench.reconcile().equal


def test_an_origin_in_the_same_state_is_not_scanned(bench: SyncBench) -> None:
    bench.place.token = "one"
    bench.place.texts |= {"a": "Alpha text.", "b": "Beta text."}
    bench.place.broken = {"b"}
    bench.sync()
    assert counts(bench) == {"seen": 2, "unchanged": 1, "failed": 1}, "what failed is tried again"
    bench.place.broken = set()
    bench.sync()
    assert bench.place.scans == 3
    assert counts(bench) == {"seen": 2, "unchanged": 2}
    assert bench.place.scans == 3
    bench.place.token = "two"
    bench.sync()
    assert bench.place.scans == 4


def test_an_incomplete_scan_is_not_taken_for_the_state_of_the_origin(bench: SyncBench) -> None:
    bench.place.token, bench.place.complete = "one", False
    bench.sync()
    bench.sync()
    assert bench.place.scans == 2


def test_a_document_that_someone_deleted_comes_back(bench: SyncBench) -> None:
    bench.place.token = "one"
    bench.place.texts["a"] = "Alpha text."
    bench.sync()
    (document,) = bench.corpus.list_documents(SCOPE, DocumentQuery()).items
    bench.corpus.delete_document(SCOPE, document.id)
    assert bench.reconcile().missing.ids == (document.id,)
    assert counts(bench) == {"seen": 1, "created": 1}
    assert bench.texts("Alpha") == ["Alpha text."]


def test_attached_files_count_with_their_document_and_go_with_it(bench: SyncBench) -> None:
    mail = (
        "From: a@example.org\nTo: b@example.org\nSubject: Report\nMIME-Version: 1.0\n"
        'Content-Type: multipart/mixed; boundary="x"\n\n--x\nContent-Type: text/plain\n\nAlpha body.\n'
        '--x\nContent-Type: text/plain; name="notes.txt"\n'
        'Content-Disposition: attachment; filename="notes.txt"\n\nBeta notes.\n--x--\n'
    )
    bench.place.texts["letter.eml"] = mail
    bench.place.texts["plain"] = "Gamma text."
    assert counts(bench) == {"seen": 2, "created": 2}
    assert len(bench.texts("Beta notes")) == 1
    assert set(items(bench)) == {"letter.eml", "plain"}
    found = bench.reconcile()
    assert (found.equal, found.documents) == (True, 2)
    del bench.place.texts["letter.eml"]
    assert counts(bench) == {"seen": 1, "unchanged": 1, "deleted": 1}
    assert bench.texts("Beta notes") == []
    assert bench.reconcile().equal


def test_progress_is_told(bench: SyncBench) -> None:
    bench.place.texts |= {f"n{number}": f"Text {number}." for number in range(5)}
    told: list[SyncProgress] = []
    bench.sync(Oversight(progress=told.append))
    assert (told[-1].seen, told[-1].created, told[-1].total) == (5, 5, None)
    bench.place.texts = {"n0": "Text 0."}
    bench.sync(Oversight(progress=told.append))
    assert (told[-1].stage, told[-1].deleted, told[-1].total) == (SyncStage.DELETING, 4, 5)


@pytest.mark.parametrize("where", ["progress", "record", "turn"])
def test_after_an_interruption_anywhere_the_next_sync_completes_the_work(bench: SyncBench, where: str) -> None:
    bench.place.texts |= {f"n{number}": f"Text {number}." for number in range(8)}
    bench.sync()
    for after in range(3):
        bench.place.texts |= {f"n{number}": f"Text {number}, edited {after}." for number in range(4)}
        bench.place.texts |= {f"m{after}{number}": f"Fresh {number}." for number in range(4)}
        bench.place.texts.pop(f"n{7 - after}")
        stop = raising(Interrupted(), after if where != "turn" else after % 2)
        oversight = {
            "progress": Oversight(progress=stop),
            "record": Oversight(record=stop),
            "turn": Oversight(wait_turn=lambda stop=stop: stop(None)),  # type: ignore[misc]
        }[where]
        with pytest.raises(Interrupted):
            bench.sync(oversight)
        assert not any(code for code, _ in items(bench).values()), "an interruption is nobody's fault"
    bench.sync()
    assert bench.reconcile().equal
    assert bench.texts("Text 7") == []


def test_two_syncs_of_one_source_exclude_each_other(bench: SyncBench) -> None:
    bench.place.texts["a"] = "Alpha text."

    def second(_: SyncProgress) -> None:
        with pytest.raises(Conflict, match="already"):
            bench.sync()
        with pytest.raises(Conflict, match="already"):
            bench.reconcile()

    assert bench.sync(Oversight(progress=second)).created == 1
    assert bench.wiki().failures == 0
    bench.sync()


def test_a_sync_that_was_overtaken_writes_nothing_more(bench: SyncBench) -> None:
    bench.place.texts |= {"a": "Alpha text.", "b": "Beta text."}
    bench.sync()
    bench.place.texts = {"a": "Alpha edited."}

    def overtake() -> None:
        with bench.corpus.database.begin() as connection:
            connection.execute(update(tables.sources).values(scans=tables.sources.c.scans + 1))

    with pytest.raises(Conflict, match="takes over"):
        bench.sync(Oversight(wait_turn=overtake))
    assert bench.texts("Alpha") == ["Alpha text."]
    assert bench.texts("Beta") == ["Beta text."]


def test_a_source_of_another_tenant_is_not_there(bench: SyncBench) -> None:
    bench.place.texts["a"] = "Alpha text."
    bench.sync()
    other = type(SCOPE)(type(SCOPE.tenant)("other"))
    with pytest.raises(NotFound):
        bench.sync(scope=other)
    bench.store.add(other, definition())
    bench.sync(scope=other)
    assert bench.reconcile().equal
    assert bench.reconcile(scope=other).equal
    bench.sources.remove(other, WIKI)
    assert bench.texts("Alpha") == ["Alpha text."]
    assert bench.texts("Alpha", other) == []


def test_another_definition_files_documents_anew(bench: SyncBench) -> None:
    bench.place.token = "one"
    bench.place.texts |= {"a": "Alpha text.", "b": "Beta text."}
    bench.sync()
    bench.sources.update(SCOPE, definition(labels=["staff"]), remote=False)
    assert counts(bench) == {"seen": 2, "updated": 2}
    bench.place.broken = {"b"}
    bench.sources.update(SCOPE, definition(collection="elsewhere"), remote=False)
    assert counts(bench) == {"seen": 2, "created": 1, "failed": 1}
    assert len(bench.texts("Beta")) == 1, "what could not be had stays where it is"
    assert len(bench.texts("Alpha")) == 1
    bench.place.broken = set()
    assert counts(bench) == {"seen": 2, "created": 1, "unchanged": 1}
    assert {document.collection for document in bench.corpus.list_documents(SCOPE, DocumentQuery()).items} == {
        "elsewhere"
    }
    assert bench.reconcile().equal


def test_documents_move_though_the_origin_gives_no_revisions(bench: SyncBench) -> None:
    bench.place.revisions = False
    bench.place.texts |= {"a": "Alpha text.", "b": "Beta text."}
    bench.sync()
    bench.place.broken = {"b"}
    bench.sources.update(SCOPE, definition(collection="elsewhere"), remote=False)

    bench.sync()

    assert len(bench.texts("Alpha")) == 1
    assert len(bench.texts("Beta")) == 1, "what could not be had stays where it is"
    bench.place.broken = set()
    bench.sync()
    assert len(bench.texts("Beta")) == 1
    assert bench.reconcile().equal


def test_the_index_is_compared_too(bench: SyncBench) -> None:
    bench.place.texts |= {"a": "Alpha text.", "b": "Beta text."}
    bench.sync()
    (point, key, version), *_ = bench.corpus.writer.points(SCOPE)
    assert point
    bench.corpus.writer._index.delete_version(SCOPE, key, version)
    found = bench.reconcile()
    assert (found.index_differs, found.missing.count, found.equal) == (1, 0, False)


def test_the_comparison_tells_missing_stale_and_orphaned_apart(bench: SyncBench) -> None:
    bench.place.texts |= {"a": "Alpha text.", "b": "Beta text.", "c": "Gamma text."}
    bench.sync()
    bench.place.modified_at = bench.clock.time
    bench.clock.pass_(90)
    bench.place.texts |= {"a": "Alpha edited.", "new": "Delta text."}
    del bench.place.texts["c"]
    found = bench.reconcile()
    assert [found.missing.count, found.stale.count, found.orphaned.count] == [1, 1, 1]
    assert found.oldest_unsynced_s == 90
    assert not found.equal
    bench.place.complete = False
    partial = bench.reconcile()
    assert (partial.complete, partial.orphaned.count, partial.equal) == (False, 0, False)
    bench.place.complete = True
    bench.sync()
    found = bench.reconcile()
    assert (found.equal, found.oldest_unsynced_s) == (True, None)


def test_a_document_that_nobody_knows_is_orphaned(bench: SyncBench) -> None:
    bench.place.texts["a"] = "Alpha text."
    bench.sync()
    with bench.corpus.database.begin() as connection:
        connection.execute(update(tables.documents).values(id="stray"))
    assert bench.reconcile().orphaned.ids == (DocumentId("stray"),)
    with bench.corpus.database.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(tables.source_items)) == 1
