"""An answer without a model: the few stretches of the passages that answer the question, whole and cited.

Also the judge of whether they do. What a stretch is, is left to `candidates`; how good it is, to `answerability`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus.embedding import Embedder
from service.generation.answerability import (
    ABLATED,
    ANSWERS,
    EMBEDDED,
    STRETCH,
    WORDS_ONLY,
    Cosines,
    Meaning,
    answer_signals,
    covered,
    focus,
    known_stems,
    probability,
    score,
    stretch_signals,
    weigh,
)
from service.generation.answers import SupportLabel
from service.generation.asking import Asked
from service.generation.candidates import Candidate, candidates_of
from service.generation.evidence import Evidence, Reader
from service.generation.grounding import GroundingScorer
from service.generation.stretches import Extract, rendered, stretch_around
from service.retrieval.results import Passage, Relevance

MAX_STRETCHES = 4
"""More is not an answer but a page."""
MAX_CHARACTERS = 900
"""What the stretches after the first may make of the whole."""
_WORTH_ADDING = 1.5
"""A further stretch is shown if its log-odds are at most so much worse than the best one's."""
_NEW_TERMS = 6.0
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


class Extractor:
    """Selects stretches; holds no state but the stemmer. Without an embedder words alone decide."""

    def __init__(self, reader: Reader, scorer: GroundingScorer, embedder: Embedder | None = None) -> None:
        self._reader = reader
        self._scorer = scorer
        self._meaning = Meaning(embedder) if embedder is not None else None

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
        asked = Asked.of(self._reader, question)
        candidates = [item for at, passage in enumerate(passages) for item in candidates_of(self._reader, at, passage)]
        if not asked.stems or not candidates or not self._identified(asked, passages):
            return ()
        ranked = self.rank(asked, candidates, passages, relevance)
        if probability(ranked.signals) < ANSWERS:
            return ()
        chosen: list[Candidate] = []
        for part in ranked.parts or (ranked,):
            room = MAX_STRETCHES // max(1, len(ranked.parts)) or 1
            for candidate in self._choose(part, passages, old, room):
                if len(chosen) < MAX_STRETCHES and not any(_repeats(candidate, other) for other in chosen):
                    chosen.append(candidate)
        return _arranged(chosen, passages, old, steps=asked.steps)

    def rank(
        self, asked: Asked, candidates: Sequence[Candidate], passages: Sequence[Passage], relevance: Relevance
    ) -> Ranked:
        """Signals of all candidates or, with an embedder, of the best by words, which are then compared by meaning."""
        weights = weigh(asked, candidates)
        best = max(passage.score for passage in passages) or 1.0

        def by_words(part: Asked, own: Mapping[str, float], among: Sequence[Candidate]) -> list[dict[str, float]]:
            # The root: scores fall steeply behind the first, and a stretch of the second is not so much worse.
            return [stretch_signals(part, item, own, sqrt(passages[item.index].score / best)) for item in among]

        parts = asked.parts(self._reader)
        weighted = [focus(weights, part) for part in parts]
        titles = self._titles(passages[candidates[0].index])
        if self._meaning is None:
            signals = answer_signals(asked, candidates, weights, relevance.confidence, titles, None)
            ranked = [
                Ranked(candidates, own, by_words(part, own, candidates), signals)
                for part, own in zip(parts, weighted, strict=True)
            ]
            return Ranked(candidates, weights, by_words(asked, weights, candidates), signals, ranked)
        kept = _likely(candidates, by_words(asked, weights, candidates))
        unknown = [asked.without(word) for word in asked.unknown_words(known_stems(candidates), ABLATED)]
        questions = [asked.text, *(part.text for part in parts), *unknown]
        cosines, bare, first = self._meaning.compare(questions, kept, candidates, passages)
        whole, apart = cosines[: len(parts) + 1], cosines[[0, *range(len(parts) + 1, len(cosines))]]
        compared = Cosines(apart, bare, first) if self._meaning.calibrated else None
        signals = answer_signals(asked, candidates, weights, relevance.confidence, titles, compared)
        spread = (whole - whole.mean(axis=1, keepdims=True)) / (whole.std(axis=1, keepdims=True) + 1e-3)
        ranked = [
            Ranked(kept, own, _with_meaning(by_words(part, own, kept), (spread[0] + row) / 2), signals)
            for part, own, row in zip(parts, weighted, spread[1:], strict=True)
        ]
        return Ranked(kept, weights, _with_meaning(by_words(asked, weights, kept), spread[0]), signals, ranked)

    def _titles(self, passage: Passage) -> frozenset[str]:
        above = (passage.indexed.document.title, *passage.indexed.chunk.heading_path)
        return frozenset(self._reader.stems(" ".join(above)))

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
        checked = self._scorer.check(one.raw, [Evidence(self._reader, other.raw)])
        return checked.support.label is SupportLabel.CONTRADICTED


def _likely(candidates: Sequence[Candidate], by_words: Sequence[Mapping[str, float]]) -> list[Candidate]:
    """The best candidates by words, in source order."""
    best_first = sorted(range(len(candidates)), key=lambda at: -score(by_words[at], WORDS_ONLY))
    return [candidates[at] for at in sorted(best_first[:EMBEDDED])]


def _with_meaning(stretches: Sequence[dict[str, float]], meaning: NDArray[np.float32]) -> Sequence[Mapping[str, float]]:
    return [stretch | {"meaning": float(value)} for stretch, value in zip(stretches, meaning, strict=True)]


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
