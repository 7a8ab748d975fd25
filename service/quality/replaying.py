"""An answer once more: the same question over the same passages, with the same or another prompt or model.

Only what is compared is left to this module; it is answered by the real answerer, and nothing is kept of it but the
bills of the models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from enum import StrEnum
from time import perf_counter
from typing import Any

from ingestion.corpus.corpus import Corpus
from ingestion.corpus.records import ChunkId, DocumentKey
from ingestion.corpus.scope import Scope
from ingestion.errors import InvalidRequest, NotFound
from service.generation.answering import collect
from service.generation.answers import Answer, AnswerQuery, Tier, Turn
from service.ledger.traces import Operation, Trace, Traces
from service.releasing.choices import Choices
from service.retrieval.results import Passage, Relevance, RelevanceLabel, RelevanceSignals, SearchResult
from service.runtime import Reading
from service.settings import Policy
from service.tracking.bodies import Mask, answer_body


class Fate(StrEnum):
    """What became of a sentence."""

    KEPT = "kept"
    NEW = "new"
    GONE = "gone"


class Loss(StrEnum):
    """Why a passage is not there any more."""

    DELETED = "deleted"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class LostPassage:
    """A passage that the answer was written from, and the replay is not."""

    chunk_id: str
    uri: str
    title: str
    why: Loss


@dataclass(frozen=True, slots=True)
class ToldSentence:
    """`sources` are the chunks that it cites."""

    text: str
    label: str
    score: float
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """One of the two answers. `outcome` is `answered`, or why it was refused."""

    outcome: str
    model: str | None
    prompt_version: str | None
    degraded: str | None
    grounding: str | None
    grounding_score: float | None
    unsupported: int
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_usd: float | None
    total_ms: float
    sentences: tuple[ToldSentence, ...]
    citations: Mapping[str, tuple[str, str]]
    """Uri and quote of each chunk that is cited."""


@dataclass(frozen=True, slots=True)
class SentenceChange:
    """A sentence in both answers, or in one of them."""

    fate: Fate
    before: ToldSentence | None
    after: ToldSentence | None


@dataclass(frozen=True, slots=True)
class Replay:
    """Both answers and what differs. `passages` is the number of those that both could be written from."""

    question: str
    passages: int
    lost: tuple[LostPassage, ...]
    before: Told
    after: Told
    sentences: tuple[SentenceChange, ...]


@dataclass(frozen=True, slots=True)
class ReplayWish:
    """What is to be another than it was; None: as it was."""

    prompt: str | None = None
    model: str | None = None
    tier: Tier | None = None


async def replay(reading: Reading, scope: Scope, answer_id: str, wish: ReplayWish) -> Replay:
    """The answer once more. Blocking reads run in this thread: it is for a command, not for a server.

    Raises: NotFound without such a trace, or if none of its passages is there any more; InvalidRequest if it is of no
        answer, or its words were not kept; ConfigurationError for a prompt that there is not.
    """
    trace = Traces(reading.corpus.database).get(scope.tenant, answer_id)
    query = _query(trace, wish)
    found, lost = _passages(reading.corpus, scope, trace)
    if lost and not found.passages:
        raise NotFound(
            f"none of the {len(lost)} passages of this answer is there any more: "
            + "; ".join(f"{one.uri} was {one.why.value}" for one in lost)
        )
    choices = Choices(wish.prompt or trace.prompt_version, wish.model or _fast_model(reading, trace))
    answerers = reading.answerers.over(lambda _scope, _query: found)
    async with answerers.open(choices) as answerer:
        began = perf_counter()
        answer = await collect(answerer.answer(scope, query))
        total_ms = (perf_counter() - began) * 1e3
    before, after = _before(trace), _after(query, answer, total_ms, reading.masker.content)
    return Replay(
        question=query.question,
        passages=len(found.passages),
        lost=lost,
        before=before,
        after=after,
        sentences=changes(before.sentences, after.sentences),
    )


def changes(before: Sequence[ToldSentence], after: Sequence[ToldSentence]) -> tuple[SentenceChange, ...]:
    """Both answers as one list, in their order; the same words are the same sentence, letter case aside."""
    matcher = SequenceMatcher(None, [_plain(one.text) for one in before], [_plain(one.text) for one in after], False)
    found: list[SentenceChange] = []
    for what, i, until_i, j, until_j in matcher.get_opcodes():
        if what == "equal":
            pairs = zip(before[i:until_i], after[j:until_j], strict=True)
            found += [SentenceChange(Fate.KEPT, one, other) for one, other in pairs]
        else:
            found += [SentenceChange(Fate.GONE, one, None) for one in before[i:until_i]]
            found += [SentenceChange(Fate.NEW, None, one) for one in after[j:until_j]]
    return tuple(found)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _query(trace: Trace, wish: ReplayWish) -> AnswerQuery:
    if trace.operation != Operation.ANSWER:
        raise InvalidRequest(f"{trace.id} is the trace of a {trace.operation}: only answers can be replayed")
    if trace.query is None:
        raise InvalidRequest(
            "the words of this answer were not kept: PLUMBLINE_LEDGER__CONTENT was `hash` or `drop` when it was given"
        )
    body = trace.body
    if "passages" not in body or trace.outcome not in ("ok", "refused"):
        raise InvalidRequest(f"this answer did not come to its end ({trace.outcome}): there is nothing to compare with")
    return AnswerQuery(
        question=trace.query,
        collections=tuple(body["collections"]),
        history=tuple(Turn(turn["role"], turn["content"]) for turn in body["history"]),
        tier=wish.tier or Tier(trace.tier or body["asked_tier"]),
        unsupported=None if body["policy"] is None else Policy(body["policy"]),
    )


def _passages(corpus: Corpus, scope: Scope, trace: Trace) -> tuple[SearchResult, tuple[LostPassage, ...]]:
    """What was found then, as far as it is there, with the relevance that it had."""
    told = trace.body["passages"]
    chunks = corpus.get_chunks(scope, [ChunkId(one["chunk_id"]) for one in told])
    lost = tuple(
        LostPassage(one["chunk_id"], one["uri"], one["title"], _loss(corpus, one["document"]))
        for one in told
        if one["chunk_id"] not in chunks
    )
    passages = tuple(Passage(chunks[one["chunk_id"]], one["score"]) for one in told if one["chunk_id"] in chunks)
    signals = RelevanceSignals(
        top_score=trace.top_score or 0.0, margin=trace.margin or 0.0, legs_agree=bool(trace.legs_agree)
    )
    relevance = Relevance(RelevanceLabel(trace.relevance or "none"), trace.confidence or 0.0, signals)
    result = SearchResult(passages, relevance, trace.body["total"], index_version=trace.index_version or "")
    return result, lost


def _loss(corpus: Corpus, document: str) -> Loss:
    there = corpus.generations.load(DocumentKey(document), corpus.index_version)
    return Loss.DELETED if there is None else Loss.CHANGED


def _fast_model(reading: Reading, trace: Trace) -> str | None:
    """The model that wrote it, unless that is the strong one, which no choice concerns."""
    strong = reading.answerers.settings.llm_strong.model
    return None if trace.model == strong else trace.model


def _before(trace: Trace) -> Told:
    body = trace.body
    return _told(
        body,
        Told(
            outcome=trace.refusal or "answered",
            model=trace.model,
            prompt_version=trace.prompt_version,
            degraded=trace.degraded,
            grounding=trace.grounding,
            grounding_score=trace.grounding_score,
            unsupported=trace.unsupported or 0,
            prompt_tokens=trace.prompt_tokens,
            completion_tokens=trace.completion_tokens,
            cost_usd=trace.cost_usd,
            total_ms=trace.total_ms,
            sentences=(),
            citations={},
        ),
    )


def _after(query: AnswerQuery, answer: Answer, total_ms: float, mask: Mask) -> Told:
    grounding, usage = answer.grounding, answer.usage
    return _told(
        answer_body(query, answer, mask),
        Told(
            outcome="answered" if answer.refusal is None else answer.refusal.reason.value,
            model=answer.model,
            prompt_version=answer.prompt_version,
            degraded=None if answer.degraded is None else answer.degraded.reason.value,
            grounding=None if grounding is None else grounding.label.value,
            grounding_score=None if grounding is None else grounding.score,
            unsupported=0 if grounding is None else grounding.unsupported_sentences,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cost_usd=usage.cost_usd,
            total_ms=total_ms,
            sentences=(),
            citations={},
        ),
    )


def _told(body: Mapping[str, Any], told: Told) -> Told:
    """With the sentences and citations of the body."""
    chunks = {one["n"]: one["chunk_id"] for one in body["citations"]}
    return replace(
        told,
        sentences=tuple(
            ToldSentence(
                one["text"] or "",
                one["support"]["label"],
                one["support"]["score"],
                tuple(chunks[n] for n in one["citations"]),
            )
            for one in body["sentences"]
        ),
        citations={one["chunk_id"]: (one["uri"], one["quote"] or "") for one in body["citations"]},
    )
