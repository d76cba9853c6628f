"""Closing dates as people write them: `.accept/<node>` and `smfs accept --until`."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime, timedelta
from typing import Final

from smfs.errors import ClosureDatePassed, InvalidInput

_RELATIVE: Final = re.compile(r"\+(\d{1,6}) ?(hour|day|month|year)s?")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_FORMS: Final = "an ISO 8601 date or date-time, or +4hours, +4days, +4months, +4years"


def parse_expiry(text: str, *, now: datetime) -> int | None:
    """When a sender is accepted no longer (the design, section 2.2).

    Args:
        text: an ISO 8601 date (its first moment) or date-time, in local time where it names no
            zone, or a time from now: `+4hours`, `+4days`, `+4months`, `+4years`. White space
            around it does not count; empty means no end.
        now: the present moment, with its zone.

    Returns:
        Milliseconds since 1970, or None for no end.

    Raises:
        InvalidInput: for any other form.
        ClosureDatePassed: for a moment that is not in the future.
    """
    text = text.strip()
    if not text:
        return None
    try:
        found = _RELATIVE.fullmatch(text)
        moment = _later(now, int(found[1]), found[2]) if found else datetime.fromisoformat(text)
        milliseconds = (moment.astimezone(UTC) - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        raise InvalidInput(f"a closing date is {_FORMS}") from None
    if milliseconds <= (now - _EPOCH) // _MILLISECOND:
        raise ClosureDatePassed("the closing date has already passed")
    return milliseconds


def format_expiry(closure_date: float | None) -> str:
    """A closing date (ms since 1970) as `parse_expiry` reads it, in UTC; empty for no end."""
    if closure_date is None:
        return ""
    try:
        moment = _EPOCH + int(closure_date) * _MILLISECOND
    except OverflowError:
        return f"{closure_date:.0f} ms after 1970-01-01"  # services take dates of any size
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")


def _later(now: datetime, count: int, unit: str) -> datetime:
    if unit == "hour":
        return now + timedelta(hours=count)
    if unit == "day":
        return now + timedelta(days=count)
    months = now.month - 1 + count * (12 if unit == "year" else 1)
    year, month = now.year + months // 12, months % 12 + 1
    last_day = calendar.monthrange(year, month)[1]  # 31 January and one month is 28 February
    return now.replace(year=year, month=month, day=min(now.day, last_day))
