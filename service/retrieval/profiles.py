"""How much each leg counts for each kind of query: what holds anywhere, and what was fitted to a collection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ingestion.corpus.corpus import CorpusView
from ingestion.corpus.ranking_store import ALL
from ingestion.corpus.scope import Scope
from ingestion.corpus.stemming import ENGLISH
from service.retrieval.fusion import Weights
from service.retrieval.traits import QueryClass
from service.retrieval.understanding import Understood

# Chosen by `python -m benchmarks.fusion`; docs/quality/fusion.md has the figures.
DEFAULTS: Mapping[QueryClass, Weights] = {
    QueryClass.IDENTIFIER: Weights(dense=0.4, title=2.0),
    QueryClass.KEYWORDS: Weights(dense=0.4, title=2.0),
    QueryClass.QUESTION: Weights(dense=0.6, title=0.0),
    QueryClass.TICKET: Weights(dense=0.7, title=1.5),
}


_OF_ENGLISH = re.compile(r"english|minilm-l\d+-v\d|[-_]en(?:[-_.]|$)", re.IGNORECASE)
"""Names of embedders that were trained on English alone."""
_STRANGE = 0.5
"""What is left of the dense leg's weight in a language that the embedder was not trained on."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Weights per kind of query. `fitted`: of which collection, None if these are the defaults."""

    weights: Mapping[QueryClass, Weights]
    fitted: str | None = None

    def dump(self) -> dict[str, Any]:
        """As JSON; `load` reads it back."""
        return {kind.value: {"dense": w.dense, "title": w.title} for kind, w in self.weights.items()}


def load(stored: Mapping[str, Any], collection: str) -> Profile:
    """A profile out of JSON; kinds that it lacks have their defaults."""
    weights = dict(DEFAULTS)
    for kind in QueryClass:
        if kind.value in stored:
            weights[kind] = Weights(float(stored[kind.value]["dense"]), float(stored[kind.value]["title"]))
    return Profile(weights, collection)


def weights_for(
    corpus: CorpusView, scope: Scope, collections: tuple[str, ...], query: Understood
) -> tuple[Weights, str | None]:
    """How much each leg counts for a query, and the collection to which that was fitted, None if to none."""
    profile = profile_for(corpus, scope, collections)
    weights = profile.weights[query.kind]
    strange = query.language != ENGLISH and _OF_ENGLISH.search(corpus.embedder.name.partition("@")[0])
    if strange and profile.fitted is None:
        weights = replace(weights, dense=weights.dense * _STRANGE)
    return weights, profile.fitted


def profile_for(corpus: CorpusView, scope: Scope, collections: tuple[str, ...]) -> Profile:
    """What was fitted to the one collection that is searched, else to all of the tenant's, else the defaults."""
    stored = corpus.profiles(scope)
    for name in (*(collections if len(collections) == 1 else ()), ALL):
        if name in stored:
            return load(stored[name].profile, name)
    return Profile(DEFAULTS)
