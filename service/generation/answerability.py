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
from service.generation.asking import Asked
from service.generation.candidates import Candidate
from service.generation.facts import FactKind
from service.generation.sentences import UnitKind
from service.retrieval.calibration import Logistic
from service.retrieval.results import Passage

EMBEDDED = 16
"""Candidates compared by meaning, the best by words: short texts, some 3 ms each on a quiet core."""
ABLATED = 3
"""Unknown words of a question that are left out by turns, at the price of embedding a query each."""
_BEST_BARE = 3
_TEXT_CHARS = 400
_LEAD_CHARS = 150

STRETCH: Mapping[str, float] = {
    "meaning": 1.11, "own": 4.18, "context": 1.59, "passage": 3.29, "number": 1.63, "person": -0.1, "steps": 2.71,
    "yes_no": 2.9, "whole": 0.32,
}  # fmt: skip
"""A stretch's score is the sum of weight x signal: log-odds against the others of the same question."""
WORDS_ONLY: Mapping[str, float] = {
    "own": 6.67, "context": 3.41, "passage": 4.39, "number": 1.9, "person": 0.98, "steps": 1.96, "yes_no": 3.24,
    "whole": 0.03,
}  # fmt: skip

BY_MEANING = Logistic(
    -13.61, {"first": 5.49, "alien": -35.98, "unnamed": -5.46, "confidence": 0.19, "bare": 15.07, "title": -2.52}
)
"""For cosines of the default embedder; those of another mean something else."""
BY_WORDS = Logistic(0.60, {"confidence": 0.62, "unnamed": -4.81, "title": -4.06, "together": 0.75})
LEAST_COVERAGE = 0.25
"""Weighted share of the asked terms without which words alone are no ground for an answer; set by hand."""
_CALIBRATED = frozenset({"ibm-granite/granite-embedding-30m-english"})
ANSWERS = 0.22
"""Probability from which the passages count as an answer."""

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
    """Cosines between a question and stretches of text."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.calibrated = embedder.name.partition("@")[0] in _CALIBRATED

    def compare(
        self,
        questions: Sequence[str],
        kept: Sequence[Candidate],
        candidates: Sequence[Candidate],
        passages: Sequence[Passage],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """`(questions, kept)` cosines with the kept stretches under their titles; then those of the first question with
        the kept stretches alone, and with all `candidates` of the first passage alone.

        Blocking. Raises what the embedder raises.
        """
        first = [bare_text_of(item) for item in candidates if item.index == candidates[0].index][:EMBEDDED]
        texts = [text_of(item, passages[item.index]) for item in kept]
        texts += [bare_text_of(item) for item in kept] if self.calibrated else []
        texts += first if self.calibrated else []
        distinct = list(dict.fromkeys(texts))
        place = {text: at for at, text in enumerate(distinct)}
        with steady(self._embedder) as embedder:
            asked = np.stack([embedder.embed_query(question) for question in questions])
            found = np.asarray(asked @ embedder.embed_documents(distinct).T, dtype=np.float32)
        every = found[:, [place[text] for text in texts]]
        return every[:, : len(kept)], every[0, len(kept) : 2 * len(kept)], every[0, 2 * len(kept) :]


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

    To these comes `meaning`: the cosine, in standard deviations from the mean of the candidates.
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
    """Cosines with a question. `titled`: `(1 + unknown words, stretches)`, of it and of it without each unknown word,
    with each stretch under its titles; `bare`: with the same stretches alone; `first`: with those of the first passage.
    """

    titled: NDArray[np.float32]
    bare: NDArray[np.float32]
    first: NDArray[np.float32]


def answer_signals(
    asked: Asked,
    candidates: Sequence[Candidate],
    weights: Mapping[str, float],
    confidence: float,
    titles: frozenset[str],
    cosines: Cosines | None,
) -> dict[str, float]:
    """The signals of a question. `titles`: stems of what the first passage stands under.

    confidence  log-odds of retrieval's confidence
    coverage    weighted share of the asked terms that the passages hold
    together    weighted share of the asked terms in the best stretch and what stands over it
    title       the same for the titles of the first passage: where they say it all, the stretches need not
    unnamed     whether a name in the question stands nowhere in them
    first       the best cosine of a stretch of the first passage, without its titles
    bare        the mean of the three best cosines of stretches without their titles
    alien       how much closer the question gets without a word that they don't have: a large gain means that this
                word was what the question is about
    """
    known = known_stems(candidates)
    signals = {
        "confidence": _log_odds(confidence),
        "coverage": covered(weights, known),
        "together": max(covered(weights, candidate.words | candidate.context) for candidate in candidates),
        "title": covered(weights, titles),
        "unnamed": float(any(not name <= known for name in asked.names)),
    }
    if cosines is not None:
        best = cosines.titled.max(axis=1)
        signals["first"] = float(cosines.first.max())
        signals["bare"] = float(np.sort(cosines.bare)[-_BEST_BARE:].mean())
        signals["alien"] = max(0.0, float((best - best[0]).max()))
    return signals


def probability(signals: Mapping[str, float]) -> float:
    """How likely the passages answer the question, by meaning where that is known."""
    if "bare" in signals:
        return BY_MEANING(signals)
    return BY_WORDS(signals) if signals["coverage"] >= LEAST_COVERAGE else 0.0


def known_stems(candidates: Sequence[Candidate]) -> frozenset[str]:
    """All stems of the candidates and of what stands over them."""
    return frozenset().union(*(candidate.words | candidate.context for candidate in candidates))


def covered(weights: Mapping[str, float], held: frozenset[str]) -> float:
    """The weighted share of the asked terms that are held."""
    return sum(weight for term, weight in weights.items() if term in held)


def _log_odds(p: float) -> float:
    bounded = min(max(p, 1e-3), 1 - 1e-3)
    return math.log(bounded / (1 - bounded))
