"""The corpus: everything stored, behind one door. `open_corpus` alone knows which deployment this is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from ingestion.corpus.catalog import Catalog
from ingestion.corpus.catalog_reader import CatalogReader, DocumentContent, DocumentQuery, Page
from ingestion.corpus.choosing import Chooser, chunking_of
from ingestion.corpus.database import migrate_corpus, open_database, ping_database
from ingestion.corpus.embedders.sharing import EmbedderPool
from ingestion.corpus.embedding import Embedder
from ingestion.corpus.facts_reader import FactsReader
from ingestion.corpus.generation_store import GenerationStore
from ingestion.corpus.index.engine import IndexQuery, Legs
from ingestion.corpus.index.registry import Indexes
from ingestion.corpus.literal_store import LiteralStore
from ingestion.corpus.lock import exclusive
from ingestion.corpus.pinning import ActiveEmbedder, Pins
from ingestion.corpus.ranking_store import RankingStore
from ingestion.corpus.records import ChunkId, Document, DocumentId, DocumentKey, IndexedChunk
from ingestion.corpus.scope import Scope
from ingestion.corpus.sparse import SparseEncoder
from ingestion.corpus.surroundings import Surroundings
from ingestion.corpus.sweeping import Sweeper
from ingestion.corpus.versions import Generation, GenerationState
from ingestion.corpus.view import EVERYTHING, CorpusView, Selection, Stores
from ingestion.corpus.writer import CorpusWriter
from ingestion.errors import BackendUnavailable, ConfigurationError, Conflict, NotFound, PlumblineError
from ingestion.settings import EmbedderSettings, EngineKind, Settings

__all__ = ["EVERYTHING", "Corpus", "CorpusParts", "CorpusView", "Selection", "open_corpus"]

log = structlog.get_logger(__name__)

_ABANDONED_AFTER = timedelta(hours=1)
_NOTICE_S = 2.0
"""How long another process may serve the generation before a switch."""


@dataclass(frozen=True, slots=True)
class CorpusParts:
    """What a corpus is made of, whichever generation is active."""

    database: Engine
    sparse: SparseEncoder
    pool: EmbedderPool
    indexes: Indexes
    store: GenerationStore
    settings: Settings


class Corpus:
    """Reads within a scope; deletions. Safe from several threads.

    Each call works on the active generation. Calls that belong together go to one view: `pinned`.
    """

    def __init__(self, parts: CorpusParts) -> None:
        """Raises: ConfigurationError, BackendUnavailable, as `open_corpus`."""
        self.database = parts.database
        self.sparse = parts.sparse
        self.generations = parts.store
        self._parts = parts
        self._catalog = CatalogReader(parts.database)
        sweeper = Sweeper(parts.database, parts.indexes.of)
        self.literal = LiteralStore(parts.database)
        facts = FactsReader(parts.database)
        self.rankings = RankingStore(parts.database)
        self._stores = Stores(
            catalog=Catalog(parts.database),
            reader=self._catalog,
            facts=facts,
            rankings=self.rankings,
            sparse=parts.sparse,
            sweeper=sweeper,
            literal=self.literal,
            surroundings=Surroundings(parts.database, self._catalog),
        )
        self._chooser = Chooser(parts.store, parts.pool, parts.sparse, parts.settings)
        self._refreshing = threading.Lock()
        with ExitStack() as stack:
            if parts.store.active() is None:  # the model must tell its name; it stays loaded
                stack.enter_context(parts.pool.loaded(parts.settings.embedder))
            choice = self._chooser.choose()
            self._pins = Pins(*self._open(choice.active, choice.embedder))
        self.wanted = choice.wanted
        """What the settings ask for, if another generation is active."""
        self._asked = choice.active if choice.wanted is None else choice.wanted.generation
        self.embedder: Embedder = ActiveEmbedder(self._pins)

    @property
    def index_version(self) -> str:
        """Name of the active generation."""
        return self._pins.view.index_version

    @property
    def writer(self) -> CorpusWriter:
        """The write side of the active generation. Ask for it each time: a switch brings another one."""
        return self._pins.view.writer

    def pinned(self) -> AbstractContextManager[CorpusView]:
        """The active generation, for everything that belongs together; stays whole and open until the context ends."""
        return self._pins.pinned()

    def search(self, scope: Scope, query: IndexQuery) -> Legs:
        """As `CorpusView.search`."""
        with self.pinned() as view:
            return view.search(scope, query)

    def find_exact(
        self, scope: Scope, needle: str, selection: Selection = EVERYTHING, *, limit: int = 100
    ) -> tuple[IndexedChunk, ...]:
        """As `CorpusView.find_exact`."""
        with self.pinned() as view:
            return view.find_exact(scope, needle, selection, limit=limit)

    def count(self, scope: Scope, selection: Selection = EVERYTHING) -> int:
        """Number of chunks in the selection."""
        with self.pinned() as view:
            return view.count(scope, selection)

    def get_document(self, scope: Scope, document: DocumentId, collection: str | None = None) -> Document:
        """Raises: NotFound; Conflict if several collections hold that id and none was named."""
        return self._catalog.get_document(scope, document, collection)

    def get_documents(self, scope: Scope, keys: Sequence[DocumentKey]) -> dict[DocumentKey, Document]:
        """Those of the documents that are within the scope."""
        return self._catalog.get_documents(scope, keys)

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
        """Those of the chunks that are live within the scope; ids and view must be of one generation."""
        return self._catalog.get_chunks(scope, ids)

    def delete_document(self, scope: Scope, document: DocumentId, collection: str | None = None) -> None:
        """When this returns, nothing can show the document. Raises: NotFound; Conflict."""
        self.writer.delete(scope, self._catalog.get_document(scope, document, collection).key)

    def states(self) -> dict[str, str]:
        """Each dependency by name: `ok`, or what is wrong with it."""
        pings: dict[str, Callable[[], None]] = {
            "database": partial(ping_database, self.database),
            "index": self._ping_index,
        }
        states = {}
        for name, ping in pings.items():
            try:
                ping()
                states[name] = "ok"
            except BackendUnavailable as error:
                states[name] = error.detail
        return states

    def _ping_index(self) -> None:
        with self.pinned() as view:
            view.ping()

    def close(self) -> None:
        self._pins.close()

    # Generations: see `rebuilding`, which builds and switches

    def candidate(self) -> Generation:
        """What the settings ask for; it may be the active one, or not be there yet. Loads the embedder."""
        return self._chooser.candidate()

    @contextmanager
    def opened(self, generation: Generation) -> Iterator[CorpusView]:
        """Any stored generation, open until the context ends. Raises: ConfigurationError, BackendUnavailable."""
        view, close = self._open(generation, self._chooser.embedder_of(generation))
        try:
            yield view
        finally:
            close()

    @contextmanager
    def previewed(self, name: str) -> Iterator[Corpus]:
        """The corpus as it would be with that generation searched, until the context ends: for reading only, and for
        nobody but the caller. What is searched by others stays as it is.

        Raises: NotFound; Conflict if the generation lacks documents; ConfigurationError, BackendUnavailable.
        """
        generation = self.generations.get(name)
        if generation is None or generation.state is GenerationState.DROPPED:
            raise NotFound(f"there is no generation {name}; `plumbline generations` lists them")
        if missing := self.generations.count_missing(name):
            raise Conflict(f"generation {name} lacks {missing} documents: bring it up to date before you look at it")
        view, close = self._open(generation, self._chooser.embedder_of(generation))
        preview = copy(self)
        preview._pins = Pins(view, close)
        preview.embedder = ActiveEmbedder(preview._pins)
        try:
            yield preview
        finally:
            preview.close()

    def refresh(self) -> None:
        """Serve what is active in the catalogue by now. Raises: ConfigurationError, BackendUnavailable."""
        with self._refreshing:
            active = self.generations.active()
            if active is None or active.name == self.index_version:
                return
            view, close = self._open(active, self._chooser.embedder_of(active))
            view.embedder.embed_query(active.name)  # loads the model before anyone waits for it
            before = self.index_version
            self._pins.replace(view, close)
            self.wanted = self._chooser.wanted(self._asked, active)
            log.info("generation_switched", before=before, active=active.name, embedder=active.embedder)

    def is_open(self, generation: str) -> bool:
        """Whether a request or a run of this process still works on that generation."""
        return self._pins.is_open(generation)

    def drop_index(self, generation: str) -> None:
        """Remove the index of a generation that is dropped. Raises: BackendUnavailable, ConfigurationError."""
        self._parts.indexes.drop(generation)

    def _open(self, generation: Generation, embedder: EmbedderSettings) -> tuple[CorpusView, Callable[[], None]]:
        """A view, and what gives back its embedder; its index stays open, since deletions must reach it."""
        pool = self._parts.pool
        index = self._parts.indexes.of(generation.name)
        if index is None:
            raise ConfigurationError(f"there is no generation {generation.name}")
        opened = pool.acquire(embedder, name=generation.embedder, dimension=generation.dimension)
        chunking = chunking_of(generation, self._parts.settings.chunking)
        return CorpusView(generation, chunking, opened, index, self._stores), partial(pool.release, embedder)


@contextmanager
def open_corpus(settings: Settings) -> Iterator[Corpus]:
    """The corpus of these settings, swept of what a killed process left.

    Served is what is stored, also where the settings name another model: `Corpus.wanted` tells. The embedder's weights
    are verified now and loaded at first use.
    Raises: CorpusInUse, ConfigurationError (a model that can't be opened any more among them), BackendUnavailable.
    """
    embedded = settings.index.engine is EngineKind.EDGE
    with ExitStack() as stack:
        if embedded:
            stack.enter_context(exclusive(settings.data_dir))
        database = open_database(settings)
        stack.callback(database.dispose)
        migrate_corpus(database)
        store = GenerationStore(database)
        indexes = stack.enter_context(closing(Indexes(settings.index, settings.data_dir, store.dimension)))
        pool = EmbedderPool(settings.models_path)
        corpus = Corpus(CorpusParts(database, SparseEncoder(), pool, indexes, store, settings))
        stack.callback(corpus.close)
        # Other workers of a server deployment may be at work: only what is long abandoned is swept there.
        corpus.writer.sweep(staged_before=datetime.now(UTC) - (timedelta(0) if embedded else _ABANDONED_AFTER))
        if not embedded:
            stack.enter_context(_refreshed(corpus))
        yield corpus


@contextmanager
def _refreshed(corpus: Corpus) -> Iterator[None]:
    """Notices switches that other processes make: in embedded mode there is no other process."""
    stopping = threading.Event()

    def watch() -> None:
        while not stopping.wait(_NOTICE_S):
            try:
                corpus.refresh()
            except PlumblineError as error:
                log.warning("generation_not_switched", code=error.code, detail=error.detail)
            except SQLAlchemyError as error:
                log.warning("generation_not_switched", code=BackendUnavailable.code, detail=str(error))

    watcher = threading.Thread(target=watch, name="generations")
    watcher.start()
    try:
        yield
    finally:
        stopping.set()
        watcher.join()
