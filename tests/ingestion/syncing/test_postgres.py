"""What holds with SQLite holds with a catalogue in Postgres: the cases that lean on the database's own ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from ingestion.parsing import DocumentParser
from tests.embeddings_endpoint import Endpoint
from tests.ingestion.syncing import test_quarantine, test_sources, test_sync
from tests.ingestion.syncing.parts import SCOPE, SyncBench, definition, open_sync_bench, quick_settings

pytestmark = pytest.mark.postgres

CASES: tuple[Callable[[SyncBench], None], ...] = (
    test_sync.test_new_changed_unchanged_and_deleted_documents_are_told_apart,
    test_sync.test_what_could_not_be_fetched_stays_and_says_why,
    test_sync.test_an_origin_in_the_same_state_is_not_scanned,
    test_sync.test_a_document_that_someone_deleted_comes_back,
    test_sync.test_attached_files_count_with_their_document_and_go_with_it,
    test_sync.test_two_syncs_of_one_source_exclude_each_other,
    test_sync.test_a_sync_that_was_overtaken_writes_nothing_more,
    test_sync.test_a_source_of_another_tenant_is_not_there,
    test_sync.test_another_definition_files_documents_anew,
    test_sync.test_the_comparison_tells_missing_stale_and_orphaned_apart,
    test_quarantine.test_three_failures_on_the_same_content_quarantine_it,
    test_quarantine.test_a_retry_tries_anew,
    test_sources.test_the_documents_of_a_removed_source_are_not_found,
)


@pytest.fixture
def bench(tmp_path: Path, postgres_url: str, endpoint: Endpoint, parser: DocumentParser) -> Iterator[SyncBench]:
    settings = quick_settings(tmp_path, endpoint, database_url=SecretStr(postgres_url))
    with open_sync_bench(settings, endpoint, parser) as bench:
        bench.store.add(SCOPE, definition())
        yield bench


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__.removeprefix("test_"))
def test_on_postgres(case: Callable[[SyncBench], None], bench: SyncBench) -> None:
    case(bench)


@pytest.mark.parametrize("at", [0, 2])
def test_removed_while_it_is_synced(at: int, bench: SyncBench) -> None:
    test_sources.test_a_sync_that_runs_while_its_source_is_removed_leaves_nothing(bench, at)


def test_killing_is_found_out(bench: SyncBench, monkeypatch: pytest.MonkeyPatch) -> None:
    test_quarantine.test_a_document_that_kills_the_worker_is_quarantined_and_its_neighbours_are_not(bench, monkeypatch)
