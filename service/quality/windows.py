"""Windows of time as people write them, `15m`, `24h`, `7d`, `4w`: one way for every report."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from ingestion.corpus.scope import TenantId
from ingestion.errors import InvalidRequest
from service.ledger.tallies import Slice

WINDOW_PATTERN: Final = r"^[1-9][0-9]{0,6}[mhdw]$"
WINDOW_FORM: Final = "minutes, hours, days or weeks up to 90d: `15m`, `24h`, `7d`, `4w`"
"""How a window is written, for those who are to write one."""
_UNITS: Final = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
LONGEST: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` until before `end`, both in UTC."""

    start: datetime
    end: datetime


def length_of(window: str) -> timedelta:
    """How long `window` is. Raises: InvalidRequest."""
    length = int(window[:-1]) * _UNITS[window[-1]] if re.fullmatch(WINDOW_PATTERN, window) else None
    if length is None or length > LONGEST:
        raise InvalidRequest(
            f"{window!r} is no window: write minutes, hours, days or weeks up to 90d, as 15m, 24h, 7d or 4w",
            pointer="/window",
        )
    return length


def window_of(text: str, now: datetime | None = None) -> Window:
    """The window that ends now. Raises: InvalidRequest."""
    end = now or datetime.now(UTC)
    return Window(end - length_of(text), end)


def slice_of(window: str, now: datetime, tenant: TenantId, collection: str | None = None) -> Slice:
    """The window of one tenant that ends with the running second. Raises: InvalidRequest."""
    until = now.replace(microsecond=0) + timedelta(seconds=1)
    return Slice(until - length_of(window), until, tenant, collection)
