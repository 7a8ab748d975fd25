"""The generation that is served, behind one reference: held by requests, swapped by a switch, closed when unused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager as Context
from contextlib import contextmanager, nullcontext

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus.embedding import Embedder
from ingestion.corpus.view import CorpusView


class _Held:
    """A view, how many use it, and whether another took its place."""

    __slots__ = ("close", "closed", "replaced", "users", "view")

    def __init__(self, view: CorpusView, close: Callable[[], None]) -> None:
        self.view = view
        self.close = close
        self.users = 0
        self.replaced = False
        self.closed = False


class Pins:
    """One view at a time is the current one. Safe from several threads."""

    def __init__(self, view: CorpusView, close: Callable[[], None]) -> None:
        """`close` frees what the view stands on; called once, after the last user has left."""
        self._lock = threading.Lock()
        self._current = _Held(view, close)
        self._all = [self._current]

    @property
    def view(self) -> CorpusView:
        """The current view, not held: for what outlives a switch, such as names."""
        return self._current.view

    @contextmanager
    def pinned(self) -> Iterator[CorpusView]:
        """The current view, which stays open until the context ends."""
        with self._lock:
            held = self._current
            held.users += 1
        try:
            yield held.view
        finally:
            self._leave(held)

    def replace(self, view: CorpusView, close: Callable[[], None]) -> None:
        """From now on this is the current view."""
        with self._lock:
            before, self._current = self._current, _Held(view, close)
            self._all = [held for held in self._all if not held.closed] + [self._current]
        self._end(before)

    def is_open(self, generation: str) -> bool:
        """Whether someone still works on that generation, or may begin to."""
        with self._lock:
            return any(held.view.index_version == generation and not held.closed for held in self._all)

    def close(self) -> None:
        self._end(self._current)

    def _leave(self, held: _Held) -> None:
        with self._lock:
            held.users -= 1
        if held.replaced:
            self._end(held)

    def _end(self, held: _Held) -> None:
        with self._lock:
            held.replaced = True
            unused = held.users == 0 and not held.closed
            held.closed = held.closed or unused
        if unused:
            held.close()


class ActiveEmbedder:
    """The embedder of whatever generation is current; each call is answered by one of them."""

    def __init__(self, pins: Pins) -> None:
        self._pins = pins

    @property
    def name(self) -> str:
        return self._pins.view.embedder.name

    @property
    def dimension(self) -> int:
        return self._pins.view.embedder.dimension

    @property
    def max_tokens(self) -> int:
        with self._pins.pinned() as view:
            return view.embedder.max_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        with self._pins.pinned() as view:
            return view.embedder.count_tokens(texts)

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        with self._pins.pinned() as view:
            return view.embedder.embed_documents(texts)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        with self._pins.pinned() as view:
            return view.embedder.embed_query(text)

    def close(self) -> None:
        """Nothing to do: the generation closes its embedder."""

    @contextmanager
    def steady(self) -> Iterator[Embedder]:
        with self._pins.pinned() as view:
            yield view.embedder


def steady(embedder: Embedder) -> Context[Embedder]:
    """The embedder for several calls whose vectors are to be compared, whatever is switched meanwhile."""
    return embedder.steady() if isinstance(embedder, ActiveEmbedder) else nullcontext(embedder)
