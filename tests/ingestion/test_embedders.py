"""Where weights come from: the packaged pack, folders and hubs, and what happens when they are not right."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from ingestion.corpus.embedders import packaged
from ingestion.corpus.embedders.granite_pack import roberta_names
from ingestion.corpus.embedders.packaged import packaged_folder
from ingestion.corpus.embedders.resolution import resolve_model
from ingestion.corpus.embedders.weights import appear_whole, file_sha256
from ingestion.corpus.embedding import Embedder, open_embedder
from ingestion.errors import ModelIntegrityError, ModelUnavailable
from ingestion.settings import DEFAULT_EMBEDDING_MODEL, EmbedderSettings


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged model, rebuilt once for this module; tests that alter files work on a copy."""
    return packaged_folder(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def embedder(model_folder: Path) -> Iterator[Embedder]:
    with closing(open_embedder(EmbedderSettings(), model_folder.parent)) as opened:
        yield opened


def flip_last_byte(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))


# --- the packaged model ---


def test_the_pinned_hash_is_the_one_that_the_wheel_records() -> None:
    files = metadata.distribution(packaged.DISTRIBUTION).files or []
    recorded = next(file.hash for file in files if file.name == packaged.PACK_NAME)

    assert recorded is not None
    assert base64.urlsafe_b64decode(recorded.value + "=").hex() == packaged.PACK_SHA256


def test_rebuilt_weights_are_the_pinned_ones_and_vendors_can_read_them(model_folder: Path) -> None:
    from safetensors.numpy import load_file

    tensors = load_file(model_folder / "model.safetensors")

    assert file_sha256(model_folder / "model.safetensors") == packaged.WEIGHTS_SHA256
    assert tensors["embeddings.word_embeddings.weight"].shape == (50265, 384)
    assert tensors["encoder.layer.5.attention.self.value.weight"].shape == (384, 384)
    assert len(tensors) == 5 + 6 * 16
    assert all(np.isfinite(values).all() for values in tensors.values())


def test_a_second_start_reuses_the_folder(model_folder: Path) -> None:
    before = (model_folder / "model.safetensors").stat()

    assert packaged_folder(model_folder.parent) == model_folder
    assert (model_folder / "model.safetensors").stat().st_mtime_ns == before.st_mtime_ns
    assert [path.name for path in model_folder.parent.iterdir()] == [model_folder.name]


