"""A model's answer, kept for the same question over the same passages. Storage is left to `ledger.answer_cache`.

The key is made of all that the answer was made from, so nothing has to be invalidated: a document that changes gives
its chunks other ids, one that goes gives other passages, and a caller who may not read one of them has another key.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import structlog
from pydantic import TypeAdapter, ValidationError

from ingestion.corpus.records import DocumentKey
from ingestion.corpus.scope import Scope
from service.generation.answers import Answer, Degraded, GroundingLabel, SentenceEvent
from service.generation.checking.facts import is_technical
from service.generation.citations import with_citations
from service.generation.models.llm import Usage
from service.ledger.answer_cache import KeptAnswers
from service.retrieval.results import Passage, Relevance

log = structlog.get_logger(__name__)

_FORMAT = 1
"""Part of every key: raise it when answers of before shall not be served any more."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an answer is made, beside question and passages. `tier` is what the caller asked for, `model` who writes."""

    policy: str
    language: str
    prompt_version: str
    model: str
    tier: str


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """SHA-256 in hex over all that an answer is made from, and the documents of the passages shown."""

    digest: str
    documents: tuple[DocumentKey, ...] = field(compare=False)


def answer_key(
    scope: Scope, question: str, passages: Sequence[Passage], old: frozenset[int], recipe: Recipe
) -> AnswerKey:
    """The key of an answer to a question that stands alone, from the passages shown; their order does not matter.

    `old`: indexes of passages whose document was replaced. A chunk's id holds its document, version and position.
    """
    shown = sorted((passage.indexed.id, at in old) for at, passage in enumerate(passages))
    how = (recipe.policy, recipe.language, recipe.prompt_version, recipe.model, recipe.tier)
    material = json.dumps([_FORMAT, scope.tenant, normalised(question), shown, how])
    documents = dict.fromkeys(passage.indexed.document.key for passage in passages)
    return AnswerKey(hashlib.sha256(material.encode()).hexdigest(), tuple(documents))


def normalised(question: str) -> str:
    """The question without differences that mean nothing: white space, case of plain words, the stop at the end.

    Commands, flags and codes keep their case: `-C` is not `-c`.
    """
    words = unicodedata.normalize("NFC", question).split()
    plain = [word if is_technical(word.strip(".,;:!?()[]{}'\"*_`")) else word.casefold() for word in words]
    return " ".join(plain).rstrip(" ?.!")


def may_be_kept(answer: Answer) -> bool:
    """Whether an answer is one that a model wrote whole, with every sentence supported."""
    return (
        answer.answered
        and answer.model is not None
        and answer.refusal is None
        and answer.degraded is None
        and answer.grounding is not None
        and answer.grounding.label is GroundingLabel.GROUNDED
    )


def served_again(
    answer: Answer, relevance: Relevance, timings_ms: Mapping[str, float], degraded: Degraded | None = None
) -> Answer:
    """A kept answer as it is given now: it costs nothing, and relevance and times are those of this request."""
    free = Usage(0, 0, 0.0)
    return replace(answer, relevance=relevance, timings_ms=dict(timings_ms), degraded=degraded, usage=free)


def replayed(answer: Answer) -> Iterator[SentenceEvent]:
    """The events in which a kept answer arrives: those in which it came the first time."""
    by_number = {citation.n: citation for citation in answer.citations}
    position = 0
    for sentence in answer.sentences:
        shown = with_citations(sentence.text, sentence.citations)
        at = answer.text.index(shown, position)
        yield SentenceEvent(sentence, tuple(by_number[n] for n in sentence.citations), answer.text[position:at])
        position = at + len(shown)


def answer_codec() -> TypeAdapter[Answer]:
    """Answers to JSON and back, equal. Building it takes a while, so it is built once."""
    return TypeAdapter(Answer)


class AnswerCache:
    """Answers by key. Blocking, so called from threads; holds nothing in memory but how to read an answer."""

    def __init__(self, kept: KeptAnswers) -> None:
        self._kept = kept

    @cached_property
    def _codec(self) -> TypeAdapter[Answer]:
        return answer_codec()

    def get(self, scope: Scope, key: AnswerKey) -> Answer | None:
        """The answer that was given before to the same question from the same passages."""
        text = self._kept.get(scope.tenant, key.digest)
        if text is None:
            return None
        try:
            return self._codec.validate_json(text)
        except ValidationError:  # written by another version of this program
            log.warning("cached_answer_unreadable")
            self._kept.drop(scope.tenant, key.digest)
            return None

    def put(self, scope: Scope, key: AnswerKey, answer: Answer) -> bool:
        """Keep the answer if it is one that may be served again; whether it was."""
        if not may_be_kept(answer):
            return False
        text = self._codec.dump_json(answer).decode()
        return self._kept.put(scope.tenant, key.digest, text, key.documents)

    def forget(self, scope: Scope, document: DocumentKey | None = None) -> int:
        """How many answers are gone: those written from a document that was deleted, or all of the tenant."""
        return self._kept.forget(scope.tenant, document)
