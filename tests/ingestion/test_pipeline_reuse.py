"""What has an embedding is not embedded again: renamed, edited, repeated and copied texts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ingestion.corpus.records import DocumentId, DocumentSource
from ingestion.corpus.scope import Scope, TenantId
from ingestion.pipeline import Run, embedding_text
from ingestion.pipeline.batches import embedding_keys
from tests.ingestion.corpora import SCOPE, Bench, markdown, open_bench, settings_for

SECTIONS = [
    f"## Step {number}\n\n" + f"Stage {number} of the move drains pool {number * 7} before the next. " * 12 + "\n\n"
    for number in range(6)
]
GUIDE = "# Moving the archive\n\n" + "".join(SECTIONS)


@pytest.fixture
def bench(tmp_path: Path, models_dir: Path) -> Iterator[Bench]:
    with open_bench(settings_for(tmp_path, models_dir)) as bench:
        yield bench


def done(bench: Bench, *sources: DocumentSource, scope: Scope = SCOPE) -> tuple[Run, int]:
    """The run over these documents, and how many chunks it wrote."""
    run = bench.pipeline.ingest(scope, sources)
    return run, sum(outcome.chunks for outcome in run)


def test_a_renamed_document_is_not_embedded_again(bench: Bench) -> None:
    _, chunks = done(bench, markdown("before", GUIDE))
    run, again = done(bench, markdown("after", GUIDE))
    assert chunks == again > 3
    assert run.embedded == 0


def test_of_an_edited_document_only_what_changed_is_embedded(bench: Bench) -> None:
    done(bench, markdown("guide", GUIDE))
    run, chunks = done(bench, markdown("guide", GUIDE.replace("pool 21", "pool 22")))
    assert chunks > 3
    assert run.embedded == 1
    assert bench.corpus.find_exact(SCOPE, "pool 21") == ()


def test_equal_texts_of_one_run_are_embedded_once(bench: Bench) -> None:
    run, chunks = done(bench, *(markdown(f"copy-{number}", GUIDE) for number in range(4)))
    assert chunks == 4 * run.embedded


def test_another_tenant_embeds_for_itself(bench: Bench) -> None:
    done(bench, markdown("guide", GUIDE))
    run, chunks = done(bench, markdown("guide", GUIDE), scope=Scope(TenantId("other")))
    assert run.embedded == chunks > 0


def test_the_vectors_that_are_taken_over_are_those_of_the_text(bench: Bench) -> None:
    done(bench, markdown("before", GUIDE))
    done(bench, markdown("after", GUIDE))
    hits = [hit for hit in bench.corpus.find_exact(SCOPE, "Stage") if hit.document.id == "after"]
    texts = [embedding_text(hit.document.title, hit.chunk) for hit in hits]
    keys = embedding_keys("Moving the archive", [hit.chunk for hit in hits])
    vectors = bench.corpus.writer.known_vectors(SCOPE, keys)
    expected = bench.corpus.embedder.embed_documents(texts)
    np.testing.assert_allclose([vectors[key] for key in keys], expected, atol=1e-3)


def test_a_deleted_document_gives_no_vectors_and_embeds_anew(bench: Bench) -> None:
    done(bench, markdown("guide", GUIDE))
    bench.corpus.delete_document(SCOPE, DocumentId("guide"))
    run, chunks = done(bench, markdown("guide", GUIDE))
    assert run.embedded == chunks > 0
