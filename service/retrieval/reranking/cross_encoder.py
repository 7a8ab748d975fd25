"""The reranker that runs in the process: any sentence-transformers cross-encoder, read from files alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from ingestion.corpus.embedders.resolution import ModelFiles
from ingestion.errors import ModelUnavailable
from service.retrieval.reranking.reranker import RerankSkip, Scored
from service.settings import RerankerSettings

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

_IDENTITY_DIGITS = 12
_FAILURES = (RuntimeError, ValueError, IndexError, KeyError, TypeError)
"""What a model or its tokenizer raises over one input, or for want of memory."""
_NO_LIMIT = 100_000
"""A tokenizer without a longest input of its own names an absurd one, beyond this."""


class CrossEncoderReranker:
    """Scores from a model folder. Loading takes seconds; the object is safe to share between threads.

    A pass runs on one core (docs/decisions/0012-one-core-per-pass.md), so searches at one time use several. Passages
    go through in small batches in their order, so that a budget ends with a whole head scored: before each batch the
    clock is asked whether one more, as slow as the slowest before it, still fits.

    Raises:
        ModelUnavailable: the folder does not hold a cross-encoder with one score that the libraries can load.
    """

    def __init__(self, files: ModelFiles, settings: RerankerSettings, clock: Callable[[], float] = monotonic) -> None:
        import torch

        torch.set_num_threads(1)
        self._torch = torch
        self._clock = clock
        self._batch_size = settings.batch_size
        self._name = f"{files.label}@{files.identity[:_IDENTITY_DIGITS]}"
        # The vendor sets truncation and padding on its one tokenizer at every call, which fails under threads.
        self._tokenizing = threading.Lock()
        self._model = _load(files, settings.max_tokens)
        self._prompt = self._model.prompts.get(self._model.default_prompt_name or "")
        self._activation = self._model.activation_fn or torch.nn.Identity()
        self._probabilities = isinstance(self._activation, torch.nn.Sigmoid)
        try:
            self._forward("is it loaded?", ["yes", "it is"])
        except _FAILURES as error:
            raise ModelUnavailable(
                f"{files.folder} was loaded but scores nothing ({error}); check PLUMBLINE_RERANKER__MODEL"
            ) from error

    @property
    def name(self) -> str:
        """Model and first digits of its weights' SHA-256."""
        return self._name

    @property
    def probabilities(self) -> bool:
        return self._probabilities

    def score(self, query: str, passages: Sequence[str], deadline: float) -> Scored:
        """Scores as the model's own activation gives them: logits or, after a sigmoid, numbers in [0, 1]."""
        scores: list[float] = []
        slowest = 0.0
        now = self._clock()
        for start in range(0, len(passages), self._batch_size):
            if now + slowest >= deadline:
                return Scored(tuple(scores), RerankSkip.OUT_OF_TIME)
            try:
                scores += self._forward(query, passages[start : start + self._batch_size])
            except _FAILURES:
                return Scored(stopped=RerankSkip.MODEL_FAILED)
            before, now = now, self._clock()
            slowest = max(slowest, now - before)
        return Scored(tuple(scores))

    def close(self) -> None:
        """The memory goes with the object."""

    def _forward(self, query: str, passages: Sequence[str]) -> list[float]:
        """One score per passage. The modules are called without `predict`'s overhead."""
        with self._tokenizing:
            features = self._model.preprocess([(query, passage) for passage in passages], prompt=self._prompt)
        device = self._model.device
        moved = {name: value.to(device) if hasattr(value, "to") else value for name, value in features.items()}
        with self._torch.inference_mode():
            logits = self._model(moved)["scores"].float()
            scores: list[float] = self._activation(logits).reshape(-1).tolist()
        return scores


def _load(files: ModelFiles, max_tokens: int) -> CrossEncoder:
    """The model, from files alone: no code of the model's author is run and the network is not asked."""
    from safetensors import SafetensorError
    from sentence_transformers import CrossEncoder
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    mend = "check PLUMBLINE_RERANKER__MODEL"
    try:
        model: CrossEncoder = CrossEncoder(str(files.folder), local_files_only=True)
    except (OSError, ValueError, KeyError, AttributeError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelUnavailable(f"{files.folder} cannot be loaded as a cross-encoder ({error}); {mend}") from error
    if model.num_labels != 1:
        raise ModelUnavailable(
            f"{files.folder} gives {model.num_labels} numbers for a pair, a reranker gives one score; {mend}"
        )
    model.max_seq_length = _longest_input(model, max_tokens)
    model.eval()
    return model


def _longest_input(model: CrossEncoder, max_tokens: int) -> int:
    """Tokens of query and passage together that the model reads: as set, never more than it has positions for."""
    config: Any = model.config
    positions = getattr(config, "max_position_embeddings", None) or _NO_LIMIT
    # Models of RoBERTa's family count positions from behind the padding id.
    if getattr(config, "model_type", "") in ("roberta", "xlm-roberta", "camembert", "mpnet"):
        positions -= (getattr(config, "pad_token_id", 1) or 0) + 1
    own = model.max_seq_length or _NO_LIMIT
    return int(min(max_tokens, positions, own))
