"""Embedders of one process, each in memory once however many generations use it, and no longer than one does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ingestion.corpus.embedders.deferred import DeferredEmbedder
from ingestion.corpus.embedding import Embedder, EmbedderPlan, plan_embedder
from ingestion.settings import EmbedderSettings


@dataclass(slots=True)
class _Shared:
    embedder: Embedder
    users: int


class EmbedderPool:
    """Opens embedders and closes each after its last user. Safe from several threads."""

    def __init__(self, models_dir: Path) -> None:
        self._models_dir = models_dir
        self._lock = threading.RLock()
        self._plans: dict[EmbedderSettings, EmbedderPlan] = {}
        self._shared: dict[EmbedderSettings, _Shared] = {}

    def plan(self, settings: EmbedderSettings) -> EmbedderPlan:
        """As `plan_embedder`; a model's files are checked once per process."""
        with self._lock:
            if settings not in self._plans:
                self._plans[settings] = plan_embedder(settings, self._models_dir)
            return self._plans[settings]

    @contextmanager
    def loaded(self, settings: EmbedderSettings) -> Iterator[Embedder]:
        """An embedder whose name and size are to be learnt. Raises what `plan_embedder` and `load` raise."""
        with self._lock:
            if settings not in self._shared:
                self._shared[settings] = _Shared(self.plan(settings).load(), 0)
            self._shared[settings].users += 1
            embedder = self._shared[settings].embedder
        try:
            yield embedder
        finally:
            self.release(settings)

    def acquire(self, settings: EmbedderSettings, *, name: str, dimension: int) -> Embedder:
        """An embedder of that name and size, loaded at first use; to be given back with `release`.

        Raises what `plan_embedder` raises; the first use raises what `DeferredEmbedder` does.
        """
        with self._lock:
            if settings not in self._shared:
                plan = self.plan(settings)
                self._shared[settings] = _Shared(DeferredEmbedder(plan.load, name=name, dimension=dimension), 0)
            self._shared[settings].users += 1
            return self._shared[settings].embedder

    def release(self, settings: EmbedderSettings) -> None:
        """The embedder is closed with its last user."""
        with self._lock:
            shared = self._shared[settings]
            shared.users -= 1
            if shared.users == 0:
                del self._shared[settings]
                shared.embedder.close()
