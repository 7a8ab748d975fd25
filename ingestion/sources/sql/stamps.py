"""Whether a row's `updated_at` can be trusted to change with the next change of the row.

A clock that ticks in seconds gives two changes within one second the same stamp. Who reads the row between them, and
takes the stamp for its revision, never sees the second. So a stamp counts only once its tick is surely over, that is
if the row was read

- when the stamp was long past, by our clock and by the newest stamp of the table, or
- a second time, with the same stamp, and so long after the first time that the tick is over by then.

Until then the row has no revision and the next scan reads it again; the pipeline finds by its hash that it did not
change. So a recent change costs a second read of the row, and a bulk load of equal stamps one second read of all.
The first rule allows for clocks that differ and for stamps in local time; the second needs no clock but ours.
Transactions that stay open longer than `_COMMIT_S` after they wrote such a stamp are beyond both.

Stamps are compared for being equal, never for being later: what is committed late, or set back, is noticed too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from ingestion.sources.origin import KnownItem

_COMMIT_S = 10.0
"""Between the moment that a row is stamped and the moment that others can read it."""
_SKEW = timedelta(minutes=5)
"""Between two clocks that are looked after."""
_ANYWHERE = timedelta(hours=27)
"""Between local time and UTC, anywhere, and some clock skew."""
_NEAR_NEWEST = timedelta(seconds=2)
_DAY_S, _MINUTE_S, _SECOND_S = 86400.0, 60.0, 1.0
_EPOCHS = ((1e9, 1e11, 1.0), (1e11, 1e14, 1e3), (1e14, 1e17, 1e6), (1e17, 1e20, 1e9))
_ISO = re.compile(r"\d{4}-\d\d-\d\d.*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Look:
    """When rows were asked for and when they had come, by our clock, and the newest stamp of the scan."""

    asked_at: datetime
    answered_at: datetime
    newest: datetime | None


def stamp_text(value: object) -> str | None:
    """The stamp to the last digit, None for NULL: what is compared."""
    if value is None:
        return None
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return repr(value)
    return value.hex() if isinstance(value, bytes) else str(value)


def moment_of(stamp: str) -> datetime | None:
    """The stamp as a time in UTC, if it is a date or a time; one without a zone is taken for UTC."""
    if not _ISO.fullmatch(stamp):
        return None
    try:
        moment = datetime.fromisoformat(stamp)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def time_of(stamp: str) -> datetime | None:
    """The stamp as a time in UTC, numbers that count from 1970 too."""
    tick = _tick_of(stamp)
    return None if tick is None else tick.moment


def revision_of(stamp: str | None, before: KnownItem | None, look: Look) -> tuple[str | None, Mapping[str, Any]]:
    """The revision of a row that was read with this stamp, None while that is not sure, and the state to remember."""
    if stamp is None:
        return None, {}
    tick = _tick_of(stamp)
    if tick is None or tick.is_over(look):
        return stamp, {}
    seen_at = _seen_at(stamp, before)
    if seen_at is None:
        return None, {"stamp": stamp, "seen_at": look.answered_at.isoformat()}
    if look.asked_at - seen_at >= timedelta(seconds=tick.length_s + _COMMIT_S):
        return stamp, {}
    return None, {"stamp": stamp, "seen_at": seen_at.isoformat()}


@dataclass(frozen=True, slots=True)
class _Tick:
    """The span of time in which a clock gives one stamp. `moment` is None where the stamp does not tell the time."""

    moment: datetime | None
    length_s: float
    slack: timedelta = _SKEW

    def is_over(self, look: Look) -> bool:
        if self.moment is None:
            return False
        end = self.moment + timedelta(seconds=self.length_s)
        past_theirs = look.newest is not None and look.newest >= end + _NEAR_NEWEST
        return past_theirs and look.asked_at >= end + self.slack


def _tick_of(stamp: str) -> _Tick | None:
    """The tick that the stamp belongs to; None for a plain counter, which has none."""
    if (moment := moment_of(stamp)) is not None:
        aware = len(stamp) > 10 and datetime.fromisoformat(stamp).tzinfo is not None
        if moment.hour == moment.minute == moment.second == moment.microsecond == 0:
            length_s = _DAY_S  # a date, or a time that was cut down to one
        elif moment.second == moment.microsecond == 0:
            length_s = _MINUTE_S
        else:
            length_s = _SECOND_S
        try:
            moment + timedelta(seconds=length_s) + _ANYWHERE
        except OverflowError:
            return _Tick(None, length_s)
        return _Tick(moment, length_s, _SKEW if aware else _ANYWHERE)
    try:
        number = Decimal(stamp)
    except ArithmeticError:
        return _Tick(None, _DAY_S)
    return _tick_of_number(number, stamp)


def _tick_of_number(number: Decimal, stamp: str) -> _Tick | None:
    for least, beyond, per_second in _EPOCHS:
        if least <= number < beyond:
            seconds = math.floor(float(number) / per_second)
            try:
                return _Tick(datetime.fromtimestamp(seconds, UTC), _SECOND_S)
            except (ValueError, OverflowError, OSError):
                return _Tick(None, _SECOND_S)
    if not stamp.isdigit() or (len(stamp) == 8 and stamp[:2] in ("19", "20")):
        return _Tick(None, _DAY_S)  # a fraction of a day, or a date without its dashes
    return None


def _seen_at(stamp: str, before: KnownItem | None) -> datetime | None:
    """When the row was first read with this stamp, if the last read was with this stamp too."""
    if before is None or before.state.get("stamp") != stamp:
        return None
    try:
        return datetime.fromisoformat(before.state["seen_at"])
    except (KeyError, TypeError, ValueError):
        return None
