"""An answer without a model: the sentences of the passages that answer the question, whole and in source order.

Also the judge of whether they do: no sentence about the question's key terms means that the sources don't say.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from service.generation.answers import SupportLabel
from service.generation.evidence import Evidence, EvidenceUnit, Reader
from service.generation.facts import Fact, FactKind, facts_of
from service.generation.grounding import GroundingScorer
from service.generation.sentences import UnitKind, units_of
from service.retrieval.results import Passage, Relevance

MAX_SENTENCES = 5
"""More is not an answer but a page; measured by eye on the sample questions."""
NEEDED_COVERAGE = 0.55
"""Weighted share of the question's key terms that one passage must hold if retrieval is not sure at all."""
CONFIDENCE_CREDIT = 0.45
"""How much of that retrieval's confidence makes up for: people ask in other words than the sources use."""
_RANK_WEIGHT = 0.5
"""How much of a sentence's score is its passage's."""
_NAMED_FACTOR = 1.5
"""For a sentence with the very code, host or version that was asked about."""
_WORTH_ADDING = 0.6
"""A further sentence is shown if it scores this share of the best one."""
_OUTDATED_FACTOR = 0.4
_DUPLICATE = 0.6
"""Jaccard similarity of two sentences from which the second says nothing new."""

_QUESTION_WORDS = frozenset(
    (
    "long", "many", "much", "often", "tell", "explain", "describ", "know", "find", "need", "want", "mean", "happen",
    "work", "get", "show", "give", "list", "someon", "somebodi", "thing", "way", "kind", "question", "answer",
    )
)  # fmt: skip
"""Stems that ask rather than name what is asked about."""
_FEW_CAPITALS = 0.25
_SEPARATOR_ROW = re.compile(r"[|:\s-]+")


@dataclass(frozen=True, slots=True)
class Extract:
    """A stretch of passage `index`: `start` and `end` are offsets into the passage's text, `text` is how it reads."""

    index: int
    start: int
    end: int
    text: str
    block: bool


@dataclass(frozen=True, slots=True)
class _Candidate:
    index: int
    kind: UnitKind
    start: int
    end: int
    raw: str
    words: frozenset[str]
    context: frozenset[str]
    facts: frozenset[Fact]


