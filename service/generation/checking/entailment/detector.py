"""A second opinion by setting: an NLI model or a detector of made-up text, any folder that transformers can load.

It can only hold a sentence back, never lift one. What its opinion does to a verdict is left to `grounding`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ingestion.corpus.embedders.resolution import ModelFiles, WantedModel, resolve_files
from ingestion.errors import ModelUnavailable
from service.settings import GroundingSettings

_OPTIONS = (
    "PLUMBLINE_GROUNDING__MODEL may be a folder that holds a model for sequence or token classification, or a model id "
    "of a hub that can be reached; unset, the built-in classifier judges alone"
)
_MEND = "check PLUMBLINE_GROUNDING__MODEL"
_SUPPORTING = ("entail", "supported", "consistent", "faithful", "factual")
_OPPOSING = ("not", "non", "un", "in", "contra", "halluc")
_MADE_UP = ("halluc", "unsupported", "baseless")
_FAILURES = (RuntimeError, ValueError, IndexError, KeyError, TypeError)
"""What a model or its tokenizer raises over one input, or for want of memory."""


def open_detector(settings: GroundingSettings, models_dir: Path) -> Detector | None:
    """The model that the settings name, in memory and tried once; None if they name none.

    Raises:
        ModelIntegrityError: weights whose hash is not the expected one.
        ModelUnavailable: no such model, none that tells support, or it cannot be fetched.
    """
    if settings.model is None:
        return None
    wanted = WantedModel(settings.model, settings.revision, settings.sha256, "PLUMBLINE_GROUNDING__", _OPTIONS)
    return Detector(resolve_files(wanted, models_dir), settings.max_tokens)


class Detector:
    """Probability that passages support a sentence, from a model folder. Safe to share between threads.

    A sequence classifier reads passages and sentence as premise and hypothesis, and tells by its label for entailment.
    A token classifier reads question, passages and sentence; the likeliest made-up token of the sentence tells.

    Raises:
        ModelUnavailable: the folder holds no such model, or its labels don't say which one means support.
    """

    def __init__(self, files: ModelFiles, max_tokens: int) -> None:
        import torch

        torch.set_num_threads(1)
        self._torch = torch
        self._tokenizing = threading.Lock()
        self._tokenizer, self._model = _load(files)
        self._by_token = type(self._model).__name__.endswith("ForTokenClassification")
        self._label = _label(self._model.config, by_token=self._by_token)
        self._max_tokens = min(max_tokens, _positions(self._model.config))
        try:
            self._forward("is it loaded?", "it is")
        except _FAILURES as error:
            raise ModelUnavailable(f"{files.folder} was loaded but judges nothing ({error}); {_MEND}") from error

    def supported(self, sentence: str, passages: Sequence[str], question: str) -> float | None:
        """The model's probability; None if it fails on this input."""
        premise = "\n\n".join(([question] if self._by_token and question else []) + list(passages))
        try:
            return self._forward(premise, sentence)
        except _FAILURES:
            return None

    def _forward(self, premise: str, sentence: str) -> float:
        with self._tokenizing:
            encoded = self._tokenizer(
                premise, sentence, truncation="only_first", max_length=self._max_tokens, return_tensors="pt"
            )
        with self._torch.inference_mode():
            logits = self._model(**encoded).logits[0].float()
        if not self._by_token:
            chances = logits.sigmoid() if len(logits) == 1 else logits.softmax(-1)
            return float(chances[self._label])
        own = [at for at, part in enumerate(encoded.sequence_ids(0)) if part == 1]
        return 1 - float(logits.softmax(-1)[own, self._label].max())


def _load(files: ModelFiles) -> tuple[Any, Any]:
    """Tokenizer and model, from files alone: no code of the model's author is run and the network is not asked."""
    from safetensors import SafetensorError
    from transformers import (
        AutoConfig,
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
        AutoTokenizer,
    )
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    folder = str(files.folder)
    try:
        kinds = AutoConfig.from_pretrained(folder, local_files_only=True).architectures or [""]
        by_token = str(kinds[0]).endswith("ForTokenClassification")
        loader = AutoModelForTokenClassification if by_token else AutoModelForSequenceClassification
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = loader.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, AttributeError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelUnavailable(f"{folder} cannot be loaded as a classifier ({error}); {_MEND}") from error
    return tokenizer, model.eval()


def _label(config: Any, *, by_token: bool) -> int:
    """Index of the label that means support, or for tokens of the one that means made up."""
    names = {int(index): str(name).casefold() for index, name in config.id2label.items()}
    if len(names) == 1 and not by_token:
        return 0
    for index, name in names.items():
        if by_token and any(mark in name for mark in _MADE_UP):
            return index
        if not by_token and name.startswith(_SUPPORTING) and not name.startswith(_OPPOSING):
            return index
    if by_token and len(names) == 2:
        return 1
    raise ModelUnavailable(f"none of the labels {', '.join(names.values())} says which means support; {_MEND}")


def _positions(config: Any) -> int:
    """Tokens that the model has positions for; models of RoBERTa's family count them from behind the padding id."""
    positions = int(getattr(config, "max_position_embeddings", 0) or 0)
    if positions <= 0:
        return 512
    if getattr(config, "model_type", "") in ("roberta", "xlm-roberta", "camembert", "mpnet"):
        positions -= (getattr(config, "pad_token_id", 1) or 0) + 1
    return positions
