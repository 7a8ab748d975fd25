"""The embedder protocol: text in, L2-normalised vectors out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ingestion.settings import EmbedderSettings


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


@runtime_checkable
class WordVectors(Protocol):
    """An embedder in the process, whose own table of tokens can be read."""

    @property
    def name(self) -> str: ...

    def token_ids(self, text: str) -> list[int]:
        """The text's tokens, without special ones and however many they are."""
        ...

    def word_vectors(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """`(tokens, width) float32`: what the model's table holds for each token, before any context."""
        ...


@dataclass(frozen=True, slots=True)
class EmbedderPlan:
    """An embedder that could be had: its files are checked, its weights not yet in memory.

    `fingerprint` tells whether it can be the same embedder as before, without loading it.
    """

    fingerprint: str
    load: Callable[[], Embedder]


def plan_embedder(settings: EmbedderSettings, models_dir: Path) -> EmbedderPlan:
    """The embedder that the settings name. `models_dir` keeps rebuilt and fetched model folders.

    Raises:
        ModelIntegrityError: weights whose hash is not the expected one.
        ModelUnavailable: no such model, or it cannot be fetched.

    `load` raises ModelUnavailable, too; ConfigurationError if an endpoint refuses the key, the model or the
    dimension; BackendUnavailable if it does not answer.
    """
    if settings.provider == "openai":
        from ingestion.corpus.embedders.openai_compatible import OpenAIEmbedder

        described = f"openai:{settings.model}:{settings.dimension}:{settings.document_prefix}"
        return EmbedderPlan(described, lambda: OpenAIEmbedder(settings))
    from ingestion.corpus.embedders.resolution import resolve_model
    from ingestion.corpus.embedders.sentence_transformers import SentenceTransformersEmbedder

    files = resolve_model(settings, models_dir)
    described = f"local:{files.label}@{files.identity}:{settings.document_prefix}"
    return EmbedderPlan(described, lambda: SentenceTransformersEmbedder(files, settings))


def open_embedder(settings: EmbedderSettings, models_dir: Path) -> Embedder:
    """The embedder that the settings name, ready to use. Raises what `plan_embedder` and its `load` raise."""
    return plan_embedder(settings, models_dir).load()
