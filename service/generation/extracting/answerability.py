"""Whether passages answer a question, and which stretches of them do: two models over words and meaning.

Both were fitted by `python -m benchmarks.answerability --fit`, which prints the coefficients below, on the
development questions over `sample_docs/` and on clapnq; docs/quality/answerability.md has the figures.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus.embedding import Embedder
from ingestion.corpus.pinning import steady
from service.generation.checking.facts import FactKind
from service.generation.checking.sentences import UnitKind
from service.generation.extracting.asking import Asked
from service.generation.extracting.candidates import Candidate
from service.retrieval.calibration import Logistic
from service.retrieval.results import Passage

EMBEDDED = 16
"""Candidates ranked by meaning, the best by words: short texts, some 3 ms each on a quiet core."""
_JUDGED, _LEADING = 8, 4
"""Of these, those that tell whether there is an answer at all, and those of the first passage that do. More told no
better, and a model may be waiting for the judgement."""
ABLATED = 2
"""Unknown words of a question that are left out by turns, at the price of embedding a query each."""
_BEST_BARE = 3
_TEXT_CHARS = 400
_LEAD_CHARS = 150

STRETCH: Mapping[str, float] = {
    "meaning": 0.83, "alone": 0.4, "own": 3.65, "context": 2.34, "passage": 3.24, "number": 1.62, "person": -0.18,
    "steps": 2.76, "yes_no": 2.63, "whole": 0.34,
}  # fmt: skip
"""A stretch's score is the sum of weight x signal: log-odds against the others of the same question."""
WORDS_ONLY: Mapping[str, float] = {
    "own": 6.67, "context": 3.4, "passage": 4.37, "number": 1.93, "person": 0.99, "steps": 1.99, "yes_no": 3.24,
    "whole": 0.05,
}  # fmt: skip

BY_MEANING = Logistic(-13.79, {"first": 7.11, "alien": -32.41, "unnamed": -4.23, "bare": 13.15})
"""For cosines of the default embedder; those of another mean something else."""
BY_WORDS = Logistic(0.09, {"confidence": 0.38, "unnamed": -4.63})
LEAST_COVERAGE = 0.25
"""Weighted share of the asked terms without which words alone are no ground for an answer; set by hand."""
_CALIBRATED = frozenset({"ibm-granite/granite-embedding-30m-english"})
ANSWERS = 0.30
"""Probability from which the passages count as an answer."""
ANSWERS_BY_WORDS = 0.32
HOPELESS = 0.10
"""Probability below which no model need be asked: of a hundred questions with an answer it costs one at most."""

_BACKGROUND = 0.35
"""What a term of the rest of a question counts for one part of it; set by hand."""
_COMMAND = re.compile(r"`[^`\n]+ [^`\n]+`")
_ROLE = re.compile(
    r"\b(?:lead|team|officer|manager|head of|primary|secondary|commander|agent|owner|desk|support|director|president"
    r"|minister|nobody|anybody|everybody)\b",
    re.IGNORECASE,
)
_MODAL = re.compile(r"\b(?:cannot|can|may|must|never|not|don't|only|allowed|always|yes|no|mandatory)\b", re.IGNORECASE)


