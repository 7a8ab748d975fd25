"""The embedder that runs in the process: any sentence-transformers model, without network."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus.embedders.resolution import ModelFiles
from ingestion.corpus.embedders.tokenizing import SharedTokenizer
from ingestion.errors import ModelUnavailable
from ingestion.settings import EmbedderSettings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_IDENTITY_DIGITS = 12
_UNBOUNDED_TOKENS = 1_000_000
"""`max_tokens` of a model without positions (a table of word vectors), which takes text of any length."""

_CPU_BATCH_TOKENS = 1024
"""Tokens of one forward pass on a CPU, padding included. What a pass writes then stays in the cache: measured a
quarter more chunks per CPU second than with 32 chunks a pass, at a third of the memory."""


class SentenceTransformersEmbedder:
    """Vectors from a model folder. Loading takes seconds; the object is safe to share between threads.

    A forward pass runs on one core, and `settings.threads` of them run at once over the batches of a call. Splitting
    single operations over cores instead is a little faster on an idle machine, but every operation then waits for
    the slowest core: with other work on the machine a query took ten times as long.

    Raises:
        ModelUnavailable: the folder does not hold a text model that the installed libraries can load.
    """

    def __init__(self, files: ModelFiles, settings: EmbedderSettings) -> None:
        import torch

        torch.set_num_threads(1)
        self._torch = torch
        self._threads = settings.threads or _cores()
        self._workers = ThreadPoolExecutor(self._threads, thread_name_prefix="embed")
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = _load(files, self._device, settings.precision)
        self._tokenizer, self._flat_input = _tokenizer_of(self._model, files)
        self._table = _word_table(self._model)
        self._batch_size = settings.batch_size
        self._query_prefix = settings.query_prefix or self._model.prompts.get("query") or ""
        self._document_prefix = settings.document_prefix or self._model.prompts.get("document") or ""
        self._name = _name(files, self._document_prefix)
        self._max_tokens = self._tokenizer.max_tokens or _UNBOUNDED_TOKENS
        self._dimension: int = self._forward([self._tokenizer.ids_of_one("a")]).shape[1]

    @property
    def name(self) -> str:
        """Model and first digits of its weights' SHA-256; a document prefix is part of the vector space too."""
        return self._name

    @property
    def dimension(self) -> int:
        return self._dimension

    @property
    def max_tokens(self) -> int:
        return self._max_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Length of each text in the model's tokens, special tokens and prefix excluded."""
        return self._tokenizer.count(texts)

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`(n, dim) float32`, rows L2-normalised, in input order. Batches hold texts of like length: little padding."""
        vectors = np.empty((len(texts), self._dimension), dtype=np.float32)
        rows = self._tokenizer.ids([self._document_prefix + text for text in texts])
        longest_first = sorted(range(len(rows)), key=lambda i: len(rows[i]), reverse=True)
        batches = list(self._batches(longest_first, rows))
        embedded = self._workers.map(lambda batch: self._forward([rows[i] for i in batch]), batches)
        for batch, result in zip(batches, embedded, strict=True):
            vectors[batch] = result
        return vectors

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """`(dim,) float32`, L2-normalised."""
        vector: NDArray[np.float32] = self._forward([self._tokenizer.ids_of_one(self._query_prefix + text)])[0]
        return vector

    def token_ids(self, text: str) -> list[int]:
        """The text's tokens, without special ones and however many they are."""
        return self._tokenizer.ids_of_text(text)

    def word_vectors(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """`(tokens, width) float32`: what the model's table holds for each token, before any context."""
        vectors: NDArray[np.float32] = self._table[np.array(tokens, dtype=np.int64)]
        return vectors

    def close(self) -> None:
        """Stop the threads; the memory goes with the object."""
        self._workers.shutdown()

    def _batches(self, longest_first: Sequence[int], rows: Sequence[Sequence[int]]) -> Iterator[Sequence[int]]:
        """Positions of the rows of each forward pass; enough passes to keep every thread busy."""
        most_rows = min(self._batch_size, -(-len(rows) // self._threads) or 1)
        start = 0
        while start < len(rows):
            longest = max(1, len(rows[longest_first[start]]))
            size = most_rows if self._device != "cpu" else max(1, min(most_rows, _CPU_BATCH_TOKENS // longest))
            yield longest_first[start : start + size]
            start += size

    def _forward(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """`(n, dim) float32`, rows L2-normalised, of token ids. The modules are called without `encode`'s overhead."""
        with self._torch.inference_mode():
            output = self._model(self._features(rows))["sentence_embedding"]
            vectors: NDArray[np.float32] = output.float().cpu().numpy()
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: NDArray[np.float32] = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
        return unit

    def _features(self, rows: Sequence[Sequence[int]]) -> dict[str, Any]:
        from_numpy = self._torch.from_numpy
        if self._flat_input:
            ids, offsets = self._tokenizer.flatten(rows)
            return {"input_ids": from_numpy(ids).to(self._device), "offsets": from_numpy(offsets).to(self._device)}
        ids, mask = self._tokenizer.pad(rows)
        return {"input_ids": from_numpy(ids).to(self._device), "attention_mask": from_numpy(mask).to(self._device)}


def _load(files: ModelFiles, device: str, precision: str) -> SentenceTransformer:
    """The model, from files alone: no code of the model's author is run and the network is not asked."""
    import torch
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model_options: dict[str, Any] = {"dtype": getattr(torch, precision)}
    if files.packaged:
        model_options["add_pooling_layer"] = False  # the pack has none, and [CLS] is taken before it
    try:
        model = SentenceTransformer(str(files.folder), device=device, local_files_only=True, model_kwargs=model_options)
    except (OSError, ValueError, KeyError, AttributeError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelUnavailable(
            f"{files.folder} cannot be loaded as a sentence-transformers model ({error}); "
            "check PLUMBLINE_EMBEDDER__MODEL"
        ) from error
    return model.eval()


def _word_table(model: SentenceTransformer) -> NDArray[np.float32]:
    """`(vocabulary, width) float32`, in the model's own memory where it is on the CPU; empty if it shows none."""
    inner = getattr(model[0], "auto_model", None)
    if inner is None:
        return np.zeros((0, 0), dtype=np.float32)
    table: NDArray[np.float32] = inner.get_input_embeddings().weight.detach().float().cpu().numpy()
    return table


def _tokenizer_of(model: SentenceTransformer, files: ModelFiles) -> tuple[SharedTokenizer, bool]:
    """The model's tokenizer, and whether the model takes texts end to end (word vectors) instead of padded rows."""
    from tokenizers import Tokenizer

    vendor = model.tokenizer
    if isinstance(vendor, Tokenizer):
        return SharedTokenizer(vendor, max_tokens=None, specials=False), True
    backend = getattr(vendor, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer) or not model.max_seq_length:
        raise ModelUnavailable(
            f"{files.label} is not a text model with a fast tokenizer; set PLUMBLINE_EMBEDDER__MODEL to one that is"
        )
    shared = SharedTokenizer(
        backend,
        max_tokens=int(model.max_seq_length),
        pad_id=int(vendor.pad_token_id or 0),
        pad_left=vendor.padding_side == "left",
    )
    return shared, False


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _name(files: ModelFiles, document_prefix: str) -> str:
    name = f"{files.label}@{files.identity[:_IDENTITY_DIGITS]}"
    if document_prefix:
        name += f"+{hashlib.sha256(document_prefix.encode()).hexdigest()[:8]}"
    return name
