"""Requests that were turned away, told in number where there are many."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from service.ledger.audit import Action, Note

TOLD_EVERY_S = 60.0


class Refusals:
    """The first refusal of a kind is told at once, those of the next minute in number with the one after: nobody can
    fill the log by knocking. Safe from several threads.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[tuple[str, str], tuple[float, int]] = {}

    def note(self, chain: str, actor: str, code: str, about: Mapping[str, Any]) -> Note | None:
        """What is to be written about it now, if anything; `untold`: how many of its kind came before it unwritten."""
        now, kind = self._clock(), (chain, code)
        with self._lock:
            told_at, untold = self._told.get(kind, (float("-inf"), 0))
            if now - told_at < TOLD_EVERY_S:
                self._told[kind] = (told_at, untold + 1)
                return None
            self._told[kind] = (now, 0)
        return Note(chain, actor, Action.ACCESS_REFUSE, code, {**about, "untold": untold})
