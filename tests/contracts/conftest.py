"""The index engines that a contract is run on: Edge always, a server where a binary is named."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ingestion.corpus.index import open_engine
from ingestion.corpus.index.engine import IndexEngine
from ingestion.settings import IndexSettings
from tests.contracts.points import DIMENSION
from tests.servers import QdrantServer, running_qdrant


@dataclass
class Index:
    """One index of a test, on one engine. `engine` is open; `reopen` closes it and opens it again."""

    kind: str
    settings: IndexSettings
    data_dir: Path
    engine: IndexEngine = field(init=False)

    def __post_init__(self) -> None:
        self.engine = self.open()

    def open(self, dimension: int = DIMENSION, generation: str = "g1") -> IndexEngine:
        return open_engine(self.settings, data_dir=self.data_dir, generation=generation, dimension=dimension)

    def reopen(self) -> IndexEngine:
        self.engine.close()
        self.engine = self.open()
        return self.engine


@pytest.fixture(scope="session")
def qdrant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantServer]:
    """A Qdrant server that lives as long as the run; tests that use it carry the marker `qdrant_server`."""
    binary = os.environ.get("PLUMBLINE_TEST_QDRANT")
    if not binary:
        pytest.skip("PLUMBLINE_TEST_QDRANT does not name a Qdrant server binary")
    with running_qdrant(Path(binary), tmp_path_factory.mktemp("qdrant")) as server:
        yield server


@contextmanager
def edge_index_in(folder: Path) -> Iterator[Index]:
    """An empty index on Edge."""
    index = Index("edge", IndexSettings(), folder)
    try:
        yield index
    finally:
        index.engine.close()


@contextmanager
def server_index_on(server: QdrantServer, folder: Path) -> Iterator[Index]:
    """An empty index on a server, in a collection of its own."""
    index = Index("server", server.settings(f"test-{uuid.uuid4().hex}"), folder)
    try:
        yield index
    finally:
        index.engine.close()


@pytest.fixture
def edge_index(tmp_path: Path) -> Iterator[Index]:
    """An empty index on Edge."""
    with edge_index_in(tmp_path / "edge") as index:
        yield index


@pytest.fixture
def server_index(qdrant: QdrantServer, tmp_path: Path) -> Iterator[Index]:
    """An empty index on the server."""
    with server_index_on(qdrant, tmp_path / "server") as index:
        yield index


ENGINES = ["edge", pytest.param("server", marks=pytest.mark.qdrant_server)]


@pytest.fixture(params=ENGINES)
def index(request: pytest.FixtureRequest) -> Index:
    """An empty index, on each engine in turn."""
    found = request.getfixturevalue(f"{request.param}_index")
    assert isinstance(found, Index)
    return found


@pytest.fixture
def engine(index: Index) -> IndexEngine:
    """The engine of that index."""
    return index.engine
