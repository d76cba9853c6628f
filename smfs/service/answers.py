"""What is answered: values, refusals, and what the store could not do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from smfs.crypto.box import Box, seal_box
from smfs.errors import (
    AuthenticationFailed,
    OutcomeUnknown,
    QuotaExceeded,
    ServiceBusy,
    ServiceError,
    StoreFailed,
    StoreFull,
    StoreUnreachable,
    TooManyRequests,
)
from smfs.protocol import canonical, texts
from smfs.service.domain import Sealed
from smfs.service.http import Response, json_response
from smfs.service.meters import Limit, StoreFault


def plain(answer: Any) -> Any:
    """An answer that needs no more work, as a JSON value."""
    if isinstance(answer, ServiceError):
        return {"error": texts.text_of(answer)}
    if isinstance(answer, Box):
        return answer.to_json()
    return {"ok": True} if answer is None else answer


def told(value: Any) -> Any:
    """How hooks are told what was answered."""
    return True if value == {"ok": True} else value


def seal(sealed: Sealed) -> dict[str, str]:
    """An answer that only its reader can open; takes its time."""
    return seal_box(sealed.node_id, canonical.encode(sealed.build()).encode()).to_json()


def reason(error: ServiceError) -> str:
    """The words of a 401."""
    # The original has several words for a signature that does not fit.
    known = str(error) if isinstance(error, AuthenticationFailed) and str(error) else ""
    return texts.AUTHENTICATION_PREFIX + (known or texts.text_of(error))


def fault_of(error: StoreFailed | ServiceBusy) -> StoreFault | Limit:
    """What such an error counts as."""
    if isinstance(error, TooManyRequests):
        return Limit.NODE_RATE if error.is_rate else Limit.NODE_OPEN
    if isinstance(error, StoreUnreachable):
        return StoreFault.UNREACHABLE
    if isinstance(error, ServiceBusy):
        return StoreFault.BUSY
    return StoreFault.FULL if isinstance(error, StoreFull) else StoreFault.OTHER


def not_stored(error: StoreFailed | ServiceBusy, headers: Mapping[str, str]) -> Response:
    """The answer to a request that the store has not carried out.

    Args:
        error: why.
        headers: of an answer that has the status 200 all the same.
    """
    if isinstance(error, TooManyRequests):
        seconds = str(max(1, math.ceil(error.seconds)))
        return json_response({"error": "Too many requests!"}, 429, retry_after=seconds)
    if isinstance(error, OutcomeUnknown):
        # Without the header: who is told when to come back takes nothing to have been done.
        return json_response({"error": "It is not known whether this was carried out!"}, 503)
    if isinstance(error, ServiceBusy):
        return json_response({"error": "The service is busy!"}, 503, retry_after="1")
    if isinstance(error, StoreFull):
        # To come back at once would be of no use.
        return json_response({"error": texts.text_of(QuotaExceeded())}, 200, **headers)
    return json_response({"error": "The service failed!"}, 500)
