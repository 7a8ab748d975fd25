"""The endpoint embedder against a real HTTP server that misbehaves in the ways endpoints do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from ingestion.corpus.embedders.openai_compatible import OpenAIEmbedder
from ingestion.corpus.embedding import Embedder, open_embedder
from ingestion.errors import BackendUnavailable, ConfigurationError, DimensionMismatch
from ingestion.settings import EmbedderSettings
from tests.embeddings_endpoint import KEY, MODEL, Endpoint, running_endpoint


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedder]:
    with closing(open_embedder(EmbedderSettings(), tmp_path_factory.mktemp("models"))) as opened:
        yield opened


@pytest.fixture
def endpoint(local: Embedder) -> Iterator[Endpoint]:
    with running_endpoint(local) as served:
        yield served


def settings_for(endpoint: Endpoint, **changed: object) -> EmbedderSettings:
    values = {"provider": "openai", "base_url": endpoint.url, "model": MODEL, "api_key": KEY, "dimension": 384}
    return EmbedderSettings.model_validate(values | changed)


def test_vectors_are_those_of_the_model_and_normalised(endpoint: Endpoint, local: Embedder, tmp_path: Path) -> None:
    texts = [f"text {i}" for i in range(7)]

    with closing(open_embedder(settings_for(endpoint, batch_size=3), tmp_path)) as embedder:
        vectors = embedder.embed_documents(texts)

    np.testing.assert_allclose(vectors, local.embed_documents(texts), atol=1e-5)
    assert endpoint.requests == 3


def test_the_dimension_is_asked_for_once_if_it_is_not_set(endpoint: Endpoint) -> None:
    with closing(OpenAIEmbedder(settings_for(endpoint, dimension=None))) as embedder:
        assert (embedder.dimension, endpoint.requests) == (384, 1)
        assert embedder.name == f"{MODEL}@endpoint-384"


def test_a_known_dimension_needs_no_call_at_start(endpoint: Endpoint) -> None:
    with closing(OpenAIEmbedder(settings_for(endpoint))):
        assert endpoint.requests == 0


def test_an_endpoint_that_knows_only_floats_is_asked_for_floats(endpoint: Endpoint, local: Embedder) -> None:
    endpoint.only_float = True

    with closing(OpenAIEmbedder(settings_for(endpoint))) as embedder:
        np.testing.assert_allclose(embedder.embed_query("a"), local.embed_query("a"), atol=1e-5)
        embedder.embed_query("b")

    assert endpoint.requests == 3


def test_vectors_are_ordered_by_their_index(endpoint: Endpoint, local: Embedder) -> None:
    endpoint.reverse = True

    with closing(OpenAIEmbedder(settings_for(endpoint))) as embedder:
        vectors = embedder.embed_documents(["one", "two", "three"])

    np.testing.assert_allclose(vectors, local.embed_documents(["one", "two", "three"]), atol=1e-5)


@pytest.mark.parametrize("failures", [[503], [429, 500]])
def test_passing_failures_are_tried_again(failures: list[int], endpoint: Endpoint) -> None:
    endpoint.failures = failures

    with closing(OpenAIEmbedder(settings_for(endpoint))) as embedder:
        assert embedder.embed_query("a").shape == (384,)


def test_a_failing_endpoint_is_unavailable_after_bounded_retries(endpoint: Endpoint) -> None:
    endpoint.failures = [500] * 100

    with closing(OpenAIEmbedder(settings_for(endpoint))) as embedder, pytest.raises(BackendUnavailable) as caught:
        embedder.embed_query("a")

    assert caught.value.retryable
    assert endpoint.requests == 3


def test_nobody_listening_is_unavailable(endpoint: Endpoint) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        embedder = OpenAIEmbedder(settings_for(endpoint, base_url=url))
        with closing(embedder), pytest.raises(BackendUnavailable, match="did not answer"):
            embedder.embed_query("a")


@pytest.mark.parametrize(
    ("changed", "setting"),
    [
        ({"api_key": "wrong"}, "PLUMBLINE_EMBEDDER__API_KEY"),
        ({"model": "unknown"}, "PLUMBLINE_EMBEDDER__MODEL"),
    ],
)
def test_a_refusal_names_the_setting_and_is_not_tried_again(
    changed: dict[str, object], setting: str, endpoint: Endpoint
) -> None:
    embedder = OpenAIEmbedder(settings_for(endpoint, **changed))
    with closing(embedder), pytest.raises(ConfigurationError, match=setting) as caught:
        embedder.embed_query("a")

    assert endpoint.requests == 1
    assert "wrong" not in caught.value.detail


def test_a_wrong_path_names_the_address(endpoint: Endpoint) -> None:
    embedder = OpenAIEmbedder(settings_for(endpoint, base_url=endpoint.url.removesuffix("/v1")))
    with closing(embedder), pytest.raises(ConfigurationError, match="PLUMBLINE_EMBEDDER__BASE_URL"):
        embedder.embed_query("a")


def test_another_dimension_is_refused(endpoint: Endpoint) -> None:
    endpoint.dimension = 100

    embedder = OpenAIEmbedder(settings_for(endpoint))
    with closing(embedder), pytest.raises(DimensionMismatch, match="100 numbers, expected 384"):
        embedder.embed_documents(["a"])


def test_a_missing_vector_is_refused(endpoint: Endpoint) -> None:
    endpoint.drop_last = True

    embedder = OpenAIEmbedder(settings_for(endpoint))
    with closing(embedder), pytest.raises(BackendUnavailable, match="1 vectors, or misnumbered ones, for 2 texts"):
        embedder.embed_documents(["a", "b"])


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b'{"data": [{"index": 0, "embedding": [0.0, 0.0, 0.0]}]}',
        b'{"data": [{"index": 0, "embedding": [NaN, 1.0, 0.0]}]}',
        b'{"data": [{"index": 0, "embedding": "not base64!"}]}',
        b'{"data": [{"index": 0, "embedding": "AAA="}]}',
        b'{"data": [{"embedding": [1.0, 0.0, 0.0]}]}',
        b'{"data": [17]}',
        b'["a"]',
        b"<html>",
    ],
)
def test_rubbish_is_refused(raw: bytes, endpoint: Endpoint) -> None:
    endpoint.raw = raw

    embedder = OpenAIEmbedder(settings_for(endpoint, dimension=3))
    with closing(embedder), pytest.raises((BackendUnavailable, ConfigurationError), match="embeddings endpoint"):
        embedder.embed_query("a")


def test_the_key_never_prints(endpoint: Endpoint) -> None:
    settings = settings_for(endpoint)

    assert KEY not in repr(settings)
