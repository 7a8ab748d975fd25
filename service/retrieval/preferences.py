"""Fresher documents, and sources and collections that a caller prefers, first among hits that are about as relevant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ingestion.corpus.facts_reader import DocumentFacts
from ingestion.corpus.records import ChunkId
from service.retrieval.fusion import Ranking
from service.retrieval.query import Preference

MOST_LIFT = 0.1
"""Fused score that a preference makes up for at most: who leads by more stays ahead, whatever is preferred."""

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Effect:
    """What a preference did to one candidate: freshness in [0, 1], weights in [-1, 1], and the change of its score."""

    freshness: float
    source: float
    collection: float
    change: float


def prefer(
    ranking: Ranking, documents: Mapping[ChunkId, DocumentFacts], preference: Preference
) -> tuple[Ranking, dict[ChunkId, Effect]]:
    """The ranking anew, and what was done to each candidate.

    Freshness halves with each half-life behind the newest candidate: no clock, so that a fixed index gives a fixed
    order. The three are added, kept within [-1, 1], and change a score by half of MOST_LIFT at most.
    """
    newest = max((facts.updated_at for facts in documents.values()), default=None)
    if newest is None:
        return ranking, {}
    effects = {id_: _effect(documents[id_], newest, preference) for id_, _ in ranking if id_ in documents}
    changed = {id_: score + (effects[id_].change if id_ in effects else 0.0) for id_, score in ranking}
    # Equal scores keep the order that they had, which may not be that of their ids.
    place = {id_: at for at, (id_, _) in enumerate(ranking)}
    return sorted(changed.items(), key=lambda entry: (-entry[1], place[entry[0]])), effects


def _effect(facts: DocumentFacts, newest: datetime, preference: Preference) -> Effect:
    freshness = 0.0
    if preference.freshness_half_life_days is not None:
        age_days = (newest - facts.updated_at).total_seconds() / _DAY_S
        freshness = 2.0 ** -(age_days / preference.freshness_half_life_days)
    source = preference.sources.get(facts.source, 0.0)
    collection = preference.collections.get(facts.collection, 0.0)
    wanted = max(-1.0, min(1.0, freshness + source + collection))
    return Effect(freshness, source, collection, wanted * MOST_LIFT / 2)
