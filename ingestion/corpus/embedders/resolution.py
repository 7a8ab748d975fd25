"""From a model id to checked files: an existing folder, else the packaged weights, else a model hub."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from ingestion.corpus.embedders.packaged import is_packaged, packaged_folder
from ingestion.corpus.embedders.weights import appear_whole, weights_hashes, weights_identity
from ingestion.errors import ModelIntegrityError, ModelUnavailable
from ingestion.settings import DEFAULT_EMBEDDING_MODEL, EmbedderSettings

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_HUB_TIMEOUT_S = 10.0
_HUB_FILES = ("*.json", "*.txt", "*.model", "*.safetensors", "*.bin")
_HUB_REFUSED = ("onnx/*", "openvino/*", "*/onnx/*", "training_args.bin", "*.py")
_OPTIONS = (
    "PLUMBLINE_EMBEDDER__MODEL may be a sentence-transformers folder, a model id of a hub that can be reached, "
    f"or {DEFAULT_EMBEDDING_MODEL} (packaged, needs no network); "
    "PLUMBLINE_EMBEDDER__PROVIDER=openai uses an endpoint instead"
)


@dataclass(frozen=True, slots=True)
class WantedModel:
    """A model that is asked for: a folder or an id of a hub. `group` is how the variables begin that name it."""

    model: str
    revision: str | None = None
    sha256: str | None = None
    group: str = "PLUMBLINE_EMBEDDER__"
    options: str = _OPTIONS


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model folder that was checked. `label` is for people, `identity` the SHA-256 of the weights."""

    folder: Path
    label: str
    identity: str
    packaged: bool = False


def resolve_model(settings: EmbedderSettings, models_dir: Path) -> ModelFiles:
    """Files of `settings.model`, fetched or rebuilt if need be, with their hash checked where one is known.

    Raises:
        ModelIntegrityError: weights differ from the pinned hash, or from `settings.sha256`.
        ModelUnavailable: no such folder, no weights in it, or the hub does not give them.
    """
    wanted = WantedModel(settings.model, settings.revision, settings.sha256)
    # A folder of that name goes first; an empty path would be the working folder.
    named = bool(wanted.model) and Path(wanted.model).expanduser().is_dir()
    if named or not is_packaged(wanted.model) or wanted.revision is not None:
        return resolve_files(wanted, models_dir)
    return _checked(wanted, packaged_folder(models_dir), wanted.model, packaged=True)


def resolve_files(wanted: WantedModel, models_dir: Path) -> ModelFiles:
    """Files of a folder or of a model of a hub, fetched if need be. Raises as `resolve_model`."""
    local = Path(wanted.model).expanduser()
    if wanted.model and local.is_dir():
        return _checked(wanted, local, local.resolve().name)
    if not _HUB_ID.fullmatch(wanted.model):
        raise ModelUnavailable(f"there is no folder {wanted.model}, and it is not a model id; {wanted.options}")
    return _checked(wanted, _hub_folder(wanted, models_dir), wanted.model)


def _checked(wanted: WantedModel, folder: Path, label: str, *, packaged: bool = False) -> ModelFiles:
    hashes = weights_hashes(folder, setting=f"{wanted.group}MODEL")
    if wanted.sha256 is not None and wanted.sha256.lower() not in hashes.values():
        found = ", ".join(f"{name} {digest}" for name, digest in hashes.items())
        raise ModelIntegrityError(
            f"the weights in {folder} have SHA-256 {found}, expected {wanted.sha256.lower()}; "
            f"put the right files there, or mend {wanted.group}SHA256"
        )
    return ModelFiles(folder=folder, label=label, identity=weights_identity(hashes), packaged=packaged)


def _hub_folder(wanted: WantedModel, models_dir: Path) -> Path:
    """Folder of a hub model, fetched once and complete or not there; a later start needs no network."""
    version = f"{wanted.model}@{wanted.revision or 'main'}"
    slug = re.sub(r"[^\w.-]+", "--", wanted.model)
    folder = models_dir / f"{slug}-{hashlib.sha256(version.encode()).hexdigest()[:12]}"
    if not folder.is_dir():
        appear_whole(folder, lambda work: _download(wanted, work))
    return folder


def _download(wanted: WantedModel, folder: Path) -> None:
    """Fetch a model into `folder`. One short question first, so that a closed network fails in seconds.

    Raises:
        ModelUnavailable: the hub cannot be reached, or knows no such model or revision.
    """
    import httpx2  # what huggingface_hub speaks; it lets these errors through
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        hub = HfApi()
        files = hub.model_info(wanted.model, revision=wanted.revision, timeout=_HUB_TIMEOUT_S).siblings or []
        safe = any(file.rfilename.endswith(".safetensors") for file in files)
        hub.snapshot_download(
            wanted.model,
            revision=wanted.revision,
            local_dir=folder,
            allow_patterns=[p for p in _HUB_FILES if not (safe and p == "*.bin")],
            ignore_patterns=list(_HUB_REFUSED),
            etag_timeout=_HUB_TIMEOUT_S,
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelUnavailable(f"the hub does not give {wanted.model}: {reason}; {wanted.options}") from error
    except (httpx2.HTTPError, OSError) as error:
        raise ModelUnavailable(f"the hub cannot be reached for {wanted.model} ({error}); {wanted.options}") from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)
