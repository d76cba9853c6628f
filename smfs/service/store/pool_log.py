"""What psycopg's pool says of itself: once in a while, however often it says it."""

from __future__ import annotations

import logging
import time
from typing import Final

_EVERY_S: Final = 10.0
_log: Final = logging.getLogger("psycopg.pool")


class _Seldom(logging.Filter):
    """Lets a text through, whatever is filled in, once in so many seconds.

    While a database is away, each attempt of each connection is told of.
    """

    def __init__(self) -> None:
        super().__init__()
        self._next: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now < self._next.get(record.msg, now):
            return False
        self._next[record.msg] = now + _EVERY_S
        return True


def quieten() -> None:
    """From now on."""
    if not any(isinstance(each, _Seldom) for each in _log.filters):
        _log.addFilter(_Seldom())
