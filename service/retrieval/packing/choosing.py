"""Passages of several searches in one order, and those that are worth a place in a pack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ingestion.corpus.records import ChunkId, DocumentKey
from service.retrieval.folding import Folder
from service.retrieval.packing.records import Dropped, DropReason
from service.retrieval.packing.replaced import Replaced
from service.retrieval.results import Passage, RelevanceLabel, SearchResult

LEAST_SHARE = 0.1
"""A passage whose score is less than this share of the best one's only fills the budget."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is kept, best first, and what is not. Passages of replaced documents come last."""

    kept: tuple[Passage, ...]
    dropped: tuple[Dropped, ...]


def merge(results: Iterable[SearchResult]) -> list[Passage]:
    """The passages of several searches, each once with its best score, best first; ties by rank, then id.

    A search that found nothing relevant adds nothing.
    """
    best: dict[ChunkId, tuple[float, int, ChunkId, Passage]] = {}
    for result in results:
        if result.relevance.label is RelevanceLabel.NONE:
            continue
        for rank, passage in enumerate(result.passages):
            id_ = passage.indexed.id
            entry = (-passage.score, rank, id_, passage)
            if id_ not in best or entry[:3] < best[id_][:3]:
                best[id_] = entry
    return [entry[3] for entry in sorted(best.values(), key=lambda entry: entry[:3])]


def select(passages: Sequence[Passage], replaced: Mapping[DocumentKey, Replaced]) -> Choice:
    """Passages worth a place, and those that are not: too unlikely, replaced, or told already.

    A replaced document gives way to the one that took its place, if that is here; to any current one, if it does not
    name which. Else it stays, behind the current ones.
    """
    least = LEAST_SHARE * max((passage.score for passage in passages), default=0.0)
    likely = [passage for passage in passages if passage.score >= least]
    dropped = [Dropped(passage.indexed.id, DropReason.NOT_RELEVANT) for passage in passages if passage.score < least]
    current = [passage for passage in likely if passage.indexed.document.key not in replaced]
    old = [passage for passage in likely if passage.indexed.document.key in replaced]
    candidates: dict[ChunkId, Passage] = {}
    for passage in [*current, *old]:
        key = passage.indexed.document.key
        if key in replaced and (drop := _giving_way(passage, replaced[key], likely, current)):
            dropped.append(drop)
        else:
            candidates[passage.indexed.id] = passage
    folder = Folder()
    kept = tuple(candidates[chunk.id] for chunk in folder.fold(entry.indexed for entry in candidates.values()))
    for passage in kept:
        repeats = folder.of(passage.indexed)
        dropped += [Dropped(repeat.id, DropReason.DUPLICATE, passage.indexed.id) for repeat in repeats]
    order = {passage.indexed.id: at for at, passage in enumerate(passages)}
    return Choice(kept, tuple(sorted(dropped, key=lambda drop: order[drop.chunk_id])))


def _giving_way(
    passage: Passage, replaced: Replaced, likely: Sequence[Passage], current: Sequence[Passage]
) -> Dropped | None:
    """The passage as dropped, with what stands for it; None if nothing does."""
    if replaced.by is not None:
        heir = next((other.indexed.id for other in likely if other.indexed.document.key == replaced.by), None)
        return Dropped(passage.indexed.id, DropReason.SUPERSEDED, heir) if heir else None
    if replaced.named or not current:
        return None
    return Dropped(passage.indexed.id, DropReason.SUPERSEDED)
