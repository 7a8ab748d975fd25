"""The stretch of time that a report is about, as people write it: `7d`, `24h`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from ingestion.errors import InvalidRequest

WINDOW_PATTERN: Final = r"^[1-9][0-9]{0,3}[hdw]$"
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` until before `end`, both in UTC."""

    start: datetime
    end: datetime


def window_of(text: str, now: datetime | None = None) -> Window:
    """The last hours (`24h`), days (`7d`) or weeks (`4w`). Raises: InvalidRequest."""
    if re.fullmatch(WINDOW_PATTERN, text) is None:
        raise InvalidRequest(f"{text!r} is no window: write hours, days or weeks, as 24h, 7d or 4w", pointer="/window")
    end = now or datetime.now(UTC)
    return Window(end - int(text[:-1]) * _UNITS[text[-1]], end)
