"""One generation, open: what a request or a run of the pipeline uses belongs together, whatever is switched."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus.catalog import Catalog
from ingestion.corpus.catalog_reader import CatalogReader
from ingestion.corpus.embedding import Embedder
from ingestion.corpus.facts_reader import DocumentFacts, FactsReader
from ingestion.corpus.filters import Filter, check
from ingestion.corpus.index.engine import IndexEngine, IndexQuery, Legs
from ingestion.corpus.literal_store import LiteralQuery, LiteralStore
from ingestion.corpus.ranking_store import RankingStore, StoredProfile
from ingestion.corpus.records import ChunkId, DocumentKey, IndexedChunk
from ingestion.corpus.scope import Scope
from ingestion.corpus.sparse import SparseEncoder
from ingestion.corpus.surroundings import PlacedChunk, Surroundings
from ingestion.corpus.sweeping import Sweeper
from ingestion.corpus.versions import Generation
from ingestion.corpus.writer import CorpusWriter
from ingestion.settings import ChunkingSettings


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of the scope to search: any collection if none is named."""

    collections: tuple[str, ...] = ()
    filter: Filter | None = None


EVERYTHING = Selection()


@dataclass(frozen=True, slots=True)
class Stores:
    """What all generations share."""

    catalog: Catalog
    reader: CatalogReader
    facts: FactsReader
    rankings: RankingStore
    sparse: SparseEncoder
    sweeper: Sweeper
    literal: LiteralStore
    surroundings: Surroundings


class CorpusView:
    """Reads of one generation within a scope, and the write side for it. Safe from several threads.

    Documents come and go for every view at once: what was deleted or replaced is in none.
    """

    def __init__(
        self,
        generation: Generation,
        chunking: ChunkingSettings,
        embedder: Embedder,
        index: IndexEngine,
        stores: Stores,
    ) -> None:
        self.generation = generation
        self.chunking = chunking
        self.embedder = embedder
        self.sparse = stores.sparse
        self.writer = CorpusWriter(stores.catalog, index, stores.sparse, stores.sweeper, generation.name)
        self._index = index
        self._catalog = stores.reader
        self._facts = stores.facts
        self._literal = stores.literal
        self._rankings = stores.rankings
        self._surroundings = stores.surroundings

    @property
    def index_version(self) -> str:
        """Name of the generation."""
        return self.generation.name

    def search(self, scope: Scope, query: IndexQuery) -> Legs:
        """Ranked ids per leg. They may name chunks that are no longer live: `get_chunks` leaves those out.

        Raises: InvalidRequest for a filter over metadata that no document has; BackendUnavailable.
        """
        self._check(scope, query.filter)
        return self._index.search(scope, query)

    def find_exact_ids(
        self, scope: Scope, needle: str, selection: Selection = EVERYTHING, *, limit: int = 100
    ) -> tuple[ChunkId, ...]:
        """Live chunks in which `needle` begins, as SQL `LIKE '%needle%'` finds it in a document's title and text,
        case-insensitively. A title counts for the first chunk. In the order in which they were stored.

        Raises: InvalidRequest for a filter over metadata that no document has.
        """
        self._check(scope, selection.filter)
        query = LiteralQuery(needle, self.index_version, selection.collections, selection.filter, limit)
        return self._literal.find(scope, query)

    def find_exact(
        self, scope: Scope, needle: str, selection: Selection = EVERYTHING, *, limit: int = 100
    ) -> tuple[IndexedChunk, ...]:
        """Those chunks themselves."""
        ids = self.find_exact_ids(scope, needle, selection, limit=limit)
        chunks = self._catalog.get_chunks(scope, ids)
        return tuple(chunks[id_] for id_ in ids if id_ in chunks)

    def count(self, scope: Scope, selection: Selection = EVERYTHING) -> int:
        """Number of chunks in the selection."""
        self._check(scope, selection.filter)
        return self._index.count(scope, IndexQuery(collections=selection.collections, filter=selection.filter))

    def get_chunks(self, scope: Scope, ids: Collection[ChunkId]) -> dict[ChunkId, IndexedChunk]:
        """Those of the chunks, which this view has found, that are live within the scope."""
        return self._catalog.get_chunks(scope, ids)

    def vectors(self, scope: Scope, ids: Sequence[ChunkId]) -> dict[ChunkId, NDArray[np.float32]]:
        """The dense vectors, `(dim,) float32`, of those of the chunks that the scope may read."""
        return self._index.vectors(scope, ids)

    def documents_of(self, scope: Scope, ids: Sequence[ChunkId]) -> dict[ChunkId, DocumentFacts]:
        """The document of each of those chunks that is live within the scope, without any text."""
        return self._facts.documents_of(scope, ids)

    def metadata_keys(self, scope: Scope) -> frozenset[str]:
        """Every metadata key that the tenant's documents have used."""
        return self._catalog.metadata_keys(scope)

    def titles_of(self, scope: Scope, ids: Sequence[ChunkId]) -> dict[ChunkId, str]:
        """The title of the document of each of the chunks that is live within the scope."""
        return self._facts.titles_of(scope, ids)

    def profiles(self, scope: Scope) -> Mapping[str, StoredProfile]:
        """How hits are to be weighed, by collection, as it was fitted to this generation."""
        return self._rankings.profiles(scope, self.generation.name)

    def read_around(self, scope: Scope, ids: Collection[ChunkId], reach: int = 1) -> dict[ChunkId, PlacedChunk]:
        """The live ones of these chunks and of up to `reach` before and after each in its document."""
        return self._surroundings.read_around(scope, ids, reach)

    def read_openings(self, scope: Scope, chunks: Collection[IndexedChunk]) -> dict[DocumentKey, str]:
        """How the documents of these chunks open: their first 600 characters."""
        return self._surroundings.read_openings(scope, chunks)

    def ping(self) -> None:
        """Raises: BackendUnavailable if the index cannot answer now."""
        self._index.ping()

    def _check(self, scope: Scope, filter_: Filter | None) -> None:
        if filter_ is not None:
            check(filter_, self._catalog.metadata_keys(scope))