class Extractor:
    """Selects sentences; holds no state but the stemmer."""

    def __init__(self, reader: Reader, scorer: GroundingScorer) -> None:
        self._reader = reader
        self._scorer = scorer

    def extract(
        self,
        question: str,
        passages: Sequence[Passage],
        relevance: Relevance,
        old: frozenset[int] = frozenset(),
    ) -> tuple[Extract, ...]:
        """Up to five stretches that answer the question, in source order; none if the passages don't answer it.

        `old` holds the indexes of passages whose document was replaced.
        """
        asked = self._asked(question)
        candidates = [item for index, passage in enumerate(passages) for item in self._candidates(index, passage)]
        if not asked or not candidates:
            return ()
        weights = _weights(asked, candidates)
        if not self._answerable(question, weights, passages, candidates, relevance):
            return ()
        scores = _smoothed(candidates, self._scores(question, candidates, weights, passages, old))
        chosen = self._choose(candidates, scores, passages, old)
        return tuple(_shown(candidate) for candidate in sorted(chosen, key=lambda item: (item.index, item.start)))

    def _scores(
        self,
        question: str,
        candidates: Sequence[_Candidate],
        weights: dict[str, float],
        passages: Sequence[Passage],
        old: frozenset[int],
    ) -> list[float]:
        """Scores by words; better passages first, outdated documents last."""
        wants = _wanted(question)
        names = [fact for fact in facts_of(question) if _is_name(fact)]
        scores = [
            _score(candidate, weights, wants) * (_NAMED_FACTOR if _names(candidate, names) else 1.0)
            for candidate in candidates
        ]
        best = max(passage.score for passage in passages) or 1.0
        for at, candidate in enumerate(candidates):
            scores[at] *= 1 - _RANK_WEIGHT + _RANK_WEIGHT * passages[candidate.index].score / best
            if candidate.index in old:
                scores[at] *= _OUTDATED_FACTOR
        return scores

    def _asked(self, question: str) -> frozenset[str]:
        spread = re.sub(r"[`_./:=@#-]", " ", question)
        stems = frozenset(self._reader.stems(spread))
        return (stems - _QUESTION_WORDS) or stems

    def _candidates(self, index: int, passage: Passage) -> list[_Candidate]:
        text = passage.indexed.chunk.text
        about = frozenset(
            self._reader.stems(" ".join((passage.indexed.document.title, *passage.indexed.chunk.heading_path)))
        )
        heading: frozenset[str] = frozenset()
        candidates = []
        for kind, start, end in _groups(text):
            raw = text[start:end]
            unit = EvidenceUnit(self._reader, raw, start, kind)
            if kind is UnitKind.HEADING or raw.rstrip("*_ ").endswith("?"):
                heading = unit.words  # a question in the text (an FAQ) heads the answer below it
            elif any(character.isalnum() for character in raw) and not raw.rstrip("*_ ").endswith(":"):
                candidates.append(_Candidate(index, kind, start, end, raw, unit.words, about | heading, facts_of(raw)))
        return candidates

    def _answerable(
        self,
        question: str,
        weights: dict[str, float],
        passages: Sequence[Passage],
        candidates: Sequence[_Candidate],
        relevance: Relevance,
    ) -> bool:
        """Whether the names in the question exist at all, and some passage holds enough of its key terms."""
        evidence = [Evidence.of(self._reader, passage.indexed) for passage in passages]
        for fact in facts_of(question):
            if _is_name(fact) and not any(
                item.facts.states(fact) or fact.value in " ".join(item.titles).casefold() for item in evidence
            ):
                return False
        known = frozenset().union(*(candidate.words | candidate.context for candidate in candidates))
        if any(stem not in known for name in _proper_names(question) for stem in self._reader.stems(name)):
            return False
        return coverage(weights, candidates) >= NEEDED_COVERAGE - CONFIDENCE_CREDIT * relevance.confidence

    def _choose(
        self,
        candidates: Sequence[_Candidate],
        scores: Sequence[float],
        passages: Sequence[Passage],
        old: frozenset[int],
    ) -> list[_Candidate]:
        order = sorted(range(len(candidates)), key=lambda at: (-scores[at], candidates[at].index, candidates[at].start))
        best = scores[order[0]]
        chosen: list[_Candidate] = []
        for at in order:
            candidate = candidates[at]
            if len(chosen) == MAX_SENTENCES or scores[at] <= 0 or scores[at] < _WORTH_ADDING * best:
                break
            if any(_similar(candidate, other) for other in chosen):
                continue
            rival = next((other for other in chosen if self._contradict(candidate, other)), None)
            if rival is None:
                chosen.append(candidate)
            elif _current(passages, old, candidate.index) > _current(passages, old, rival.index):
                chosen[chosen.index(rival)] = candidate
        return chosen

    def _contradict(self, one: _Candidate, other: _Candidate) -> bool:
        if one.index == other.index:
            return False
        checked = self._scorer.check(one.raw, [Evidence(self._reader, other.raw)])
        return checked.support.label is SupportLabel.CONTRADICTED


def coverage(weights: dict[str, float], candidates: Iterable[_Candidate]) -> float:
    """Largest weighted share of the asked terms that one passage holds, its title and headings included."""
    held: dict[int, set[str]] = {}
    for candidate in candidates:
        held.setdefault(candidate.index, set()).update(weights.keys() & (candidate.words | candidate.context))
    total = sum(weights.values())
    return max((sum(weights[term] for term in terms) / total for terms in held.values()), default=0.0)


def _is_name(fact: Fact) -> bool:
    """Whether the fact names a thing: an answer about another error code or version is no answer."""
    if fact.kind is FactKind.NUMBER:
        return "." in fact.value and fact.shape == ""
    return fact.kind in (FactKind.IDENTIFIER, FactKind.VERSION, FactKind.FLAG)


def _names(candidate: _Candidate, names: Sequence[Fact]) -> bool:
    return any(name in candidate.facts or name.value in candidate.raw.casefold() for name in names)


def _proper_names(question: str) -> list[str]:
    """Words with a capital inside a sentence: products, teams, days. None where capitals mean little (German)."""
    words = question.split()
    inside = [
        word.strip(".,;:!?()\"'")
        for before, word in pairwise(words)
        if word[:1].isupper() and before[-1] not in ".!?:" and len(word) > 1
    ]
    return inside if len(inside) <= _FEW_CAPITALS * len(words) else []


