"""What the tests of syncs share: one endpoint and one parser for the run, a bench for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion.parsing import DocumentParser
from ingestion.settings import ParsingSettings
from tests.embeddings_endpoint import Endpoint
from tests.ingestion.syncing.parts import SCOPE, SyncBench, definition, open_sync_bench, quick_endpoint, quick_settings


@pytest.fixture(scope="package")
def endpoint() -> Iterator[Endpoint]:
    with quick_endpoint() as endpoint:
        yield endpoint


@pytest.fixture(scope="package")
def parser() -> Iterator[DocumentParser]:
    with DocumentParser(ParsingSettings()) as parser:
        yield parser


@pytest.fixture
def bench(tmp_path: Path, endpoint: Endpoint, parser: DocumentParser) -> Iterator[SyncBench]:
    """With the source `wiki`, on demand only."""
    with open_sync_bench(quick_settings(tmp_path, endpoint), endpoint, parser) as bench:
        bench.store.add(SCOPE, definition())
        yield bench
