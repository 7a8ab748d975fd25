"""Benches for syncs: a corpus with a quick embedder behind a real endpoint, a clock, and an origin that obeys."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import SecretStr

from ingestion.corpus.corpus import Corpus, open_corpus
from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import RejectionCode
from ingestion.parsing import DocumentParser
from ingestion.pipeline import Pipeline
from ingestion.settings import EmbedderSettings, Settings
from ingestion.source_store import Source, SourceStore
from ingestion.sources.definitions import SourceDefinition, SourceId
from ingestion.sources.origin import End, Fetched, Gone, Known, Origin, OriginDocument, Sighting, Unavailable, Unchanged
from ingestion.syncing import Oversight, Reconciliation, Sources, Syncer, SyncReport
from tests.embeddings_endpoint import KEY, MODEL, Endpoint, running_endpoint

SCOPE = Scope(TenantId("default"))
WIKI = SourceId("wiki")
START = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
_DIMENSION = 16


class Hashes:
    """An embedder whose vectors are hashes of words: quick, and the same every time."""

    name = "hashes"
    dimension = _DIMENSION
    max_tokens = 512

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self.embed_query(text) for text in texts])

    def embed_query(self, text: str) -> NDArray[np.float32]:
        vector = np.zeros(_DIMENSION, np.float32)
        for word in text.split():
            vector[hashlib.sha256(word.encode()).digest()[0] % _DIMENSION] += 1
        return vector / max(1.0, float(np.linalg.norm(vector)))

    def close(self) -> None:
        """Nothing is held."""


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    time: datetime = START

    def __call__(self) -> datetime:
        return self.time

    def pass_(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@dataclass
class Place:
    """What an origin in memory holds. Revisions are hashes of the texts, unless `revisions` is False."""

    texts: dict[str, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    """Keys that can't be fetched now."""
    gone: list[str] = field(default_factory=list)
    """Keys that the origin says no longer exist."""
    complete: bool = True
    ends: bool = True
    revisions: bool = True
    token: str | None = None
    fails: Exception | None = None
    fails_after: int = 0
    """How many sightings come before the failure."""
    scans: int = 0
    closed: int = 0
    modified_at: datetime | None = None


class Obedient:
    """The origin of a `Place`."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def token(self) -> str | None:
        return self._place.token

    def scan(self, known: Known) -> Iterator[Sighting]:
        self._place.scans += 1
        for number, sighting in enumerate(self._sightings(known)):
            if self._place.fails is not None and number >= self._place.fails_after:
                raise self._place.fails
            yield sighting
        if self._place.fails is not None:
            raise self._place.fails

    def _sightings(self, known: Known) -> Iterator[Sighting]:
        keys = list(self._place.texts)
        for start in range(0, len(keys), 256):
            some = keys[start : start + 256]
            before = known.get(some)
            for key in some:
                text = self._place.texts[key]
                revision = hashlib.sha256(text.encode()).hexdigest()[:16] if self._place.revisions else None
                if key in self._place.broken:
                    yield Unavailable(key, f"place/{key}", RejectionCode.FETCH_FAILED, "told to fail")
                elif key in before and revision is not None and before[key].revision == revision:
                    yield Unchanged(key)
                else:
                    document = OriginDocument(
                        f"place/{key}", f"{key}.md", text.encode(), modified_at=self._place.modified_at
                    )
                    yield Fetched(key, document, revision)
        yield from (Gone(key) for key in self._place.gone)
        if self._place.ends:
            yield End(self._place.complete)

    def close(self) -> None:
        self._place.closed += 1


@dataclass
class SyncBench:
    """A corpus, a clock and the wiki: a source whose place obeys, unless it has another origin."""

    corpus: Corpus
    settings: Settings
    clock: Clock
    place: Place
    endpoint: Endpoint
    pipeline: Pipeline
    store: SourceStore
    origin: Callable[[], Origin] | None = None
    """In place of `place`."""

    @property
    def syncer(self) -> Syncer:
        return Syncer(self.corpus, self.store, self.pipeline, self.settings, open_origin=self._open)

    @property
    def sources(self) -> Sources:
        return Sources(self.corpus, self.store, self.settings)

    def sync(self, oversight: Oversight | None = None, *, scope: Scope = SCOPE, id_: SourceId = WIKI) -> SyncReport:
        return self.syncer.sync(scope, id_, oversight)

    def reconcile(self, *, scope: Scope = SCOPE, id_: SourceId = WIKI) -> Reconciliation:
        return self.syncer.reconcile(scope, id_)

    def wiki(self) -> Source:
        return self.store.get(SCOPE, WIKI)

    def texts(self, needle: str, scope: Scope = SCOPE) -> list[str]:
        """Texts of the chunks in which a reader finds it."""
        return [hit.chunk.text for hit in self.corpus.find_exact(scope, needle)]

    @contextmanager
    def _open(self, _scope: Scope, _definition: SourceDefinition, _settings: Settings) -> Iterator[Origin]:
        origin = Obedient(self.place) if self.origin is None else self.origin()
        try:
            yield origin
        finally:
            origin.close()


def definition(id_: str = "wiki", **changed: object) -> SourceDefinition:
    values = {"id": id_, "origin": {"kind": "folder", "path": "/nowhere"}} | changed
    return SourceDefinition.model_validate(values)


def quick_settings(data_dir: Path, endpoint: Endpoint, **changed: object) -> Settings:
    """Settings with the quick embedder."""
    embedder = EmbedderSettings(
        provider="openai",
        base_url=endpoint.url,
        model=MODEL,
        api_key=SecretStr(KEY),
        dimension=_DIMENSION,
        max_tokens=512,
    )
    return Settings(data_dir=data_dir, embedder=embedder, **changed)  # type: ignore[arg-type]


@contextmanager
def quick_endpoint() -> Iterator[Endpoint]:
    with running_endpoint(Hashes()) as endpoint:
        yield endpoint


@contextmanager
def open_sync_bench(settings: Settings, endpoint: Endpoint, parser: DocumentParser) -> Iterator[SyncBench]:
    """A bench without any source. The parser is lent, for starting one takes longer than most tests."""
    with open_corpus(settings) as corpus:
        clock = Clock()
        pipeline = Pipeline(corpus, parser)
        store = SourceStore(corpus.database, clock)
        yield SyncBench(corpus, settings, clock, Place(), endpoint, pipeline, store)


def raising(error: BaseException, after: int = 0) -> Callable[[object], None]:
    """A callback that raises when it was called so many times before."""
    calls = 0

    def call(_: object) -> None:
        nonlocal calls
        calls += 1
        if calls > after:
            raise error

    return call


class Interrupted(Exception):
    """What a test throws into a sync."""


class Killed(BaseException):
    """Ends the process, as far as a test can: nothing is tidied up after it."""