def _weights(asked: frozenset[str], candidates: Sequence[_Candidate]) -> dict[str, float]:
    """Rarity of each asked term among the candidate sentences; a term that none has weighs most."""
    count = len(candidates)
    found = {term: sum(term in candidate.words for candidate in candidates) for term in asked}
    return {term: math.log(1 + (count + 1) / (found[term] + 0.5)) for term in sorted(asked)}


def _groups(text: str) -> list[tuple[UnitKind, int, int]]:
    """Units with the code block that follows a lead-in or a list item joined to it: no command is cut from its step."""
    groups: list[tuple[UnitKind, int, int]] = []
    units = units_of(text)
    for at, unit in enumerate(units):
        if unit.kind is UnitKind.CODE and groups:
            kind, start, end = groups[-1]
            indented = text[text.rfind("\n", 0, unit.start) + 1 : unit.start] != ""
            if kind in (UnitKind.PROSE, UnitKind.ITEM) and (text[start:end].rstrip("*_ ").endswith(":") or indented):
                groups[-1] = (UnitKind.CODE, start, unit.end)
                continue
        if unit.kind is UnitKind.ROW:
            below = units[at + 1] if at + 1 < len(units) else None
            rule = _SEPARATOR_ROW.fullmatch(text[unit.start : unit.end]) is not None
            if rule or (
                below and below.kind is UnitKind.ROW and _SEPARATOR_ROW.fullmatch(text[below.start : below.end])
            ):
                continue  # the head of a table is no statement
        groups.append((unit.kind, unit.start, unit.end))
    return groups


def _wanted(question: str) -> frozenset[str]:
    """What kind of sentence the question asks for: `number`, `steps`, or nothing special."""
    asked = question.casefold()
    wants = set()
    if re.search(r"\bhow (?:long|many|much|often|old|big|large|fast)\b|\bwhen\b|\bwhich (?:version|port)\b", asked):
        wants.add("number")
    if re.search(
        r"\bhow (?:do|can|to|should|is)\b|\bsteps?\b|\bcommand\b|\brun\b|\bwhat (?:do|should) (?:i|we)\b", asked
    ):
        wants.add("steps")
    return frozenset(wants)


def _score(candidate: _Candidate, weights: dict[str, float], wants: frozenset[str]) -> float:
    total = sum(weights.values())
    own = sum(weight for term, weight in weights.items() if term in candidate.words)
    context = sum(weight for term, weight in weights.items() if term in candidate.context - candidate.words)
    score = (own + 0.5 * context) / total
    if "number" in wants and any(fact.kind in (FactKind.NUMBER, FactKind.DATE) for fact in candidate.facts):
        score *= 1.25
    if "steps" in wants and candidate.kind in (UnitKind.CODE, UnitKind.ITEM):
        score *= 1.25
    if len(candidate.words) < 3:
        score *= 0.5
    return score if own else score * 0.6


def _smoothed(candidates: Sequence[_Candidate], scores: Sequence[float]) -> list[float]:
    """Scores with a share of their list neighbours', so that steps come together."""
    smoothed = list(scores)
    for at, candidate in enumerate(candidates):
        for beside in (at - 1, at + 1):
            if (
                0 <= beside < len(candidates)
                and candidates[beside].index == candidate.index
                and candidate.kind in (UnitKind.ITEM, UnitKind.CODE)
            ):
                smoothed[at] = max(smoothed[at], 0.7 * scores[beside])
    return smoothed


def _similar(one: _Candidate, other: _Candidate) -> bool:
    union = one.words | other.words
    return bool(union) and len(one.words & other.words) / len(union) >= _DUPLICATE and one.facts == other.facts


def _current(passages: Sequence[Passage], old: frozenset[int], index: int) -> tuple[bool, datetime]:
    """Orders contradicting sources: what was not replaced before what was, then the later change."""
    return index not in old, passages[index].indexed.document.updated_at


def _shown(candidate: _Candidate) -> Extract:
    text = candidate.raw
    if candidate.kind is UnitKind.ROW:
        text = " \u2014 ".join(cell.strip() for cell in text.strip().strip("|").split("|") if cell.strip())
    elif candidate.kind in (UnitKind.PROSE, UnitKind.ITEM):
        text = " ".join(line.lstrip("> \t").rstrip() for line in text.splitlines())
        text = re.sub(r"^\[!\w+\]\s*", "", text)
        text = re.sub(r"\[([^\]\n]+)\]\([^)\s]+\)", r"\1", text).replace("**", "")
    return Extract(candidate.index, candidate.start, candidate.end, text, block=candidate.kind is not UnitKind.PROSE)
