"""The time that requests carry: ours, until a service says that it lives in another."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TypeAlias

from smfs.protocol import signing

Now: TypeAlias = Callable[[], int]
"""A clock: ms since 1970."""


def system_now() -> int:
    """The time of this machine, ms since 1970."""
    return time.time_ns() // 1_000_000


class RequestClock:
    """The clock of the timestamps of requests, and of nothing else (the design, section 3)."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self._offset = 0

    def now(self) -> int:
        """The service's time as far as it is known, ms since 1970."""
        return self._now() + self._offset

    def frame(self) -> int:
        """The timestamp for a request made now (PROTOCOL.md section 5)."""
        return signing.frame(self.now())

    def learn(self, service_now: int) -> bool:
        """Takes over the service's time; returns whether that changes the frame."""
        before = self.frame()
        self._offset = service_now - self._now()
        return self.frame() != before


def http_date(value: str | None) -> int | None:
    """A `Date` header (RFC 9110, section 5.6.7) as ms since 1970; None when it is none."""
    if not value:
        return None
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)
