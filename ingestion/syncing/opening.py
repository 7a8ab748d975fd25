"""A syncer with all that it takes, for a command that syncs in its own process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ingestion.corpus.corpus import Corpus
from ingestion.parsing import DocumentParser
from ingestion.pipeline import Pipeline
from ingestion.settings import Settings
from ingestion.source_store import SourceStore
from ingestion.syncing.syncer import Syncer


@contextmanager
def open_syncer(corpus: Corpus, settings: Settings) -> Iterator[Syncer]:
    """Syncs of this corpus, with parser processes of their own until the context ends."""
    with DocumentParser(settings.parsing) as parser:
        pipeline = Pipeline(corpus, parser)
        yield Syncer(corpus, SourceStore(corpus.database), pipeline, settings)
