"""Windows of time as people write them: `15m`, `24h`, `7d`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from ingestion.corpus.scope import TenantId
from ingestion.errors import InvalidRequest
from service.ledger.tallies import Slice

_WRITTEN: Final = re.compile(r"([1-9][0-9]{0,6})([mhd])")
_SECONDS: Final = {"m": 60, "h": 3600, "d": 86_400}
SHORTEST: Final = timedelta(minutes=1)
LONGEST: Final = timedelta(days=90)


def length_of(window: str) -> timedelta:
    """How long `window` is. Raises: InvalidRequest."""
    written = _WRITTEN.fullmatch(window)
    length = None if written is None else timedelta(seconds=int(written[1]) * _SECONDS[written[2]])
    if length is None or length > LONGEST:
        raise InvalidRequest("must be minutes, hours or days up to 90d, as in 15m, 24h or 7d", pointer="/window")
    return length


def slice_of(window: str, now: datetime, tenant: TenantId, collection: str | None = None) -> Slice:
    """The window that ends with the running second. Raises: InvalidRequest."""
    until = now.replace(microsecond=0) + timedelta(seconds=1)
    return Slice(until - length_of(window), until, tenant, collection)
