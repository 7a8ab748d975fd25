"""A rebuild as a job: it builds the generation that the settings ask for, and switches to it."""

from __future__ import annotations

from ingestion.corpus.corpus import Corpus
from ingestion.corpus.scope import Scope, TenantId
from ingestion.jobs.bulk import BulkWork
from ingestion.jobs.jobs import Jobs
from ingestion.rebuilding import Rebuilder, RebuildProgress, Watch
from ingestion.syncing import Oversight, SyncProgress, SyncReport

OWNER = Scope(TenantId("default"))
"""Rebuilds concern all tenants; those that start by themselves are listed with this one's jobs."""


def rebuild_work(corpus: Corpus) -> BulkWork:
    """The work of a rebuild job. What it counts as updated are documents that were taken into the new generation."""
    rebuilder = Rebuilder(corpus)

    def rebuild(_scope: Scope, name: str | None, oversight: Oversight) -> SyncReport:
        def tell(standing: RebuildProgress) -> None:
            oversight.progress(SyncProgress(standing.stage, seen=standing.done, total=standing.total))

        watch = Watch(tell, oversight.should_stop, oversight.wait_turn)
        report = rebuilder.rebuild(name, watch)
        return SyncReport(seen=report.documents, updated=report.documents, stopped=not report.complete)

    return rebuild


def submit_wanted(corpus: Corpus, jobs: Jobs) -> None:
    """Submit a rebuild if the settings ask for another generation than the active one, and don't leave it to people."""
    if corpus.wanted is not None and corpus.wanted.automatic:
        jobs.rebuild(OWNER)
