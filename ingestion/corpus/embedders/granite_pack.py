"""Reads the `.hmsemb` pack of the packaged default model and writes its weights as safetensors.

Layout: `HMSEMB01`, little-endian u64 header length, JSON header, tokenizer.json, then the tensors in header order.
An `i8` tensor is the int8 matrix row by row, then float32 scales, one per group of `group` values along a row.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ingestion.errors import ModelIntegrityError

_MAGIC = b"HMSEMB01"
_LENGTH = struct.Struct("<Q")
_SAFETENSORS_ALIGNMENT = 8

_EMBEDDINGS: Mapping[str, str] = {
    "word_emb": "embeddings.word_embeddings.weight",
    "pos_emb": "embeddings.position_embeddings.weight",
    "type_emb": "embeddings.token_type_embeddings.weight",
    "emb_ln.w": "embeddings.LayerNorm.weight",
    "emb_ln.b": "embeddings.LayerNorm.bias",
}
_LAYER_PARTS: Mapping[str, tuple[str, ...]] = {
    "qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "ao": ("attention.output.dense",),
    "aln": ("attention.output.LayerNorm",),
    "f1": ("intermediate.dense",),
    "f2": ("output.dense",),
    "fln": ("output.LayerNorm",),
}
_SUFFIXES = {"w": "weight", "b": "bias"}


@dataclass(frozen=True, slots=True)
class PackedTensor:
    """Where one tensor lies in the pack and how it is stored."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    length: int
    group: int


class GranitePack:
    """An open pack. Read it in order: `tokenizer` first, then `tensors`."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ModelIntegrityError(f"{path} is not an HMSEMB01 pack")
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
        header: dict[str, Any] = json.loads(file.read(length))
        self.tokenizer: bytes = file.read(header["tokenizer_len"])
        self._tensors = tuple(
            PackedTensor(t["name"], t["dtype"], tuple(t["shape"]), t["len"], t["group"]) for t in header["tensors"]
        )

    def tensors(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Name in a RoBERTa encoder and float32 values of each tensor, one at a time."""
        for packed in self._tensors:
            values = _unpack(packed, self._file.read(packed.length))
            names = roberta_names(packed.name)
            yield from zip(names, np.split(values, len(names)), strict=True)

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of what `tensors` yields, in the same order, without reading it."""
        for packed in self._tensors:
            names = roberta_names(packed.name)
            for name in names:
                yield name, (packed.shape[0] // len(names), *packed.shape[1:])


def roberta_names(name: str) -> tuple[str, ...]:
    """Names of the RoBERTa tensors that a pack tensor holds stacked: `l3.qkv.w` holds three."""
    if name in _EMBEDDINGS:
        return (_EMBEDDINGS[name],)
    layer, part, suffix = name.split(".")
    return tuple(f"encoder.layer.{layer[1:]}.{part_name}.{_SUFFIXES[suffix]}" for part_name in _LAYER_PARTS[part])


def _unpack(packed: PackedTensor, data: bytes) -> NDArray[np.float32]:
    """Values of a tensor, `packed.shape` float32: `w = q * scale` where it is int8."""
    if packed.dtype == "f32":
        return np.frombuffer(data, dtype="<f4").reshape(packed.shape)
    rows, columns = packed.shape
    groups = columns // packed.group
    quantised = np.frombuffer(data, dtype=np.int8, count=rows * columns).reshape(rows, groups, packed.group)
    scales = np.frombuffer(data, dtype="<f4", offset=rows * columns).reshape(rows, groups, 1)
    values: NDArray[np.float32] = (quantised * scales).reshape(rows, columns)
    return values


def write_safetensors(pack: GranitePack, path: Path) -> None:
    """Write the weights tensor by tensor.

    Written here rather than by the vendor's library so that the bytes, and so their pinned hash, depend on
    nothing that is installed, and so that the weights are never in memory twice.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in pack.shapes():
        end = offset + 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % _SAFETENSORS_ALIGNMENT)
    with path.open("wb") as file:
        file.write(_LENGTH.pack(len(encoded)))
        file.write(encoded)
        for _, values in pack.tensors():
            file.write(np.ascontiguousarray(values, dtype="<f4").data)
