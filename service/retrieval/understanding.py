"""What a search needs to know of its query before it looks: vectors, terms, and what to find literally."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus.corpus import CorpusView
from ingestion.corpus.sparse import SparseVector
from service.retrieval.highlighting import QueryTerms
from service.retrieval.needles import find_needles
from service.retrieval.query import SearchMode, SearchQuery


@dataclass(frozen=True, slots=True)
class Understood:
    """A query as the legs take it; a vector is None where its leg is not to run.

    `dense` is `(dim,) float32`, L2-normalised. `needles` are looked for as they are written.
    """

    terms: QueryTerms
    dense: NDArray[np.float32] | None = None
    sparse: SparseVector | None = None
    needles: tuple[str, ...] = ()


def understand(corpus: CorpusView, query: SearchQuery) -> Understood:
    """The query in the terms of this generation. Raises: BackendUnavailable if the embedder does not answer."""
    mode = query.mode
    dense = corpus.embedder.embed_query(query.text) if mode in (SearchMode.HYBRID, SearchMode.SEMANTIC) else None
    sparse = None if mode is SearchMode.SEMANTIC else corpus.sparse.encode_query(query.text)
    needles: tuple[str, ...] = ()
    if mode is SearchMode.EXACT:
        needles = (query.text,)
    elif mode is SearchMode.HYBRID:
        needles = find_needles(query.text)
    return Understood(QueryTerms(query.text, corpus.sparse), dense, sparse, needles)
