"""An embedder that is known by name and size before its weights are in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus.embedding import Embedder, WordVectors
from ingestion.errors import ConfigurationError, DimensionMismatch


class DeferredEmbedder:
    """Loads the model at first use, so that work which embeds nothing does not wait for it.

    The first use raises what loading raises, and DimensionMismatch or ConfigurationError if the model is not the
    one that `name` and `dimension` promise.
    """

    def __init__(self, load: Callable[[], Embedder], *, name: str, dimension: int) -> None:
        self._load = load
        self._name = name
        self._dimension = dimension
        self._lock = threading.Lock()
        self._embedder: Embedder | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def dimension(self) -> int:
        return self._dimension

    @property
    def max_tokens(self) -> int:
        return self._loaded().max_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self._loaded().count_tokens(texts)

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._loaded().embed_documents(texts)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        return self._loaded().embed_query(text)

    def token_ids(self, text: str) -> list[int]:
        """As the model's own. Raises: see `word_vectors`."""
        return self._with_words().token_ids(text)

    def word_vectors(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """As the model's own. Raises: TypeError if it runs elsewhere and shows no table; its name tells."""
        return self._with_words().word_vectors(tokens)

    def close(self) -> None:
        if self._embedder is not None:
            self._embedder.close()

    def _with_words(self) -> WordVectors:
        embedder = self._loaded()
        if not isinstance(embedder, WordVectors):
            raise TypeError(f"{self._name} has no word vectors")
        return embedder

    def _loaded(self) -> Embedder:
        if self._embedder is None:
            with self._lock:
                if self._embedder is None:
                    embedder = self._load()
                    require_same_space(embedder, name=self._name, dimension=self._dimension)
                    self._embedder = embedder
        return self._embedder


def require_same_space(embedder: Embedder, *, name: str, dimension: int) -> None:
    """Raises: DimensionMismatch or ConfigurationError if the embedder is not the one that the index was built with."""
    mend = "set PLUMBLINE_EMBEDDER__MODEL back, or ingest anew with another PLUMBLINE_DATA_DIR or index prefix"
    if embedder.dimension != dimension:
        raise DimensionMismatch(
            f"{embedder.name} gives vectors of {embedder.dimension} numbers, but the index holds vectors of "
            f"{dimension}, made by {name}: {mend}"
        )
    if embedder.name != name:
        raise ConfigurationError(f"the index was made with {name}, but the settings name {embedder.name}: {mend}")
