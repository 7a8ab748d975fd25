"""What a trace holds beside its columns, as JSON: candidates with all scores, sentences with verdicts, decisions.

Its keys are part of `GET /v1/traces/{id}`, and what `replay` and gold cases are made from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from ingestion.corpus.filters import Filter
from ingestion.corpus.records import IndexedChunk
from service.generation.answers import Answer, AnswerQuery
from service.retrieval.packing.records import ContextPack
from service.retrieval.results import Passage, SearchResult

Mask = Callable[[str], str | None]
"""Words as they may be kept; None: not at all."""

_SCALE = 1e5


def search_body(result: SearchResult, most: int) -> dict[str, Any]:
    """The result of one search with the `most` best candidates."""
    body: dict[str, Any] = {"total": result.total, "passages": [_passage(one) for one in result.passages]}
    trail = result.trail
    if trail is None:
        return body
    body["kind"] = trail.kind
    body["weights"] = {"dense": trail.weights.dense, "title": trail.weights.title, "fitted": trail.fitted}
    body["candidates"] = list(_candidates(result, most))
    return body


def context_body(pack: ContextPack, most: int, mask: Mask) -> dict[str, Any]:
    """A pack, and the searches that it was filled from."""
    return {
        "tokens": pack.tokens,
        "queries": [mask(query) for query in pack.queries_used],
        "passages": [
            {
                "n": one.n,
                "chunk_id": one.chunk_id,
                "document": one.document.key,
                "uri": one.document.uri,
                "title": one.document.title,
                "score": _short(one.score),
                "tokens": one.tokens,
            }
            for one in pack.passages
        ],
        "dropped": [{"chunk_id": drop.chunk_id, "reason": drop.reason.value} for drop in pack.dropped],
        "searches": [search_body(result, most) for result in pack.results],
    }


def selection_body(collections: Iterable[str], filter_: Filter | None, mask: Mask) -> dict[str, Any]:
    """Where was looked. The values of a filter may be words of a person."""
    told = (
        None
        if filter_ is None
        else _values_masked(filter_.model_dump(mode="json", by_alias=True, exclude_defaults=True), mask)
    )
    return {"collections": list(collections), "filter": told}


def answer_body(query: AnswerQuery, answer: Answer | None, mask: Mask) -> dict[str, Any]:
    """What was asked, and what was answered if it came so far."""
    body: dict[str, Any] = {
        **selection_body(query.collections, query.filter, mask),
        "history": [{"role": turn.role, "content": mask(turn.content)} for turn in query.history],
        "asked_tier": query.tier.value,
        "policy": query.unsupported,
    }
    if answer is None:
        return body
    body["text"] = mask(answer.text)
    body["sentences"] = [
        {
            "text": mask(one.text),
            "citations": list(one.citations),
            "support": {
                "label": one.support.label.value,
                "score": _short(one.support.score),
                "checks": [_check(check, mask) for check in one.support.checks],
            },
        }
        for one in answer.sentences
    ]
    body["citations"] = [
        {
            "n": one.n,
            "chunk_id": one.chunk_id,
            "document": one.document.key,
            "uri": one.document.uri,
            "title": one.document.title,
            "quote": mask(one.quote),
            "span": {"start": one.span.start, "end": one.span.end},
        }
        for one in answer.citations
    ]
    body["decisions"] = [
        {
            "step": one.step,
            "choice": one.choice,
            # They may quote the question.
            "reasons": [kept for reason in one.reasons if (kept := mask(reason)) is not None],
        }
        for one in answer.decisions
    ]
    if answer.grounding is not None:
        body["method"] = answer.grounding.method
        body["withheld_sentences"] = answer.grounding.withheld_sentences
    return body


def _check(check: str, mask: Mask) -> str:
    """`numbers:missing 40 s` tells a word of the sentence: without it, where words are not kept."""
    kept = mask(check)
    return check.partition(" ")[0] if kept is None else kept


def _values_masked(part: Any, mask: Mask) -> Any:
    """A filter with its keys, and with what its values may keep."""
    if isinstance(part, dict):
        return {name: value if name == "key" else _values_masked(value, mask) for name, value in part.items()}
    if isinstance(part, list):
        return [_values_masked(value, mask) for value in part]
    return mask(part) if isinstance(part, str) else part


def documents_of(passages: Iterable[Passage]) -> list[str]:
    """Keys of the documents that the passages are from, best first, each once."""
    return list(dict.fromkeys(str(passage.indexed.document.key) for passage in passages))


def _passage(passage: Passage) -> dict[str, Any]:
    told = _named(passage.indexed) | {"score": _short(passage.score)}
    if passage.duplicates:
        told["duplicates"] = [_named(one) for one in passage.duplicates]
    return told


def _named(chunk: IndexedChunk) -> dict[str, Any]:
    document = chunk.document
    return {"chunk_id": chunk.id, "document": document.key, "uri": document.uri, "title": document.title}


def _candidates(result: SearchResult, most: int) -> Iterable[dict[str, Any]]:
    assert result.trail is not None
    found, reranked = result.trail.candidates, result.trail.reranked
    scores = {passage.indexed.id: passage.score for passage in result.passages}
    for id_, fused in islice(_ranked(found.ranking, found.tail), most):
        told: dict[str, Any] = {"chunk_id": id_}
        scored: tuple[tuple[str, float | None], ...] = (
            ("fused", fused),
            ("dense", found.dense.get(id_)),
            ("sparse", found.sparse.get(id_)),
            ("rerank", reranked[id_].score if id_ in reranked else None),
            ("score", scores.get(id_)),
        )
        for name, value in scored:
            if value is not None:
                told[name] = _short(value)
        if id_ in found.exact:
            told["exact"] = True
        yield told


def _ranked(ranking: Sequence[tuple[Any, float]], tail: Iterable[Any]) -> Iterable[tuple[Any, float | None]]:
    yield from ranking
    for id_ in tail:
        yield id_, None


def _short(value: float) -> float | None:
    """The score with five digits behind the point; None for one that is no number. `round` takes five times as long,
    and a trace has hundreds of scores."""
    if -1e9 < value < 1e9:
        return int(value * _SCALE + (0.5 if value >= 0 else -0.5)) / _SCALE
    return None
