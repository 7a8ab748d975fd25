"""The classifier at work on one answer: passages are read once, sentences compared with those they cite.

What label a probability earns, and what exact facts forbid, is left to `grounding`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ingestion.corpus.embedding import Embedder, WordVectors
from service.generation.checking.entailment import alignment, features
from service.generation.checking.entailment.alignment import Vectors, alignment_features, rarity_features, unit_rows
from service.generation.checking.entailment.features import Claim, is_strange, lexical_features, new_words
from service.generation.checking.entailment.model import Thresholds, Weights, load_weights
from service.generation.checking.entailment.words import (
    PassageWords,
    WordReader,
    passage_numbers,
    without_passage_numbers,
)
from service.generation.checking.evidence import Evidence
from service.generation.checking.exactness import Findings
from service.settings import GroundingSettings

if TYPE_CHECKING:
    from service.generation.checking.entailment.detector import Detector

LEXICAL_NAMES = features.NAMES
FULL_NAMES = (*features.NAMES, *alignment.NAMES)


@dataclass(frozen=True, slots=True)
class EntailmentModel:
    """The weights to use, with the embedder if they need one. Read-only: one for the whole process.

    `supported_from` stands in for the calibrated threshold; `detector` gives a second opinion.
    """

    weights: Weights
    embedder: WordVectors | None
    supported_from: float | None = None
    detector: Detector | None = None
    detector_from: float = 0.5


@dataclass(frozen=True, slots=True)
class Opinion:
    """The calibrated probability that passages support a sentence, and that of the model set beside it, if any.

    `doubted`: the latter lies below what it must reach, or passages and question hold too few of the words.
    """

    supported: float
    second: float | None = None
    doubted: bool = False


def open_entailment(
    embedder: Embedder | None = None, settings: GroundingSettings | None = None, models_dir: Path | None = None
) -> EntailmentModel:
    """The full classifier where the embedder is the one it was fitted with, else the one that reads words alone.

    Reads files: to be opened once for the process. `models_dir` keeps a fetched model, if the settings name one.

    Raises:
        ModelIntegrityError: weights whose hash is not the expected one.
        ModelUnavailable: no such model as the settings name, or it cannot be fetched.
    """
    settings = settings or GroundingSettings()
    detector = None
    if settings.model is not None:
        from service.generation.checking.entailment.detector import open_detector

        assert models_dir is not None
        detector = open_detector(settings, models_dir)
    weights, table = load_weights("full"), embedder
    if not isinstance(table, WordVectors) or table.name != weights.embedder:
        weights, table = load_weights("lexical"), None
    return EntailmentModel(weights, table, settings.supported_from, detector, settings.model_supported_from)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """`evidence` is kept so that its id stays its own."""

    evidence: Evidence
    words: PassageWords
    vectors: Vectors


class Entailment:
    """One answer's use of the model: one thread at a time. `shown` are the passages by number, for "passage 2 says"."""

    def __init__(self, model: EntailmentModel, shown: Sequence[Evidence] = ()) -> None:
        self._model = model
        self._shown = tuple(shown)
        self._reader = WordReader()
        self._prepared: dict[int, _Prepared] = {}
        self._asked: dict[str, tuple[frozenset[str], Vectors]] = {}

    @property
    def version(self) -> str:
        """Name and version of the classifier."""
        return self._model.weights.version

    @property
    def thresholds(self) -> Thresholds:
        """As calibrated, unless a setting says otherwise."""
        least = self._model.weights.thresholds
        asked = self._model.supported_from
        return least if asked is None else Thresholds(asked, min(asked, least.partial))

    def judge(self, sentence: str, cited: Sequence[Evidence], question: str, found: Findings) -> Opinion:
        """How probable it is that the cited passages together support the sentence."""
        numbers = self.numbers(sentence, cited, question, found)
        likely, strange = self._model.weights.supported(numbers), is_strange(numbers)
        detector = self._model.detector
        if detector is None:
            return Opinion(likely, doubted=strange)
        second = detector.supported(sentence, [evidence.text for evidence in cited], question)
        disagrees = second is not None and second < self._model.detector_from
        return Opinion(likely, second, strange or disagrees)

    def numbers(self, sentence: str, cited: Sequence[Evidence], question: str, found: Findings) -> list[float]:
        """What the classifier is told of a sentence: `LEXICAL_NAMES` or `FULL_NAMES`, in their order."""
        passages = [self._prepare(evidence) for evidence in cited]
        asked, asked_vectors = self._question(question)
        text = without_passage_numbers(sentence)
        claim = Claim(
            text=text,
            words=self._reader.read(text),
            asked=asked,
            passages=tuple(passage.words for passage in passages),
            named=tuple(self._prepare(self._shown[at]).words for at in self._named(sentence)),
        )
        numbers = lexical_features(claim, found)
        if self._model.embedder is not None:
            said = np.concatenate([passage.vectors for passage in passages])
            numbers += alignment_features(self._vectors(text), said, asked_vectors)
            numbers += rarity_features([self._model.embedder.token_ids(f" {word}") for word in new_words(claim)])
        return numbers

    def _named(self, sentence: str) -> list[int]:
        return sorted(number - 1 for number in passage_numbers(sentence) if 1 <= number <= len(self._shown))

    def _prepare(self, evidence: Evidence) -> _Prepared:
        known = self._prepared.get(id(evidence))
        if known is None:
            text = "\n".join((*evidence.titles, evidence.text))
            known = _Prepared(evidence, PassageWords.of(self._reader, evidence), self._vectors(text))
            self._prepared[id(evidence)] = known
        return known

    def _question(self, question: str) -> tuple[frozenset[str], Vectors]:
        if question not in self._asked:
            self._asked[question] = (frozenset(self._reader.read(question).stems), self._vectors(question))
        return self._asked[question]

    def _vectors(self, text: str) -> Vectors:
        if self._model.embedder is None:
            return np.zeros((0, 0), dtype=np.float32)
        return unit_rows(self._model.embedder.word_vectors(self._model.embedder.token_ids(text)))
