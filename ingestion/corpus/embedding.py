"""The embedder protocol: text in, L2-normalised vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Embedder(Protocol):
    """Implementations are safe to call from several threads."""

    @property
    def name(self) -> str:
        """Identity of the vector space, for instance `ibm-granite/granite-embedding-30m-english@0ab1…`."""
        ...

    @property
    def dimension(self) -> int: ...

    @property
    def max_tokens(self) -> int:
        """Longest input in the embedder's own tokens, special tokens included; longer text is cut by the model."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Length of each text in the embedder's own tokens, special tokens excluded."""
        ...

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`(n, dim) float32`, rows L2-normalised, in input order."""
        ...

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """`(dim,) float32`, L2-normalised."""
        ...

    def close(self) -> None: ...
