"""What survives a process that is killed, and what a broken index or server looks like from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from pydantic import SecretStr

from ingestion.corpus.index import open_engine
from ingestion.corpus.index.engine import IndexEngine, IndexQuery
from ingestion.corpus.sparse import SparseEncoder
from ingestion.errors import BackendUnavailable, ConfigurationError
from ingestion.settings import EngineKind, IndexSettings
from tests.contracts.conftest import Index
from tests.contracts.points import ACME, DIMENSION, point, points, unit
from tests.servers import free_ports, running_qdrant

_WRITER = """
import sys
from pathlib import Path
from ingestion.corpus.index import open_engine
from ingestion.corpus.records import VersionId
from ingestion.settings import IndexSettings
from tests.contracts.points import ACME, DIMENSION, key_of, point

engine = open_engine(IndexSettings(), data_dir=Path(sys.argv[1]), generation="g1", dimension=DIMENSION)
engine.upsert(ACME, [point(ACME, number, f"text {number}") for number in range(200)])
engine.delete_version(ACME, key_of(ACME, 7), VersionId("v1"))
print("written", flush=True)
sys.stdin.read()
"""


def test_what_a_killed_writer_wrote_is_there(tmp_path: Path, repo_root: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path)],
        cwd=repo_root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait(timeout=30)

    engine = open_engine(IndexSettings(), data_dir=tmp_path, generation="g1", dimension=DIMENSION)
    try:
        assert {chunk for chunk, _, _ in engine.scan(ACME)} == {
            point(ACME, number).id for number in range(200) if number != 7
        }
        assert engine.search(ACME, IndexQuery(dense=unit(150), limit=1)).dense[0].id == point(ACME, 150).id
        lexical = IndexQuery(sparse=SparseEncoder().encode_query("199"))
        assert [hit.id for hit in engine.search(ACME, lexical).sparse] == [point(ACME, 199).id]
    finally:
        engine.close()


def test_an_index_whose_making_was_cut_short_is_made_again(tmp_path: Path) -> None:
    unfinished = tmp_path / "index" / "plumbline-g1.new"
    unfinished.mkdir(parents=True)
    (unfinished / "edge_config.json").write_text("{")

    engine = open_engine(IndexSettings(), data_dir=tmp_path, generation="g1", dimension=DIMENSION)

    engine.upsert(ACME, points(ACME, ["text"]))
    engine.close()
    assert not unfinished.exists()


@pytest.mark.parametrize("damage", ["no config", "bad config", "no segments"])
def test_a_damaged_folder_is_a_clear_error(edge_index: Index, damage: str) -> None:
    edge_index.engine.upsert(ACME, points(ACME, ["text"]))
    edge_index.engine.close()
    folder = edge_index.data_dir / "index" / "plumbline-g1"
    if damage == "no config":
        (folder / "edge_config.json").unlink()
    elif damage == "bad config":
        (folder / "edge_config.json").write_text('{"vectors": []}')
    else:
        for file in (folder / "segments").rglob("*"):
            if file.is_file():
                file.write_bytes(b"\0")

    with pytest.raises(ConfigurationError, match="plumbline-g1"):
        edge_index.open()


def test_a_closed_engine_says_so(engine: IndexEngine) -> None:
    engine.upsert(ACME, points(ACME, ["text"]))
    engine.close()

    with pytest.raises(BackendUnavailable):
        engine.ping()
    with pytest.raises(BackendUnavailable):
        engine.count(ACME)


def test_ping_is_silent_while_the_engine_answers(engine: IndexEngine) -> None:
    engine.ping()


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    http_port, grpc_port = free_ports(2)
    settings = IndexSettings(
        engine=EngineKind.SERVER, url=f"http://user:secret@127.0.0.1:{http_port}", grpc_port=grpc_port, timeout_s=2
    )

    with pytest.raises(BackendUnavailable, match=rf"127\.0\.0\.1:{grpc_port}") as caught:
        open_engine(settings, data_dir=tmp_path, generation="g1", dimension=DIMENSION)

    assert "secret" not in caught.value.detail


@pytest.mark.qdrant_server
@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection:UserWarning")
def test_a_server_that_stops_and_comes_back(tmp_path: Path) -> None:
    binary = Path(os.environ["PLUMBLINE_TEST_QDRANT"])
    prefix = f"test-{uuid.uuid4().hex}"
    with running_qdrant(binary, tmp_path / "server", api_key="right") as server:
        settings = server.settings(prefix, timeout_s=3).model_copy(update={"api_key": SecretStr("right")})
        engine = open_engine(settings, data_dir=tmp_path, generation="g1", dimension=DIMENSION)
        engine.upsert(ACME, points(ACME, ["kept"]))
        wrong = settings.model_copy(update={"api_key": SecretStr("wrong")})
        with pytest.raises(ConfigurationError, match=r"UNAUTHENTICATED|PERMISSION_DENIED") as refused:
            open_engine(wrong, data_dir=tmp_path, generation="g1", dimension=DIMENSION)
        assert "wrong" not in refused.value.detail

        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(BackendUnavailable, match=rf"127\.0\.0\.1:{server.grpc_port}"):
            engine.search(ACME, IndexQuery(dense=unit(1)))
        engine.close()

    with running_qdrant(binary, tmp_path / "server") as server:
        engine = open_engine(server.settings(prefix), data_dir=tmp_path, generation="g1", dimension=DIMENSION)
        assert [chunk for chunk, _, _ in engine.scan(ACME)] == [point(ACME, 0).id]
        engine.close()
