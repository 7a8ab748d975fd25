"""Files of a model: their hashes, checked against what is expected, and folders that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from ingestion.errors import ModelIntegrityError, ModelUnavailable

_BLOCK_BYTES = 1 << 20


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def check_sha256(path: Path, expected: str, *, mend: str) -> None:
    """Raises ModelIntegrityError, naming file, both hashes and the mend, unless the file has the expected hash."""
    try:
        found = file_sha256(path)
    except OSError as error:
        raise ModelIntegrityError(f"{path} cannot be read ({error.strerror}); {mend}") from error
    if found != expected.lower():
        raise ModelIntegrityError(f"{path} has SHA-256 {found}, expected {expected.lower()}; {mend}")


def weights_hashes(folder: Path, *, setting: str = "PLUMBLINE_EMBEDDER__MODEL") -> Mapping[str, str]:
    """SHA-256 of each weights file of a model folder by relative name: safetensors, else PyTorch's own format.

    `setting` is the variable that named the folder.

    Raises:
        ModelUnavailable: the folder holds neither.
    """
    for pattern in ("*.safetensors", "*.bin"):
        found = sorted(
            path
            for path in folder.rglob(pattern)
            if not {"onnx", "openvino"} & set(path.relative_to(folder).parts) and path.name != "training_args.bin"
        )
        if found:
            return {path.relative_to(folder).as_posix(): file_sha256(path) for path in found}
    raise ModelUnavailable(
        f"{folder} holds no weights (*.safetensors or *.bin); {setting} must name a "
        "sentence-transformers folder or a model id of a hub; unset, the product takes its own choice"
    )


def weights_identity(hashes: Mapping[str, str]) -> str:
    """One hash for all weights files: a single file's own, else over the sorted names and hashes."""
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    listing = "\n".join(f"{name} {digest}" for name, digest in sorted(hashes.items()))
    return hashlib.sha256(listing.encode()).hexdigest()


def appear_whole(folder: Path, fill: Callable[[Path], None]) -> None:
    """Make `folder` by filling a temporary sibling and renaming it: a crash or a rival never leaves half a folder.

    If another process finished the same folder first, its work is kept. Raises ModelUnavailable if the place
    cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise ModelUnavailable(
            f"{folder.parent} cannot be written ({error.strerror}); set PLUMBLINE_DATA_DIR"
        ) from error
    try:
        fill(work)
        _sync(work)
        work.chmod(0o755)  # mkdtemp makes it private; other users of a shared data folder may read weights
        with suppress(FileExistsError, OSError):
            work.rename(folder)
        if not folder.is_dir():
            raise ModelUnavailable(f"{folder} could not be made; check the rights and the space of its folder")
    except OSError as error:
        raise ModelUnavailable(
            f"{folder} could not be written ({error.strerror}); check rights and free space, or set PLUMBLINE_DATA_DIR"
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Push the files to the disk before the rename makes them count."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
