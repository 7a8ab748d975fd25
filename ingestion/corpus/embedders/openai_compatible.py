"""The embedder behind any OpenAI-compatible `/embeddings` endpoint; every answer is checked before it is used."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus.encodings import ExactCounter
from ingestion.errors import BackendUnavailable, ConfigurationError, DimensionMismatch, PlumblineError
from ingestion.settings import EmbedderSettings

if TYPE_CHECKING:
    from openai import APIError
    from openai.types import CreateEmbeddingResponse

_RETRIES = 2
_MOST_TEXTS_PER_CALL = 2048
_NO_KEY = "none"
_REFUSED_ENCODING = frozenset({400, 415, 422})
_PASSING_STATUS = frozenset({408, 409, 425, 429})


class OpenAIEmbedder:
    """Vectors from an endpoint. Asks it once at construction unless `settings.dimension` is set.

    Tokens are counted with `cl100k_base`, as OpenAI's own embedding models do; other models count a little
    differently.

    Raises:
        ConfigurationError: the endpoint refuses the key, the model or the request.
        BackendUnavailable: it did not answer, after bounded retries.
    """

    def __init__(self, settings: EmbedderSettings) -> None:
        from openai import OpenAI

        key = settings.api_key.get_secret_value() if settings.api_key else _NO_KEY
        self._client = OpenAI(base_url=settings.base_url, api_key=key, timeout=settings.timeout_s, max_retries=_RETRIES)
        self._settings = settings
        self._counter = ExactCounter("cl100k_base")
        self._format: Literal["base64", "float"] = "base64"
        self._batch_size = min(settings.batch_size, _MOST_TEXTS_PER_CALL)
        self._dimension: int | None = settings.dimension
        if self._dimension is None:
            self._dimension = self._call(["dimension"]).shape[1]

    @property
    def name(self) -> str:
        """Model, dimension and a hash of the document prefix if there is one: all that is known of the vector space."""
        prefix = self._settings.document_prefix
        mark = f"+{hashlib.sha256(prefix.encode()).hexdigest()[:8]}" if prefix else ""
        return f"{self._settings.model}@endpoint-{self.dimension}{mark}"

    @property
    def dimension(self) -> int:
        assert self._dimension is not None
        return self._dimension

    @property
    def max_tokens(self) -> int:
        return self._settings.max_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [self._counter.count(text) for text in texts]

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`(n, dim) float32`, rows L2-normalised, in input order; a text over `max_tokens` is cut."""
        prefixed = [self._settings.document_prefix + text for text in texts]
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for start in range(0, len(texts), self._batch_size):
            batch = prefixed[start : start + self._batch_size]
            vectors[start : start + len(batch)] = self._call(batch)
        return vectors

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """`(dim,) float32`, L2-normalised."""
        vector: NDArray[np.float32] = self._call([self._settings.query_prefix + text])[0]
        return vector

    def close(self) -> None:
        """Close the connections to the endpoint."""
        self._client.close()

    def _call(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`(n, dim) float32`, rows L2-normalised, of one batch."""
        from openai import APIConnectionError, APIError, APIStatusError

        # Endpoints refuse an empty string; a space means as little.
        cut = [self._counter.cut(text, self.max_tokens) or " " for text in texts]
        try:
            try:
                answer = self._create(cut)
            except APIStatusError as error:
                if self._format == "float" or error.status_code not in _REFUSED_ENCODING:
                    raise
                self._format = "float"  # some endpoints know only the one; asked once
                answer = self._create(cut)
        except APIConnectionError as error:
            raise BackendUnavailable(f"{self._place} did not answer ({error})") from error
        except APIError as error:
            raise self._translated(error) from error
        except ValueError as error:  # a success whose body is no JSON
            raise self._not_embeddings() from error
        return self._checked(answer, len(texts))

    def _create(self, texts: list[str]) -> CreateEmbeddingResponse:
        return self._client.embeddings.create(model=self._settings.model, input=texts, encoding_format=self._format)

    @property
    def _place(self) -> str:
        return f"the embeddings endpoint {self._settings.base_url}"

    def _not_embeddings(self) -> ConfigurationError:
        return ConfigurationError(f"{self._place} does not answer with embeddings; check PLUMBLINE_EMBEDDER__BASE_URL")

    def _translated(self, error: APIError) -> PlumblineError:
        status = getattr(error, "status_code", None)
        if status in (401, 403):
            return ConfigurationError(f"{self._place} refuses the key ({status}); check PLUMBLINE_EMBEDDER__API_KEY")
        if status == 404:
            return ConfigurationError(
                f"{self._place} knows no model {self._settings.model!r} (404); check PLUMBLINE_EMBEDDER__MODEL "
                "and PLUMBLINE_EMBEDDER__BASE_URL, which usually ends in /v1"
            )
        if status is None or status >= 500 or status in _PASSING_STATUS:
            return BackendUnavailable(f"{self._place} failed ({status or error})")
        return ConfigurationError(
            f"{self._place} refuses the request ({status}: {error.message}); if the text is too long for the model, "
            "lower PLUMBLINE_EMBEDDER__MAX_TOKENS"
        )

    def _checked(self, answer: CreateEmbeddingResponse, texts: int) -> NDArray[np.float32]:
        """The answer's vectors in input order. Raises if any is missing, doubled, of another size or not a number."""
        data = getattr(answer, "data", None)
        if not isinstance(data, list):
            raise self._not_embeddings()
        by_index = {getattr(item, "index", None): getattr(item, "embedding", None) for item in data}
        if len(data) != texts or by_index.keys() != set(range(texts)):
            raise BackendUnavailable(
                f"{self._place} answered {len(data)} vectors, or misnumbered ones, for {texts} texts"
            )
        try:
            rows = [_vector(by_index[index]) for index in range(texts)]
        except (TypeError, ValueError) as error:
            raise BackendUnavailable(f"{self._place} answered what is not a vector ({error})") from error
        expected = self._dimension or rows[0].size
        wrong = next((row.size for row in rows if row.size != expected), None)
        if wrong is not None:
            raise DimensionMismatch(
                f"{self._place} gives vectors of {wrong} numbers, expected {expected}; check "
                "PLUMBLINE_EMBEDDER__DIMENSION and PLUMBLINE_EMBEDDER__MODEL"
            )
        vectors = np.stack(rows)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (np.isfinite(norms).all() and norms.all()):
            raise BackendUnavailable(f"{self._place} answered a vector that is zero or not a number")
        unit: NDArray[np.float32] = vectors / norms
        return unit


def _vector(embedding: object) -> NDArray[np.float32]:
    """`(dim,) float32` of a JSON list or of base64 little-endian float32."""
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4").astype(np.float32, copy=False)
    vector: NDArray[np.float32] = np.asarray(embedding, dtype=np.float32).reshape(-1)
    return vector
