"""Where a source's origin keeps its own files, and how it is opened."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from ingestion.corpus.scope import Scope
from ingestion.parsing.detect import readable_suffixes
from ingestion.settings import Settings
from ingestion.sources.definitions import SourceDefinition
from ingestion.sources.opening import open_origin
from ingestion.sources.origin import Origin

_FOLDER = "sources"

OpenOrigin = Callable[[Scope, SourceDefinition, Settings], AbstractContextManager[Origin]]


def workspace(scope: Scope, id_: str, settings: Settings) -> Path:
    """Folder of the origin's own files, such as a mirror of a repository. What is in it can be had again."""
    name = hashlib.sha256(f"{scope.tenant}\0{id_}".encode()).hexdigest()[:16]
    return settings.data_dir / _FOLDER / f"{id_}-{name}"


@contextmanager
def opened(scope: Scope, definition: SourceDefinition, settings: Settings) -> Iterator[Origin]:
    """The origin of a source. Raises: InvalidRequest, SourceUnavailable."""
    place = workspace(scope, definition.id, settings)
    with closing(open_origin(definition.origin, settings, place, frozenset(readable_suffixes()))) as origin:
        yield origin


def clear(scope: Scope, id_: str, settings: Settings) -> None:
    """Remove the origin's own files."""
    shutil.rmtree(workspace(scope, id_, settings), ignore_errors=True)
