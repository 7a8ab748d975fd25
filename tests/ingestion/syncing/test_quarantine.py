"""A document that fails again and again is put aside; one that takes the process with it is found among the others."""

from __future__ import annotations

import pytest

from ingestion.corpus.catalog_reader import DocumentQuery
from ingestion.corpus.embedding import Embedder
from ingestion.errors import BackendUnavailable
from ingestion.sources.definitions import SourceId
from ingestion.syncing import ItemRecord, ItemStatus, Oversight
from ingestion.syncing.items import UNDER_WAY
from tests.ingestion.syncing.parts import SCOPE, WIKI, Killed, SyncBench, definition
from tests.ingestion.syncing.test_sync import counts, items

EMPTY = "   \n"


def loaded(bench: SyncBench) -> Embedder:
    """The embedder of the active generation itself."""
    with bench.corpus.pinned() as view:
        return view.embedder


def crash(bench: SyncBench, monkeypatch: pytest.MonkeyPatch, deadly: str) -> bool:
    """Sync until a document with that word reaches the embedder, and die there. Whether it came to that."""
    embedder = loaded(bench)

    def die(texts: list[str]) -> object:
        if any(deadly in text for text in texts):
            raise Killed
        return embed(texts)

    embed = embedder.embed_documents
    with monkeypatch.context() as patched:
        patched.setattr(embedder, "embed_documents", die)
        patched.setattr("ingestion.syncing.items.ItemBook.release", lambda *_: None)
        try:
            bench.sync()
        except Killed:
            return True
    return False


def test_three_failures_on_the_same_content_quarantine_it(bench: SyncBench) -> None:
    bench.place.texts |= {"a": "Alpha text.", "bad": EMPTY}
    assert counts(bench) == {"seen": 2, "created": 1, "failed": 1}
    assert counts(bench) == {"seen": 2, "unchanged": 1, "failed": 1}
    assert items(bench)["bad"] == ("empty", 2)
    assert bench.reconcile().failed.count == 1
    told: list[ItemRecord] = []
    report = bench.sync(Oversight(record=told.append))
    assert (report.failed, report.quarantined) == (0, 1)
    assert [(record.status, record.code) for record in told] == [(ItemStatus.QUARANTINED, "quarantined")]
    assert told[0].detail is not None
    assert told[0].detail.startswith("empty: ")
    assert counts(bench) == {"seen": 2, "unchanged": 1, "quarantined": 1}
    found = bench.reconcile()
    assert (found.failed.count, found.quarantined.count, found.missing.count, found.equal) == (0, 1, 0, False)


def test_a_comparison_names_what_a_site_says_is_unchanged(bench: SyncBench) -> None:
    site = SourceId("site")
    bench.store.add(SCOPE, definition(site, origin={"kind": "web", "url": "https://example.org/"}))
    bench.place.texts |= {"a": "Alpha text.", "bad": EMPTY}
    for _ in range(3):
        bench.sync(id_=site)
    found = bench.reconcile(id_=site)
    assert (found.quarantined.count, found.quarantined.uris) == (1, ("place/bad",))
    assert found.missing.count == 0


def test_what_is_quarantined_is_not_handed_over_even_if_it_must_be_fetched(bench: SyncBench) -> None:
    bench.place.revisions = False
    bench.place.texts["bad"] = EMPTY
    for _ in range(3):
        bench.sync()
    (document,) = bench.corpus.list_documents(SCOPE, DocumentQuery()).items
    assert counts(bench) == {"seen": 1, "quarantined": 1}
    (same,) = bench.corpus.list_documents(SCOPE, DocumentQuery()).items
    assert same == document
    bench.place.broken = {"bad"}
    bench.sync()
    assert items(bench)["bad"] == ("quarantined", 3)


def test_other_content_is_tried_anew(bench: SyncBench) -> None:
    bench.place.texts["bad"] = EMPTY
    for _ in range(3):
        bench.sync()
    bench.place.texts["bad"] = EMPTY * 2
    assert counts(bench) == {"seen": 1, "failed": 1}
    assert items(bench)["bad"] == ("empty", 1)
    bench.place.texts["bad"] = "Good now."
    assert counts(bench) == {"seen": 1, "created": 1}
    assert bench.reconcile().equal


def test_a_retry_tries_anew(bench: SyncBench) -> None:
    bench.place.token = "one"
    bench.place.texts["bad"] = EMPTY
    for _ in range(3):
        bench.sync()
    assert counts(bench) == {"seen": 1, "quarantined": 1}
    assert bench.sources.retry(SCOPE, WIKI) == 1
    assert bench.sources.retry(SCOPE, WIKI) == 0
    assert counts(bench) == {"seen": 1, "failed": 1}


