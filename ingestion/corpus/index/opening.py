"""Which engine the settings ask for, opened under a name that carries the index generation."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import assert_never

from ingestion.corpus.index.engine import IndexEngine
from ingestion.errors import ConfigurationError
from ingestion.settings import EngineKind, IndexSettings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", re.ASCII)


def index_name(prefix: str, generation: str) -> str:
    """`<prefix>-<generation>`. Raises: ConfigurationError if that cannot name a folder and a Qdrant collection."""
    name = f"{prefix}-{generation}"
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{name!r} cannot name an index: use letters, digits, dots, dashes and underscores")
    return name


def open_engine(settings: IndexSettings, *, data_dir: Path, generation: str, dimension: int) -> IndexEngine:
    """The index of this generation, made if there is none.

    Raises: DimensionMismatch if it holds vectors of another size; ConfigurationError if it cannot be opened;
    BackendUnavailable if the server does not answer.
    """
    name = index_name(settings.prefix, generation)
    match settings.engine:
        case EngineKind.EDGE:
            from ingestion.corpus.index.edge import EdgeIndex

            return EdgeIndex(_folder(data_dir, name), dimension=dimension, write_batch=settings.write_batch)
        case EngineKind.SERVER:
            from ingestion.corpus.index.server import ServerIndex

            return ServerIndex(settings, name=name, dimension=dimension)
        case _:
            assert_never(settings.engine)


def drop_index(settings: IndexSettings, *, data_dir: Path, generation: str) -> None:
    """Remove the index of a generation; nothing may have it open. One that is not there is fine.

    Raises: BackendUnavailable, ConfigurationError as the server says it.
    """
    name = index_name(settings.prefix, generation)
    match settings.engine:
        case EngineKind.EDGE:
            folder = _folder(data_dir, name)
            if folder.exists():
                # Out of its place in one step: half a folder is never taken for an index.
                doomed = folder.with_name(f"{name}.old")
                shutil.rmtree(doomed, ignore_errors=True)
                folder.rename(doomed)
                shutil.rmtree(doomed)
        case EngineKind.SERVER:
            from ingestion.corpus.index.server import drop_collection

            drop_collection(settings, name)
        case _:
            assert_never(settings.engine)


def _folder(data_dir: Path, name: str) -> Path:
    return data_dir / "index" / name
