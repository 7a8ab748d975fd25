"""Understands the words of a query by what its tenant's documents are written in."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Engine

from ingestion.corpus.lexicon import VocabularyState, WordReader
from ingestion.corpus.scope import Scope, TenantId
from ingestion.corpus.sparse import SparseEncoder, SparseVector, vector_of
from ingestion.corpus.stemming import ENGLISH
from service.retrieval.lexicon.spelling import Correction, Speller
from service.retrieval.lexicon.synonyms import Synonym, Synonyms
from service.retrieval.lexicon.vocabulary import Vocabulary

_MOST_WORDS = 300_000
"""Words of one tenant in memory, those in most documents: some 60 MB."""
_MOST_TENANTS = 8
_SYNONYM_WEIGHT = 0.5
_NOTHING = VocabularyState(0, 0)
_LEAST_SHARE = 0.005
"""Of the documents, from which a language is one of the tenant's own."""
_CORRECTED_WEIGHT = 0.9
"""What the likeliest reading of a misspelt word weighs against a word that was found as it was written."""


@dataclass(frozen=True, slots=True)
class LexicalQuery:
    """A query as the keyword leg takes it.

    `sparse` has the words as they were written in every language of the tenant, and their synonyms at less weight.
    `corrected` has what unknown words may mean as well; None if no word is unknown. What may be shown of `corrections`
    tells `spelling.confirmed`. `language` is the query's own, or where it does not show one, that of most documents.
    `readings`: for highlights, what else stands for a word of the query.
    """

    sparse: SparseVector
    corrected: SparseVector | None
    corrections: tuple[Correction, ...]
    synonyms: tuple[Synonym, ...]
    languages: tuple[str, ...]
    language: str = ENGLISH
    readings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class _Held:
    """The vocabulary of a tenant as of a state, which is in its main languages, and the `rare` ones beside these.

    `lock` is for who brings it up to date.
    """

    vocabulary: Vocabulary
    state: VocabularyState
    rare: tuple[str, ...] = ()
    lock: threading.Lock = field(default_factory=threading.Lock)


class Lexicon:
    """One per process; safe from several threads.

    Keeps the vocabularies of the tenants that asked last. Each query looks once whether its tenant's words have
    changed; if so, only what is new is read.
    """

    def __init__(self, database: Engine, encoder: SparseEncoder, synonyms: Synonyms | None = None) -> None:
        self._words = WordReader(database)
        self._encoder = encoder
        self._synonyms = synonyms or Synonyms()
        self._lock = threading.Lock()
        self._tenants: OrderedDict[TenantId, _Held] = OrderedDict()

    def understand(self, scope: Scope, text: str, collections: tuple[str, ...] = ()) -> LexicalQuery:
        """The query in the languages and words of the tenant. Raises: SQLAlchemyError if the database fails."""
        held = self._held(scope.tenant)
        vocabulary = held.vocabulary
        languages = vocabulary.languages
        weights = self._encoder.weigh_query(text, languages, held.rare)
        synonyms = self._synonyms.expand(self._encoder, text, collections)
        for synonym in synonyms:
            self._add(weights, synonym.expansion, _SYNONYM_WEIGHT, languages)
        speller = Speller(vocabulary, self._encoder.stop_words(languages))
        named = {synonym.written for synonym in synonyms}
        unknown = [word for word in speller.unknown(text) if word not in named] if len(vocabulary) else []
        corrections = speller.correct(text, unknown) if unknown else ()
        corrected = dict(weights)
        for correction in corrections:
            for candidate in correction.candidates:
                self._add(corrected, candidate.text, _CORRECTED_WEIGHT * candidate.likelihood, languages)
        return LexicalQuery(
            vector_of(weights),
            vector_of(corrected) if corrections else None,
            corrections,
            synonyms,
            (*languages, *held.rare),
            self._encoder.guess(text, languages) or languages[0],
            _readings(corrections, synonyms),
        )

    def _add(self, weights: dict[str, float], text: str, weight: float, languages: tuple[str, ...]) -> None:
        """The terms of another reading; together those of several words weigh as much as one of a single word."""
        terms = self._encoder.weigh_query(text, languages)
        whole = sum(value == 1.0 for value in terms.values())
        for term, value in terms.items():
            share = weight * value / max(1, whole) ** 0.5
            weights[term] = max(weights.get(term, 0.0), share)

    def _held(self, tenant: TenantId) -> _Held:
        state = self._words.state(tenant)
        with self._lock:
            held = self._tenants.get(tenant)
            if held is None:
                held = self._tenants[tenant] = _Held(Vocabulary(self._encoder, (ENGLISH,)), _NOTHING)
            self._tenants.move_to_end(tenant)
            if len(self._tenants) > _MOST_TENANTS:
                self._tenants.popitem(last=False)
        if held.state != state:
            with held.lock:
                self._bring_up(held, tenant, state)
        return held

    def _bring_up(self, held: _Held, tenant: TenantId, state: VocabularyState) -> None:
        """To that state, or beyond: words that are read twice do no harm."""
        if held.state.changes >= state.changes:
            return
        languages, rare = _by_share(self._words.languages(tenant))
        vocabulary, after = held.vocabulary, held.state.changes
        if languages != vocabulary.languages or after < state.counted_at_change:
            vocabulary, after = Vocabulary(self._encoder, languages), 0
        if room := _MOST_WORDS - len(vocabulary):
            vocabulary.add(self._words.words(tenant, after=after, most=room))
        held.vocabulary, held.rare, held.state = vocabulary, rare, state


def _by_share(documents: Mapping[str, int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The main languages, English among them since unknown ones are read so, and the rare: most are misdetected."""
    least = sum(documents.values()) * _LEAST_SHARE
    main = [language for language, count in documents.items() if count >= least]
    if ENGLISH not in main:
        main.append(ENGLISH)
    return tuple(main), tuple(language for language in documents if language not in main)


def _readings(corrections: Iterable[Correction], synonyms: Iterable[Synonym]) -> dict[str, tuple[str, ...]]:
    readings: dict[str, tuple[str, ...]] = {}
    for correction in corrections:
        readings[correction.written] = tuple(candidate.text for candidate in correction.candidates)
    for synonym in synonyms:
        readings[synonym.written] = (*readings.get(synonym.written, ()), synonym.expansion)
    return readings
