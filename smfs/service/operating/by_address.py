"""What one client address may ask."""

from __future__ import annotations

import math
from collections.abc import Callable

from smfs.service.http import Response, json_response
from smfs.service.limits import OpenRequests, TokenBuckets
from smfs.service.meters import Limit, Meters
from smfs.service.operating.clients import client_key
from smfs.service.operating.options import OperatingOptions


class AddressLimits:
    """Lets requests in by where they come from; those without an address always.

    Args:
        options: says the limits.
        meters: count who was turned away.
        now: a clock that nobody can move, s.

    Raises:
        InvalidInput: for limits that let nothing through.
    """

    def __init__(self, options: OperatingOptions, meters: Meters, now: Callable[[], float]) -> None:
        self._meters = meters
        self._open: OpenRequests | None = None
        self._buckets: TokenBuckets | None = None
        if options.address_open is not None:
            self._open = OpenRequests(options.address_open)
        if options.address_rate is not None:
            burst = options.address_burst or max(1, math.ceil(options.address_rate))
            most = options.most_addresses
            self._buckets = TokenBuckets(options.address_rate, burst, most=most, now=now)

    def enter(self, host: str) -> Response | None:
        """Begins a request, which then must `leave`; or the answer that it gets instead."""
        if host and self._buckets is not None:
            wait = self._buckets.take(client_key(host))
            if wait:
                self._meters.limited(Limit.ADDRESS_RATE)
                return _too_many(wait)
        if host and self._open is not None and not self._open.enter(client_key(host)):
            self._meters.limited(Limit.ADDRESS_OPEN)
            return _too_many(1)
        return None

    def leave(self, host: str) -> None:
        """Ends a request that was let in."""
        if host and self._open is not None:
            self._open.leave(client_key(host))


def _too_many(wait: float) -> Response:
    after = str(max(1, math.ceil(wait)))
    return json_response({"error": "Too many requests!"}, 429, retry_after=after)
