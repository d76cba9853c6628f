"""How often and how many at once somebody may ask, in bounded memory; of one event loop only."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from smfs.errors import InvalidInput

_MOST: Final = 16_384


class TokenBuckets:
    """A bucket of tokens for each key: full at first, and filled at a steady rate.

    Not for several threads.

    Args:
        rate: tokens a second for each bucket.
        burst: how many a full bucket holds.
        most: how many buckets are remembered; one that is forgotten is full again.
        now: a clock that nobody can move, s.

    Raises:
        InvalidInput: for limits that let nothing through.
    """

    def __init__(
        self,
        rate: float,
        burst: int,
        *,
        most: int = _MOST,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        if rate <= 0 or burst < 1 or most < 1:
            raise InvalidInput("a rate must be positive, a burst and a number of buckets 1 or more")
        self._rate = rate
        self._burst = burst
        self._most = most
        self._now = now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str) -> float:
        """Takes a token from the bucket of `key`.

        Returns:
            0 when there was one; otherwise the seconds until there will be one.
        """
        now = self._now()
        # Taken out and put in again: the one that was asked for last stands last.
        tokens, at = self._buckets.pop(key, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - at) * self._rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._buckets[key] = (tokens if wait else tokens - 1, now)
        self._forget(now)
        return wait

    def _forget(self, now: float) -> None:
        # Two for each that may have come, so that they become fewer, and none waits for many.
        for _ in range(2):
            key, (tokens, at) = next(iter(self._buckets.items()))
            is_full = tokens + (now - at) * self._rate >= self._burst
            if not is_full and len(self._buckets) <= self._most:
                return
            del self._buckets[key]


class OpenRequests:
    """So many requests at once for each key; remembers only the keys that have some.

    Not for several threads.

    Args:
        most: at once for one key.

    Raises:
        InvalidInput: for less than one.
    """

    def __init__(self, most: int) -> None:
        if most < 1:
            raise InvalidInput("a limit of open requests must be 1 or more")
        self._most = most
        self._open: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, key: str) -> bool:
        """Begins a request if there may be one more; who got in must `leave`."""
        count = self._open.get(key, 0)
        if count >= self._most:
            return False
        self._open[key] = count + 1
        return True

    def leave(self, key: str) -> None:
        """Ends a request."""
        count = self._open[key] - 1
        if count:
            self._open[key] = count
        else:
            del self._open[key]
