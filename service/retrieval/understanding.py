"""What a search needs to know of its query before it looks: vectors, terms, and what to find literally."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus.corpus import CorpusView
from ingestion.corpus.scope import Scope
from ingestion.corpus.sparse import SparseVector
from ingestion.corpus.stemming import ENGLISH
from service.retrieval.highlighting import QueryTerms
from service.retrieval.lexicon.lexicon import Lexicon
from service.retrieval.lexicon.spelling import Correction, respell
from service.retrieval.lexicon.synonyms import Synonym
from service.retrieval.needles import find_needles
from service.retrieval.query import SearchMode, SearchQuery
from service.retrieval.traits import QueryClass, classify, gist

_GIST = 2.0
"""What a word of the gist of a ticket counts more than any other."""


@dataclass(frozen=True, slots=True)
class Understood:
    """A query as the legs take it; a vector is None where its leg is not to run.

    `named` are the stems of its words as they are taken: what a title is named by. `dense` is `(dim,) float32`,
    L2-normalised. `needles` are looked for as they are written. `kind` is the query's form, `language` its ISO 639-1
    code. What may be shown of `corrections` tells `spelling.confirmed`.
    """

    terms: QueryTerms
    named: frozenset[str]
    dense: NDArray[np.float32] | None = None
    sparse: SparseVector | None = None
    needles: tuple[str, ...] = ()
    kind: QueryClass = QueryClass.QUESTION
    language: str = ENGLISH
    corrections: tuple[Correction, ...] = ()
    synonyms: tuple[Synonym, ...] = ()


def understand(corpus: CorpusView, lexicon: Lexicon, scope: Scope, query: SearchQuery) -> Understood:
    """The query in the terms of this generation. Raises: BackendUnavailable if the embedder does not answer."""
    mode = query.mode
    words = lexicon.understand(scope, query.text, query.selection.collections)
    meant = respell(query.text, words.corrections)
    dense = corpus.embedder.embed_query(meant) if mode in (SearchMode.HYBRID, SearchMode.SEMANTIC) else None
    needles: tuple[str, ...] = ()
    if mode is SearchMode.EXACT:
        needles = (query.text,)
    elif mode is SearchMode.HYBRID:
        needles = find_needles(query.text)
    kind = classify(query.text, needles)
    sparse = None if mode is SearchMode.SEMANTIC else words.corrected or words.sparse
    if sparse is not None and kind is QueryClass.TICKET:
        sparse = _emphasise(sparse, corpus.sparse.encode_query(gist(query.text), words.languages))
    terms = QueryTerms(query.text, corpus.sparse, words.languages, words.readings)
    named = terms.terms if meant == query.text else terms.terms.union(corpus.sparse.terms(meant, words.language))
    return Understood(terms, named, dense, sparse, needles, kind, words.language, words.corrections, words.synonyms)


def _emphasise(vector: SparseVector, told: SparseVector) -> SparseVector:
    """The terms of a ticket: those of its gist count most."""
    telling = frozenset(told.indices)
    weights = (w * (1 + _GIST * (i in telling)) for i, w in zip(vector.indices, vector.values, strict=True))
    return SparseVector(vector.indices, tuple(weights))
