"""The server deployment on real parts: a Qdrant server, Postgres, an API side that queues and a worker that works."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from ingestion.corpus.corpus import open_corpus
from ingestion.corpus.filters import parse
from ingestion.corpus.index.engine import IndexQuery, Legs
from ingestion.corpus.records import DocumentId
from ingestion.errors import BackendUnavailable, InvalidRequest
from ingestion.job_store import JobState
from ingestion.jobs import open_jobs, run_worker
from ingestion.settings import Settings
from tests.ingestion.corpora import SCOPE, markdown, open_bench, stored
from tests.servers import running_qdrant

pytestmark = [pytest.mark.qdrant_server, pytest.mark.postgres]

TEXT = "# Restart\n\nDrain the node, then restart it.\n\n```sh\nkubectl drain node-7\n```\n"


@pytest.fixture
def settings(tmp_path: Path, models_dir: Path, postgres_url: str) -> Iterator[Settings]:
    with running_qdrant(Path(os.environ["PLUMBLINE_TEST_QDRANT"]), tmp_path / "qdrant") as server:
        yield Settings(
            data_dir=tmp_path / "data",
            models_dir=models_dir,
            database_url=SecretStr(postgres_url),
            index=server.settings("deployment"),
        )


def test_documents_come_change_and_go(settings: Settings) -> None:
    with open_bench(settings) as bench:
        bench.ingest(markdown("restart", TEXT, metadata={"team": "platform"}), markdown("empty", " "))
        bench.ingest(markdown("restart", TEXT.replace("node-7", "node-8"), metadata={"team": "platform"}))
        query = IndexQuery(
            bench.corpus.embedder.embed_query("how do I drain a node"),
            bench.corpus.sparse.encode_query("how do I drain a node"),
            filter=parse({"must": [{"key": "metadata.team", "in": ["platform"]}]}),
        )
        legs = bench.corpus.search(SCOPE, query)

        assert bench.corpus.find_exact(SCOPE, "node-7") == ()
        assert len(legs.dense) == len(legs.sparse) == 1
        assert [chunk.document.id for chunk in bench.corpus.get_chunks(SCOPE, [legs.dense[0].id]).values()] == [
            "restart"
        ]
        with pytest.raises(InvalidRequest):
            bench.corpus.search(SCOPE, IndexQuery(filter=parse({"must": [{"key": "metadata.x", "in": ["y"]}]})))
        held = stored(bench.corpus)
    with open_bench(settings) as bench:
        assert stored(bench.corpus) == held
        bench.corpus.delete_document(SCOPE, DocumentId("restart"))
        assert bench.corpus.search(SCOPE, query) == Legs()
        assert set(bench.corpus.states().values()) == {"ok"}


def test_a_job_queued_by_one_side_is_done_by_the_worker(settings: Settings) -> None:
    with open_corpus(settings) as api_side, open_jobs(settings, api_side) as jobs:
        job = jobs.submit(SCOPE, [markdown("restart", TEXT)])
        assert jobs.wait(SCOPE, job.id, 0.3).state is JobState.QUEUED
        with open_corpus(settings) as worker_side, run_worker(settings, worker_side):
            assert jobs.wait(SCOPE, job.id, 120).state is JobState.SUCCEEDED
        assert len(api_side.find_exact(SCOPE, "kubectl drain")) == 1


def test_an_absent_database_is_a_clear_error(settings: Settings) -> None:
    nowhere = settings.model_copy(update={"database_url": SecretStr("postgresql://app:secret@127.0.0.1:1/none")})
    with pytest.raises(BackendUnavailable, match=r"127\.0\.0\.1:1/none") as caught, open_corpus(nowhere):
        pass
    assert "secret" not in str(caught.value)
