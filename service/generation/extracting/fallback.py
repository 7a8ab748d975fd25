"""An answer without a model: the few stretches of the passages that answer the question, whole and cited.

Also the judge of whether they do. What a stretch is, is left to `candidates`; how good it is, to `answerability`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus.embedding import Embedder
from ingestion.corpus.records import ChunkId
from service.generation.answers import SupportLabel
from service.generation.checking.evidence import Evidence, Reader
from service.generation.checking.grounding import GroundingScorer
from service.generation.extracting.answerability import (
    EMBEDDED,
    STRETCH,
    WORDS_ONLY,
    Meaning,
    answer_signals,
    bare_text_of,
    compare,
    covered,
    focus,
    is_answer,
    likely,
    probability,
    score,
    stretch_signals,
    text_of,
    weigh,
)
from service.generation.extracting.asking import Asked
from service.generation.extracting.candidates import Candidate, candidates_of
from service.generation.extracting.stretches import Extract, rendered, stretch_around
from service.generation.languages import Languages
from service.retrieval.results import Passage, Relevance

MAX_STRETCHES = 4
"""More is not an answer but a page."""
MAX_CHARACTERS = 900
"""What the stretches after the first may make of the whole."""
_WORTH_ADDING = 1.5
"""A further stretch is shown if its log-odds are at most so much worse than the best one's."""
_NEW_TERMS = 2.0
"""So much worse still, times the weighted share of the asked terms that no stretch before it has."""
_OUTDATED = 3.0
"""Log-odds that a stretch of a replaced document loses."""
_DUPLICATE = 0.6
"""Jaccard similarity of two stretches from which the second says nothing new."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """The candidates of a question with the signals of each, and the signals of whether they answer it.

    `weights` are those of the asked terms. `parts` is the same for each of the questions in a question.
    """

    candidates: Sequence[Candidate]
    weights: Mapping[str, float]
    stretches: Sequence[Mapping[str, float]]
    signals: Mapping[str, float]
    parts: Sequence[Ranked] = ()

    def scores(self, old: frozenset[int]) -> list[float]:
        """Log-odds against each other; those of documents that were replaced last."""
        weights = STRETCH if "meaning" in self.stretches[0] else WORDS_ONLY
        return [
            score(stretch, weights) - _OUTDATED * (candidate.index in old)
            for candidate, stretch in zip(self.candidates, self.stretches, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class _Assessed:
    """A question with the candidates, also by their words `best_first`, and whether they answer it."""

    asked: Asked
    candidates: Sequence[Candidate]
    best_first: Sequence[Candidate]
    weights: Mapping[str, float]
    signals: Mapping[str, float]


class Extractor:
    """Selects stretches for one answer: it keeps the work on the last question. Without an embedder words decide."""

    def __init__(self, reader: Reader, scorer: GroundingScorer, embedder: Embedder | None = None) -> None:
        self._reader = reader
        self._scorer = scorer
        self._meaning = Meaning(embedder) if embedder is not None else None
        self._last: tuple[tuple[str, tuple[ChunkId, ...], float], _Assessed | None] | None = None

    def extract(
        self,
        question: str,
        passages: Sequence[Passage],
        relevance: Relevance,
        old: frozenset[int] = frozenset(),
    ) -> tuple[Extract, ...]:
        """Up to four stretches that answer the question, the best first; none if the passages don't answer it.

        `old` holds the indexes of passages whose document was replaced. Blocking: it embeds some short texts.
        """
        assessed = self._assess(question, passages, relevance)
        if assessed is None or not is_answer(assessed.signals):
            return ()
        ranked = self._ranked(assessed, passages)
        chosen: list[Candidate] = []
        for part in ranked.parts or (ranked,):
            room = MAX_STRETCHES // max(1, len(ranked.parts)) or 1
            for candidate in self._choose(part, passages, old, room):
                if len(chosen) < MAX_STRETCHES and not any(_repeats(candidate, other) for other in chosen):
                    chosen.append(candidate)
        return _arranged(chosen, passages, old, steps=assessed.asked.steps)

    def answerable(self, question: str, passages: Sequence[Passage], relevance: Relevance) -> float:
        """The probability that the passages answer the question; 0 where they lack a code or version that it names.

        1 where question and passages are in different languages: neither words nor the embedder tell then. What it
        takes is kept for `extract` of the same. Blocking: it embeds some short texts.
        """
        if _is_foreign(question, passages):
            return 1.0
        assessed = self._assess(question, passages, relevance)
        return 0.0 if assessed is None else probability(assessed.signals)

    def _assess(self, question: str, passages: Sequence[Passage], relevance: Relevance) -> _Assessed | None:
        """The candidates with their signals; None if there are none, or an identifier stands nowhere."""
        key = (question, tuple(passage.indexed.id for passage in passages), relevance.confidence)
        if self._last is None or self._last[0] != key:
            self._last = (key, self._assess_anew(question, passages, relevance))
        return self._last[1]

    def _assess_anew(self, question: str, passages: Sequence[Passage], relevance: Relevance) -> _Assessed | None:
        asked = Asked.of(self._reader, question)
        candidates = [item for at, passage in enumerate(passages) for item in candidates_of(self._reader, at, passage)]
        if not asked.stems or not candidates or not self._identified(asked, passages):
            return None
        return self._judged(asked, candidates, passages, relevance)

    def rank(
        self, asked: Asked, candidates: Sequence[Candidate], passages: Sequence[Passage], relevance: Relevance
    ) -> Ranked:
        """Signals of all candidates or, with an embedder, of the best by words, which are then compared by meaning."""
        return self._ranked(self._judged(asked, candidates, passages, relevance), passages)

    def _judged(
        self, asked: Asked, candidates: Sequence[Candidate], passages: Sequence[Passage], relevance: Relevance
    ) -> _Assessed:
        weights = weigh(asked, candidates)
        order = likely(candidates, _by_words(asked, weights, candidates, passages))
        compared = compare(self._meaning, asked, order, passages) if self._meaning is not None else None
        signals = answer_signals(asked, candidates, weights, relevance.confidence, compared)
        return _Assessed(asked, candidates, order, weights, signals)

    def _ranked(self, assessed: _Assessed, passages: Sequence[Passage]) -> Ranked:
        asked, weights, signals = assessed.asked, assessed.weights, assessed.signals
        parts = asked.parts(self._reader)
        weighted = [weights, *(focus(weights, part) for part in parts)]
        kept = assessed.candidates
        if self._meaning is not None:
            kept = sorted(assessed.best_first[:EMBEDDED], key=lambda item: (item.index, item.start, -item.end))
        found = [_by_words(one, own, kept, passages) for one, own in zip((asked, *parts), weighted, strict=True)]
        if self._meaning is not None:
            texts = [text_of(item, passages[item.index]) for item in kept]
            texts += [bare_text_of(item) for item in kept] if self._meaning.calibrated else []
            cosines = self._meaning.cosines([asked.text, *(part.text for part in parts)], texts)
            meaning = _spread(cosines[:, : len(kept)])
            alone = _spread(cosines[:, len(kept) :]) if self._meaning.calibrated else np.zeros_like(meaning)
            found = [_with_meaning(one, meaning[at], alone[at]) for at, one in enumerate(found)]
        whole, *rest = (Ranked(kept, own, one, signals) for own, one in zip(weighted, found, strict=True))
        return replace(whole, parts=rest)

    def _identified(self, asked: Asked, passages: Sequence[Passage]) -> bool:
        """Whether every code, version and host in the question stands in some passage."""
        evidence = [Evidence.of(self._reader, passage.indexed) for passage in passages]
        return all(
            any(item.facts.states(fact) or fact.value in " ".join(item.titles).casefold() for item in evidence)
            for fact in asked.identifiers
        )

    def _choose(self, ranked: Ranked, passages: Sequence[Passage], old: frozenset[int], room: int) -> list[Candidate]:
        """The best candidate, then those that are nearly as good or have terms that the first lack; `room` at most."""
        candidates, scores = ranked.candidates, ranked.scores(old)
        order = sorted(range(len(candidates)), key=lambda at: (-scores[at], candidates[at].index, candidates[at].start))
        best = scores[order[0]]
        chosen: list[Candidate] = []
        for at in order:
            candidate = candidates[at]
            if len(chosen) == room:
                break
            said = frozenset[str]().union(*(other.words for other in chosen))
            gain = covered(ranked.weights, candidate.words - said)
            if chosen and scores[at] < best - _WORTH_ADDING - _NEW_TERMS * gain:
                continue
            length = sum(len(other.raw) for other in chosen) + len(candidate.raw)
            if (chosen and length > MAX_CHARACTERS) or any(_repeats(candidate, other) for other in chosen):
                continue
            rival = next((other for other in chosen if self._contradict(candidate, other)), None)
            if rival is None:
                chosen.append(candidate)
            elif _current(passages, old, candidate.index) > _current(passages, old, rival.index):
                chosen[chosen.index(rival)] = candidate
        return chosen

    def _contradict(self, one: Candidate, other: Candidate) -> bool:
        if one.index == other.index:
            return False
        checked = self._scorer.compare(one.raw, [Evidence(self._reader, other.raw)])
        return checked.support.label is SupportLabel.CONTRADICTED


def _by_words(
    asked: Asked, weights: Mapping[str, float], among: Sequence[Candidate], passages: Sequence[Passage]
) -> list[dict[str, float]]:
    # The root: scores fall steeply behind the first, and a stretch of the second is not so much worse.
    best = max(passage.score for passage in passages) or 1.0
    return [stretch_signals(asked, item, weights, sqrt(passages[item.index].score / best)) for item in among]


def _spread(cosines: NDArray[np.float32]) -> NDArray[np.float32]:
    """`(questions, stretches)` cosines in standard deviations; a part's mixed with those of the whole question."""
    spread = (cosines - cosines.mean(axis=1, keepdims=True)) / (cosines.std(axis=1, keepdims=True) + 1e-3)
    return np.asarray((spread + spread[0]) / 2)


