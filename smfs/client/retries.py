"""When a request is made again, and how long to wait before."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from smfs.client.clock import Now, http_date

ATTEMPTS: Final = 4
"""How often a request is made at the most when the service cannot be reached."""

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
    """

    repeatable: bool = True
    lost: bool = False
