"""An embedder that remembers, so that what a benchmark embeds twice, or in another run, is embedded once."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus.embedding import Embedder


class RememberingEmbedder:
    """Another embedder with a memory. Not for several threads."""

    def __init__(self, embedder: Embedder, memory: dict[tuple[str, str, bool], NDArray[np.float32]]) -> None:
        """`memory`: vectors by embedder, text, and whether it is a query."""
        self._embedder = embedder
        self._memory = memory
        self.name = embedder.name
        self.dimension = embedder.dimension
        self.max_tokens = embedder.max_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self._embedder.count_tokens(texts)

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        new = [text for text in dict.fromkeys(texts) if (self.name, text, False) not in self._memory]
        if new:
            for text, vector in zip(new, self._embedder.embed_documents(new), strict=True):
                self._memory[self.name, text, False] = vector
        return np.stack([self._memory[self.name, text, False] for text in texts])

    def embed_query(self, text: str) -> NDArray[np.float32]:
        key = (self.name, text, True)
        if key not in self._memory:
            self._memory[key] = self._embedder.embed_query(text)
        return self._memory[key]

    def close(self) -> None:
        """The other embedder is closed by who opened it."""


@contextmanager
def remembering(embedder: Embedder, file: Path) -> Iterator[RememberingEmbedder]:
    """The embedder with what `file` remembers; it remembers more afterwards."""
    memory = pickle.loads(file.read_bytes()) if file.exists() else {}
    known = len(memory)
    try:
        yield RememberingEmbedder(embedder, memory)
    finally:
        if len(memory) > known:
            file.write_bytes(pickle.dumps(memory))