def _is_foreign(question: str, passages: Sequence[Passage]) -> bool:
    """Whether the question is surely in another language than one of the passages' documents."""
    stated = {passage.indexed.document.metadata.get("language") for passage in passages} - {None}
    asked = Languages(with_model=False).language(question) if stated else None
    return asked is not None and stated != {asked}


def _with_meaning(
    stretches: Sequence[dict[str, float]], meaning: NDArray[np.float32], alone: NDArray[np.float32]
) -> list[dict[str, float]]:
    return [
        stretch | {"meaning": float(titled), "alone": float(bare)}
        for stretch, titled, bare in zip(stretches, meaning, alone, strict=True)
    ]


def _repeats(one: Candidate, other: Candidate) -> bool:
    if one.overlaps(other):
        return True
    union = one.words | other.words
    return bool(union) and len(one.words & other.words) / len(union) >= _DUPLICATE and one.facts == other.facts


def _current(passages: Sequence[Passage], old: frozenset[int], index: int) -> tuple[bool, datetime]:
    """Orders contradicting sources: what was not replaced before what was, then the later change."""
    return index not in old, passages[index].indexed.document.updated_at


def _arranged(
    chosen: Sequence[Candidate], passages: Sequence[Passage], old: frozenset[int], *, steps: bool
) -> tuple[Extract, ...]:
    """What is shown: passage by passage in the order of their best, replaced ones last, each in source order."""
    places = list(dict.fromkeys(candidate.index for candidate in chosen))
    places.sort(key=lambda index: index in old)
    extracts: list[Extract] = []
    for index in places:
        text = passages[index].indexed.chunk.text
        grown = [(stretch_around(item, text, steps=steps), item) for item in chosen if item.index == index]
        for shown, item in sorted(grown, key=lambda pair: (pair[0].start, -pair[0].end)):
            last = extracts[-1] if extracts and extracts[-1].index == index else None
            if last is None or shown.start >= last.end:
                extracts.append(rendered(item, shown, text))
    return tuple(extracts)