class Meaning:
    """Cosines between questions and stretches of text. Keeps the vectors of one answer, so that none is made twice."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._vectors: dict[tuple[str, bool], NDArray[np.float32]] = {}
        self._generation = ""
        self.calibrated = embedder.name.partition("@")[0] in _CALIBRATED

    def cosines(self, questions: Sequence[str], texts: Sequence[str]) -> NDArray[np.float32]:
        """`(questions, texts)` cosines. Blocking. Raises what the embedder raises."""
        with steady(self._embedder) as embedder:
            if embedder.name != self._generation:  # another generation was switched to: its vectors are others
                self._vectors.clear()
                self._generation = embedder.name
            for question in questions:
                if (question, True) not in self._vectors:
                    self._vectors[question, True] = embedder.embed_query(question)
            new = [text for text in dict.fromkeys(texts) if (text, False) not in self._vectors]
            if new:
                self._vectors |= zip(((text, False) for text in new), embedder.embed_documents(new), strict=True)
        asked = np.stack([self._vectors[question, True] for question in questions])
        return np.asarray(asked @ np.stack([self._vectors[text, False] for text in texts]).T, dtype=np.float32)


def likely(candidates: Sequence[Candidate], by_words: Sequence[Mapping[str, float]]) -> list[Candidate]:
    """The candidates to compare by meaning: the best by words, the best first."""
    best_first = sorted(range(len(candidates)), key=lambda at: -score(by_words[at], WORDS_ONLY))
    return [candidates[at] for at in best_first]


def bare_text_of(candidate: Candidate) -> str:
    """What is embedded of a candidate to see whether it answers by itself: a title is about everything below it."""
    return " ".join(candidate.raw.split())[:_TEXT_CHARS]


def text_of(candidate: Candidate, passage: Passage) -> str:
    """What is embedded of a candidate: the titles it stands under, what leads to it, and itself."""
    titles = " > ".join((passage.indexed.document.title, *passage.indexed.chunk.heading_path))
    lead = "" if candidate.whole or not candidate.lead else " ".join(candidate.lead.split())[:_LEAD_CHARS] + " "
    return f"{titles}\n{lead}{bare_text_of(candidate)}"


def weigh(asked: Asked, candidates: Sequence[Candidate]) -> dict[str, float]:
    """Rarity of each asked term among the candidates, summing to 1; a term that none has weighs most."""
    count = len(candidates)
    found = {term: sum(term in candidate.words for candidate in candidates) for term in asked.stems}
    rarity = {term: math.log(1 + (count + 1) / (found[term] + 0.5)) for term in sorted(found)}
    total = sum(rarity.values()) or 1.0
    return {term: value / total for term, value in rarity.items()}


def focus(weights: Mapping[str, float], part: Asked) -> dict[str, float]:
    """The weights for one of the questions in a question: what the others ask is background to it."""
    raw = {term: weight * (1.0 if term in part.stems else _BACKGROUND) for term, weight in weights.items()}
    total = sum(raw.values()) or 1.0
    return {term: weight / total for term, weight in raw.items()}


def stretch_signals(
    asked: Asked, candidate: Candidate, weights: Mapping[str, float], passage: float
) -> dict[str, float]:
    """The signals by words; `passage` is the root of its score by that of the best.

    To these come two cosines, in standard deviations from the mean of the candidates: `meaning` of the stretch under
    its titles, `alone` without them.
    """
    numbers = any(fact.kind in (FactKind.NUMBER, FactKind.DATE, FactKind.VERSION) for fact in candidate.facts)
    step = candidate.kind in (UnitKind.CODE, UnitKind.ITEM) or _COMMAND.search(candidate.raw) is not None
    return {
        "own": covered(weights, candidate.words),
        "context": covered(weights, candidate.context - candidate.words),
        "passage": passage,
        "number": float(asked.number and numbers),
        "person": float(asked.person and _ROLE.search(candidate.raw) is not None),
        "steps": float(asked.steps and step),
        "yes_no": float(asked.yes_no and _MODAL.search(candidate.raw) is not None),
        "whole": float(candidate.whole),
    }


def score(signals: Mapping[str, float], weights: Mapping[str, float]) -> float:
    return sum(weight * signals[name] for name, weight in weights.items())


@dataclass(frozen=True, slots=True)
class Cosines:
    """Cosines with a question: `bare` of stretches without their titles, `first` of those of the first passage.

    `titled`: `(1 + unknown words, stretches)`, of the question and of it without each word that no stretch has, with
    stretches under their titles; None where there is no such word.
    """

    bare: NDArray[np.float32]
    first: NDArray[np.float32]
    titled: NDArray[np.float32] | None


def compare(
    meaning: Meaning, asked: Asked, best_first: Sequence[Candidate], passages: Sequence[Passage]
) -> Cosines | None:
    """What the embedder says of whether there is an answer; None from one whose cosines are not calibrated."""
    if not meaning.calibrated:
        return None
    judged = best_first[:_JUDGED]
    first = min(item.index for item in best_first)
    leading = [item for item in best_first if item.index == first][:_LEADING]
    unknown = [asked.without(word) for word in asked.unknown_words(known_stems(best_first), ABLATED)]
    under = [text_of(item, passages[item.index]) for item in judged] if unknown else []
    found = meaning.cosines([asked.text, *unknown], [bare_text_of(item) for item in (*judged, *leading)] + under)
    ends = len(judged), len(judged) + len(leading)
    return Cosines(found[0, : ends[0]], found[0, ends[0] : ends[1]], found[:, ends[1] :] if unknown else None)


def answer_signals(
    asked: Asked,
    candidates: Sequence[Candidate],
    weights: Mapping[str, float],
    confidence: float,
    cosines: Cosines | None,
) -> dict[str, float]:
    """The signals of a question.

    confidence  log-odds of retrieval's confidence
    coverage    weighted share of the asked terms that the passages hold
    unnamed     whether a name in the question stands nowhere in them
    first       the best cosine of a stretch of the first passage, without its titles: these are about everything below
    bare        the mean of the three best cosines of stretches without their titles
    alien       how much closer the question gets without a word that they don't have: a large gain means that this
                word was what the question is about
    """
    known = known_stems(candidates)
    signals = {
        "confidence": _log_odds(confidence),
        "coverage": covered(weights, known),
        "unnamed": float(any(not name <= known for name in asked.names)),
    }
    if cosines is not None:
        signals["first"] = float(cosines.first.max())
        signals["bare"] = float(np.sort(cosines.bare)[-_BEST_BARE:].mean())
        best = cosines.titled.max(axis=1) if cosines.titled is not None else np.zeros(1)
        signals["alien"] = float((best - best[0]).max())
    return signals


def probability(signals: Mapping[str, float]) -> float:
    """How likely the passages answer the question, by meaning where that is known."""
    return BY_MEANING(signals) if "bare" in signals else BY_WORDS(signals)


def is_answer(signals: Mapping[str, float]) -> bool:
    """Whether the passages are enough of an answer for their sentences to be shown as one."""
    if "bare" in signals:
        return BY_MEANING(signals) >= ANSWERS
    return signals["coverage"] >= LEAST_COVERAGE and BY_WORDS(signals) >= ANSWERS_BY_WORDS


def known_stems(candidates: Sequence[Candidate]) -> frozenset[str]:
    """All stems of the candidates and of what stands over them."""
    return frozenset().union(*(candidate.words | candidate.context for candidate in candidates))


def covered(weights: Mapping[str, float], held: frozenset[str]) -> float:
    """The weighted share of the asked terms that are held."""
    return sum(weight for term, weight in weights.items() if term in held)


def _log_odds(p: float) -> float:
    bounded = min(max(p, 1e-3), 1 - 1e-3)
    return math.log(bounded / (1 - bounded))
