"""When a request is made again, and how long to wait before."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

from smfs.client.clock import Now, http_date
from smfs.errors import ServiceBusy, ServiceUnavailable

ATTEMPTS: Final = 4
"""How often a request is made at the most when the service cannot be reached."""

SIGNINGS: Final = 3
"""How often a request is signed at the most when the service refuses its time or its nonce."""

_FIRST_S: Final = 0.1
_LONGEST_S: Final = 2.0


def backoff(attempt: int) -> float:
    """Seconds to wait after the `attempt`-th failure (from 1): full jitter.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    return random.uniform(0, min(_LONGEST_S, _FIRST_S * 2.0**attempt))  # noqa: S311 - no secret


def retry_after(value: str | None, now: Now) -> float | None:
    """A `Retry-After` header (RFC 9110, section 10.2.3) in seconds; None when it is none."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    moment = http_date(text)
    return None if moment is None else max(0.0, (moment - now()) / 1000)


@dataclass
class Delivery:
    """What is known of one request's way to the service, over all its attempts.

    Attributes:
        repeatable: whether it may be made again after an attempt of unknown outcome.
        lost: an attempt may have been carried out though its answer never came.
        signatures: of all attempts, 128 hex digits each.
        patience: seconds that the service may wait before it answers.
        tries: how often it is made at the most when the service cannot be reached.
        in_doubt: the bytes that were sent last may have been carried out, or may be yet.
        renewable: whether it may be signed anew.
    """

    repeatable: bool = True
    lost: bool = False
    signatures: list[str] = field(default_factory=list)
    patience: float = 0.0
    tries: int = ATTEMPTS
    in_doubt: bool = False
    renewable: bool = True


@dataclass
class Attempts:
    """What the attempts of one request have come to so far.

    Attributes:
        delivery: of the request.
        count: how many were made.
        signed_anew: how many of them because of their time or their nonce.
        failure: the last one's.
        pause: seconds that the service asked to wait; None when it did not.
        service_now: the time in the last answer, ms since 1970; None when there was none.
    """

    delivery: Delivery = field(default_factory=Delivery)
    count: int = 0
    signed_anew: int = 0
    failure: ServiceUnavailable | None = None
    pause: float | None = None
    service_now: int | None = None

    def wait(self, remaining: float) -> float | None:
        """Seconds until the next attempt; None when there shall be none.

        Args:
            remaining: seconds until the end.
        """
        if self.delivery.lost and not self.delivery.repeatable:
            return None
        if not isinstance(self.failure, ServiceBusy):
            return backoff(self.count) if self.count < self.delivery.tries else None
        pause = backoff(self.count) + (self.pause or 0)
        return pause if pause < remaining else None