def test_an_old_version_outlives_a_quarantined_new_one(bench: SyncBench) -> None:
    bench.place.texts["a"] = "Alpha text."
    bench.sync()
    bench.place.texts["a"] = EMPTY
    for _ in range(4):
        bench.sync()
    assert bench.texts("Alpha") == ["Alpha text."]
    assert bench.reconcile().quarantined.count == 1
    del bench.place.texts["a"]
    assert counts(bench) == {"deleted": 1}
    assert bench.texts("Alpha") == []


def test_a_document_that_kills_the_worker_is_quarantined_and_its_neighbours_are_not(
    bench: SyncBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.place.texts |= {f"n{number}": f"Text {number}." for number in range(3)}
    bench.place.texts["poison"] = "Deadly text."
    bench.place.texts |= {f"o{number}": f"Other {number}." for number in range(3)}
    deaths = 0
    while crash(bench, monkeypatch, "Deadly"):
        deaths += 1
        assert deaths < 10
    assert deaths == 4, "once among others, and three times alone"
    assert {key for key, (code, _) in items(bench).items() if code} == {"poison"}
    assert items(bench)["poison"] == ("quarantined", 3)
    assert counts(bench) == {"seen": 7, "unchanged": 6, "quarantined": 1}
    bench.place.texts["poison"] = "Harmless text."
    assert counts(bench) == {"seen": 7, "created": 1, "unchanged": 6}
    assert bench.reconcile().equal


def test_after_one_crash_documents_go_one_at_a_time_and_are_as_good_as_new(
    bench: SyncBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.place.texts |= {f"n{number}": f"Text {number}." for number in range(4)}
    assert crash(bench, monkeypatch, "Text 3")
    assert {code for code, _ in items(bench).values()} == {UNDER_WAY}
    calls = bench.endpoint.requests
    assert counts(bench) == {"seen": 4, "created": 4}
    assert bench.endpoint.requests > calls + 4
    assert items(bench) == {f"n{number}": (None, 0) for number in range(4)}
    assert bench.reconcile().equal


def test_an_endpoint_that_does_not_answer_blames_no_document(bench: SyncBench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.place.texts |= {"a": "Alpha text.", "b": "Beta text."}
    assert crash(bench, monkeypatch, "Beta")

    def refuse(_: object) -> None:
        raise BackendUnavailable("told to fail")

    for method in ("embed_query", "embed_documents") * 3:
        with monkeypatch.context() as patched:
            patched.setattr(loaded(bench), method, refuse)
            with pytest.raises(BackendUnavailable):
                bench.sync()
    assert all(attempts == 0 for _, attempts in items(bench).values())
    assert bench.wiki().failures == 6
    assert counts(bench) == {"seen": 2, "created": 2}


def test_a_crash_after_publishing_leaves_nothing_that_nobody_knows(
    bench: SyncBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.place.texts["a"] = "Alpha text."

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("ingestion.syncing.items.ItemBook.settle", lambda _, settled: die() if settled else None)
        patched.setattr("ingestion.syncing.items.ItemBook.release", lambda *_: None)
        with pytest.raises(Killed):
            bench.sync()
    assert bench.texts("Alpha") == ["Alpha text."]
    del bench.place.texts["a"]
    assert counts(bench) == {"deleted": 1}
    assert bench.texts("Alpha") == []


def test_content_that_goes_back_to_what_it_was_before_a_crash_is_not_taken_for_unchanged(
    bench: SyncBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.place.texts["a"] = "Alpha text."
    bench.sync()
    bench.place.texts["a"] = "Alpha edited."

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("ingestion.syncing.items.ItemBook.settle", lambda _, settled: die() if settled else None)
        patched.setattr("ingestion.syncing.items.ItemBook.release", lambda *_: None)
        with pytest.raises(Killed):
            bench.sync()
    bench.place.texts["a"] = "Alpha text."
    bench.sync()
    assert bench.texts("Alpha") == ["Alpha text."]
    assert bench.reconcile().equal


def test_a_deletion_that_was_cut_short_is_completed(bench: SyncBench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.place.texts |= {"a": "Alpha text.", "b": "Beta text."}
    bench.sync()
    bench.place.texts = {"b": "Beta text."}

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("ingestion.syncing.items.ItemBook.forget", die)
        with pytest.raises(Killed):
            bench.sync()
    assert bench.texts("Alpha") == []
    assert set(items(bench)) == {"a", "b"}
    assert counts(bench) == {"seen": 1, "unchanged": 1}
    assert set(items(bench)) == {"b"}
    assert bench.reconcile().equal
