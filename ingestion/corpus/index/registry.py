"""The indexes of a corpus that this process has open, one per generation."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from ingestion.corpus.index.engine import IndexEngine
from ingestion.corpus.index.opening import drop_index, open_engine
from ingestion.settings import IndexSettings


class Indexes:
    """Opens each index once. One that was switched away from stays open: what is deleted must leave it, too."""

    def __init__(self, settings: IndexSettings, data_dir: Path, dimension_of: Callable[[str], int | None]) -> None:
        """`dimension_of` tells the vector size of a generation, None if there is no such generation."""
        self._settings = settings
        self._data_dir = data_dir
        self._dimension_of = dimension_of
        self._lock = threading.Lock()
        self._open: dict[str, IndexEngine] = {}

    def of(self, generation: str) -> IndexEngine | None:
        """The index of a generation, made if it is new; None if there is no such generation.

        Raises: DimensionMismatch, ConfigurationError, BackendUnavailable.
        """
        with self._lock:
            if generation not in self._open:
                dimension = self._dimension_of(generation)
                if dimension is None:
                    return None
                self._open[generation] = open_engine(
                    self._settings, data_dir=self._data_dir, generation=generation, dimension=dimension
                )
            return self._open[generation]

    def drop(self, generation: str) -> None:
        """Remove an index that nobody searches any more. Raises: BackendUnavailable, ConfigurationError."""
        with self._lock:
            if generation in self._open:
                self._open.pop(generation).close()
            drop_index(self._settings, data_dir=self._data_dir, generation=generation)

    def close(self) -> None:
        with self._lock:
            while self._open:
                _, engine = self._open.popitem()
                engine.close()
