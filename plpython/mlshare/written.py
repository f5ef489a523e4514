"""Numbers, times and moments as JSON has them: what PostgreSQL writes, or Python's own objects."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND, _DAY = 10**6, 86_400 * 10**6  # microseconds
_FAR = re.compile(r"(?P<year>\d{4,7})(?P<rest>-\d\d-\d\d.*?)(?P<bc> BC)?")


def number(value: Any) -> float:
    """A number, or the seconds of a time of day. Errors: TypeError, ValueError, OverflowError."""
    if isinstance(value, str):
        if ":" in value:
            return _of_day(value)
        if "_" in value:  # allowed between the digits of Python's numbers
            raise ValueError
    return float(value)


def finite(value: Any) -> float | None:
    """A JSON number; None for anything else, and for one that float64 has not."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def _of_day(text: str) -> float:
    if text == "24:00:00":
        return 86_400.0
    moment = time.fromisoformat(text)
    seconds = 3600 * moment.hour + 60 * moment.minute + moment.second
    return (_SECOND * seconds + moment.microsecond) / _SECOND


def seconds(value: Any, is_date: bool) -> float:
    """Seconds from 1970 to a moment, of a date to its midnight, in UTC if it names no zone; rounded once, to float64.

    Errors: TypeError, ValueError.
    """
    moment, days = (value, 0) if isinstance(value, date) else _moment(value)
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if is_date:
        aware = aware.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC)
    return ((aware - _EPOCH) // _MICROSECOND + days * _DAY) / _SECOND


def _moment(text: str) -> tuple[datetime, int]:
    """A moment, and days to be added to it: Python's years end with 9999, and begin with 1.

    After 400 years the calendar repeats, in 146,097 days.
    """
    try:
        return datetime.fromisoformat(text), 0
    except ValueError:
        found = _FAR.fullmatch(text)
        if found is None:
            raise
    year = 1 - int(found["year"]) if found["bc"] else int(found["year"])
    return datetime.fromisoformat(f"{2000 + year % 400}{found['rest']}"), (year - 2000) // 400 * 146_097