def test_an_altered_pack_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    pack = tmp_path / "altered.hmsemb"
    shutil.copy(packaged.find_pack(), pack)
    flip_last_byte(pack)

    with pytest.raises(ModelIntegrityError) as caught:
        packaged_folder(tmp_path / "models", pack=pack)

    for part in (str(pack), packaged.PACK_SHA256, file_sha256(pack), "reinstall"):
        assert part in caught.value.detail
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json", "1_Pooling/config.json"])
def test_an_altered_folder_is_refused(name: str, model_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(model_folder, tmp_path / model_folder.name)
    flip_last_byte(tmp_path / model_folder.name / name)

    with pytest.raises(ModelIntegrityError, match="delete the folder") as caught:
        packaged_folder(tmp_path)

    assert name in caught.value.detail


def test_a_missing_file_is_refused(model_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(model_folder, tmp_path / model_folder.name)
    (tmp_path / model_folder.name / "model.safetensors").unlink()

    with pytest.raises(ModelIntegrityError, match="delete the folder"):
        packaged_folder(tmp_path)


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def fail(work: Path) -> None:
        (work / "half").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(ModelUnavailable, match="No space left"):
        appear_whole(tmp_path / "model", fail)

    assert list(tmp_path.iterdir()) == []


def test_the_work_of_a_faster_process_is_kept(tmp_path: Path) -> None:
    def overtaken(work: Path) -> None:
        (work / "file").write_text("mine")
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "file").write_text("theirs")

    appear_whole(tmp_path / "model", overtaken)

    assert (tmp_path / "model" / "file").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_stacked_tensors_have_three_names() -> None:
    assert roberta_names("l3.qkv.w") == tuple(
        f"encoder.layer.3.attention.self.{part}.weight" for part in ("query", "key", "value")
    )


def test_vectors_are_those_of_sentence_transformers(embedder: Embedder, model_folder: Path) -> None:
    from sentence_transformers import SentenceTransformer

    texts = ["gateway 502", "restart the broker " * 300, "café ☕"]
    reference = SentenceTransformer(
        str(model_folder), device="cpu", local_files_only=True, model_kwargs={"add_pooling_layer": False}
    )

    expected = reference.encode(texts, show_progress_bar=False)
    np.testing.assert_allclose(embedder.embed_documents(texts), expected, atol=1e-5)
    np.testing.assert_allclose(embedder.embed_query(texts[0]), expected[0], atol=1e-5)


def test_bfloat16_stays_in_the_same_vector_space(embedder: Embedder, model_folder: Path) -> None:
    texts = ["restart the gateway when it answers 502", "the invoice is wrong " * 60]

    with closing(open_embedder(EmbedderSettings(precision="bfloat16"), model_folder.parent)) as rounded:
        vectors = rounded.embed_documents(texts)

    assert rounded.name == embedder.name
    assert vectors.dtype == np.float32
    assert (np.sum(vectors * embedder.embed_documents(texts), axis=1) > 0.999).all()


# --- folders and settings ---


def test_the_name_carries_model_and_weights(embedder: Embedder) -> None:
    assert embedder.name == f"{DEFAULT_EMBEDDING_MODEL}@{packaged.WEIGHTS_SHA256[:12]}"
    assert (embedder.dimension, embedder.max_tokens) == (384, 512)


def test_a_local_folder_is_checked_against_the_setting(model_folder: Path, tmp_path: Path) -> None:
    right = EmbedderSettings(model=str(model_folder), sha256=packaged.WEIGHTS_SHA256.upper())
    wrong = EmbedderSettings(model=str(model_folder), sha256="0" * 64)

    assert resolve_model(right, tmp_path).identity == packaged.WEIGHTS_SHA256
    with pytest.raises(ModelIntegrityError, match="PLUMBLINE_EMBEDDER__SHA256") as caught:
        resolve_model(wrong, tmp_path)
    assert packaged.WEIGHTS_SHA256 in caught.value.detail


def test_a_document_prefix_is_another_vector_space(model_folder: Path) -> None:
    with closing(open_embedder(EmbedderSettings(document_prefix="passage: "), model_folder.parent)) as prefixed:
        assert prefixed.name.startswith(f"{DEFAULT_EMBEDDING_MODEL}@{packaged.WEIGHTS_SHA256[:12]}+")
        np.testing.assert_array_equal(prefixed.embed_documents(["x"])[0], prefixed.embed_query("passage: x"))


@pytest.mark.parametrize("model", ["./no/such/folder", "/no/such/folder", "a/b/c", "", "with space"])
def test_what_is_neither_folder_nor_id_is_refused_at_once(model: str, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="PLUMBLINE_EMBEDDER__MODEL"):
        resolve_model(EmbedderSettings(model=model), tmp_path)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="holds no weights"):
        resolve_model(EmbedderSettings(model=str(tmp_path)), tmp_path)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "roberta"}))
    (tmp_path / "model.safetensors").write_bytes(b"not weights")

    with pytest.raises(ModelUnavailable, match="cannot be loaded"):
        open_embedder(EmbedderSettings(model=str(tmp_path)), tmp_path)


# --- hubs: in a process of their own, since the hub's library reads its address at import ---

_OPEN = """
import sys
from pathlib import Path
from ingestion.corpus.embedders.resolution import resolve_model
from ingestion.errors import ModelUnavailable
from ingestion.settings import EmbedderSettings
try:
    resolve_model(EmbedderSettings(model="some-org/some-model"), Path(sys.argv[1]))
except ModelUnavailable as error:
    print(error.detail)
"""


@pytest.mark.parametrize("hub", ["closed", "silent"])
def test_an_unreachable_hub_fails_in_seconds(hub: str, tmp_path: Path, repo_root: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if hub == "silent":
            listener.listen(8)
        environment = {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{listener.getsockname()[1]}"}
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", _OPEN, str(tmp_path)],
            env=environment,
            cwd=repo_root,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

    assert "PLUMBLINE_EMBEDDER__MODEL" in done.stdout, done.stderr
    assert time.monotonic() - started < 45
    assert list(tmp_path.iterdir()) == []


def test_importing_the_embedder_loads_no_model_library(repo_root: Path) -> None:
    code = (
        "import sys, ingestion.corpus.embedding, ingestion.corpus.encodings, service.retrieval.tokens;"
        "print(sorted({'torch', 'transformers', 'tiktoken', 'openai', 'huggingface_hub'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repo_root, capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == "[]"
