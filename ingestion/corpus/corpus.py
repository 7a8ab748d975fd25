"""The corpus: everything stored, behind one door. `open_corpus` alone knows which deployment this is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import Engine

from ingestion.corpus.catalog import Catalog
from ingestion.corpus.catalog_reader import CatalogReader, DocumentContent, DocumentQuery, Page
from ingestion.corpus.database import migrate_corpus, open_database, ping_database
from ingestion.corpus.embedders.deferred import DeferredEmbedder, require_same_space
from ingestion.corpus.embedding import Embedder, EmbedderPlan, plan_embedder
from ingestion.corpus.filters import Filter, check
from ingestion.corpus.index import open_engine
from ingestion.corpus.index.engine import IndexEngine, IndexQuery, Legs
from ingestion.corpus.lock import exclusive
from ingestion.corpus.records import ChunkId, Document, DocumentId, IndexedChunk
from ingestion.corpus.scope import Scope
from ingestion.corpus.sparse import SparseEncoder
from ingestion.corpus.versions import Generation, generation_name
from ingestion.corpus.writer import CorpusWriter
from ingestion.errors import BackendUnavailable, ConfigurationError
from ingestion.settings import EngineKind, Settings

MODELS_FOLDER = "models"
_ABANDONED_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of the scope to search: any collection if none is named."""

    collections: tuple[str, ...] = ()
    filter: Filter | None = None


EVERYTHING = Selection()


@dataclass(frozen=True, slots=True)
class CorpusParts:
    """What a corpus is made of."""

    database: Engine
    index: IndexEngine
    embedder: Embedder
    sparse: SparseEncoder
    generation: Generation


class Corpus:
    """Reads within a scope; deletions. Safe from several threads. The write side for ingestion is `writer`."""

    def __init__(self, parts: CorpusParts) -> None:
        self.database = parts.database
        self.embedder = parts.embedder
        self.sparse = parts.sparse
        self.index_version = parts.generation.name
        self.writer = CorpusWriter(Catalog(parts.database), parts.index, parts.sparse, parts.generation.name)
        self._index = parts.index
        self._catalog = CatalogReader(parts.database)

    def search(self, scope: Scope, query: IndexQuery) -> Legs:
        """Ranked ids per leg. They may name chunks that are no longer live: `get_chunks` leaves those out.

        Raises: InvalidRequest for a filter over metadata that no document has; BackendUnavailable.
        """
        self._check(scope, query.filter)
        return self._index.search(scope, query)

    def find_exact_ids(
        self, scope: Scope, needle: str, selection: Selection = EVERYTHING, *, limit: int = 100
    ) -> tuple[ChunkId, ...]:
        """Chunks that contain `needle`, as SQL `LIKE '%needle%'` would find them, case-insensitively; as in `search`,
        some may no longer be live.
        """
        self._check(scope, selection.filter)
        query = IndexQuery(limit=limit, collections=selection.collections, filter=selection.filter)
        return self._index.find_exact(scope, needle, query)

    def find_exact(
        self, scope: Scope, needle: str, selection: Selection = EVERYTHING, *, limit: int = 100
    ) -> tuple[IndexedChunk, ...]:
        """The live ones of those chunks, in a stable order."""
        ids = self.find_exact_ids(scope, needle, selection, limit=limit)
        chunks = self._catalog.get_chunks(scope, ids)
        return tuple(chunks[id_] for id_ in ids if id_ in chunks)

    def count(self, scope: Scope, selection: Selection = EVERYTHING) -> int:
        """Number of chunks in the selection."""
        self._check(scope, selection.filter)
        return self._index.count(scope, IndexQuery(collections=selection.collections, filter=selection.filter))

    def get_document(self, scope: Scope, document: DocumentId, collection: str | None = None) -> Document:
        """Raises: NotFound; Conflict if several collections hold that id and none was named."""
        return self._catalog.get_document(scope, document, collection)

    def get_content(self, scope: Scope, document: DocumentId, collection: str | None = None) -> DocumentContent:
        """Raises: NotFound; Conflict if several collections hold that id and none was named."""
        return self._catalog.get_content(scope, document, collection)

    def list_documents(
        self, scope: Scope, query: DocumentQuery, *, cursor: str | None = None, limit: int = 50
    ) -> Page[Document]:
        """Documents, newest first. Raises: InvalidRequest for a foreign cursor."""
        return self._catalog.list_documents(scope, query, cursor=cursor, limit=limit)

    def count_documents(self, scope: Scope) -> int:
        return self._catalog.count_documents(scope)

    def get_chunks(self, scope: Scope, ids: Collection[ChunkId]) -> dict[ChunkId, IndexedChunk]:
        """Those of the chunks that are live within the scope."""
        return self._catalog.get_chunks(scope, ids)

    def delete_document(self, scope: Scope, document: DocumentId, collection: str | None = None) -> None:
        """When this returns, nothing can show the document. Raises: NotFound; Conflict."""
        self.writer.delete(scope, self._catalog.get_document(scope, document, collection).key)

    def states(self) -> dict[str, str]:
        """Each dependency by name: `ok`, or what is wrong with it."""
        pings: dict[str, Callable[[], None]] = {
            "database": partial(ping_database, self.database),
            "index": self._index.ping,
        }
        states = {}
        for name, ping in pings.items():
            try:
                ping()
                states[name] = "ok"
            except BackendUnavailable as error:
                states[name] = error.detail
        return states

    def _check(self, scope: Scope, filter_: Filter | None) -> None:
        if filter_ is not None:
            check(filter_, self._catalog.metadata_keys(scope))


