"""Token counts for budgets, exact for the encoding that the caller names; never an estimate."""

from __future__ import annotations

import threading

from ingestion.corpus.encodings import ENCODINGS, ExactCounter
from ingestion.errors import InvalidRequest

DEFAULT_ENCODING = "o200k_base"


class TokenCounter:
    """Loads each encoding at its first use, once (about 0.3 s). Safe from several threads."""

    def __init__(self) -> None:
        self._counters: dict[str, ExactCounter] = {}
        self._loading = threading.Lock()

    @property
    def encodings(self) -> tuple[str, ...]:
        """Names that `count` takes."""
        return tuple(sorted(ENCODINGS))

    def count(self, text: str, encoding: str = DEFAULT_ENCODING) -> int:
        """Exact number of tokens of `text`; what looks like a special token counts as plain text.

        Raises:
            InvalidRequest: an encoding that is not in `encodings`, or a text that no encoding can count.
            ModelUnavailable, ModelIntegrityError: the encoding's file is missing or altered.
        """
        return self._counter(encoding).count(text)

    def _counter(self, encoding: str) -> ExactCounter:
        counter = self._counters.get(encoding)
        if counter is not None:
            return counter
        if encoding not in ENCODINGS:
            choices = ", ".join(self.encodings)
            raise InvalidRequest(f"unknown encoding {encoding!r}: choose one of {choices}", pointer="/encoding")
        with self._loading:
            if encoding not in self._counters:
                self._counters[encoding] = ExactCounter(encoding)
            return self._counters[encoding]