@contextmanager
def open_corpus(settings: Settings) -> Iterator[Corpus]:
    """The corpus of these settings, swept of what a killed process left.

    The embedder's weights are verified now and loaded at first use.
    Raises: CorpusInUse, ConfigurationError (a model that does not fit the index among them), BackendUnavailable.
    """
    embedded = settings.index.engine is EngineKind.EDGE
    with ExitStack() as stack:
        if embedded:
            stack.enter_context(exclusive(settings.data_dir))
        database = open_database(settings)
        stack.callback(database.dispose)
        migrate_corpus(database)
        sparse = SparseEncoder()
        plan = plan_embedder(settings.embedder, settings.models_dir or settings.data_dir / MODELS_FOLDER)
        generation, embedder = _generation(Catalog(database), plan, sparse)
        stack.callback(embedder.close)
        index = stack.enter_context(
            closing(
                open_engine(
                    settings.index,
                    data_dir=settings.data_dir,
                    generation=generation.name,
                    dimension=generation.dimension,
                )
            )
        )
        corpus = Corpus(CorpusParts(database, index, embedder, sparse, generation))
        # Other workers of a server deployment may be at work: only what is long abandoned is swept there.
        corpus.writer.sweep(staged_before=datetime.now(UTC) - (timedelta(0) if embedded else _ABANDONED_AFTER))
        yield corpus


def _generation(catalog: Catalog, plan: EmbedderPlan, sparse: SparseEncoder) -> tuple[Generation, Embedder]:
    """The corpus's vector space, made if it is new, and the embedder for it, loaded only if that must be checked."""
    stored = catalog.generation()
    if stored is None:
        embedder = plan.load()
        name = generation_name(embedder.name, embedder.dimension, sparse.version)
        stored = Generation(name, embedder.name, embedder.dimension, sparse.version, plan.fingerprint)
        catalog.record_generation(stored)
        return stored, embedder
    if stored.lexical != sparse.version:
        raise ConfigurationError(
            f"the index was made with the lexical encoding {stored.lexical}, this program uses {sparse.version}: "
            "ingest anew with another PLUMBLINE_DATA_DIR or index prefix"
        )
    if stored.fingerprint == plan.fingerprint:
        return stored, DeferredEmbedder(plan.load, name=stored.embedder, dimension=stored.dimension)
    embedder = plan.load()
    require_same_space(embedder, name=stored.embedder, dimension=stored.dimension)
    return stored, embedder
