"""An id for each request, by which an operator finds all that was logged of it."""

from __future__ import annotations

import logging
import os
import re
from contextvars import ContextVar
from typing import Final

HEADER: Final = b"x-request-id"
REQUEST_ID: Final[ContextVar[str]] = ContextVar("request_id", default="")
"""The id of the request that this task, or this worker thread, works for; else empty."""

_SANE: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def id_of(given: bytes | None) -> str:
    """The id that a proxy or client gave if it is sane, else a new one."""
    if given is not None and _SANE.fullmatch(given):
        return given.decode()
    return os.urandom(12).hex()


class RequestIdFilter(logging.Filter):
    """Gives each record of a handler the field `request_id`; refuses none."""

    def filter(self, record: logging.LogRecord) -> bool:
        """As logging calls it."""
        if not hasattr(record, "request_id"):
            record.request_id = REQUEST_ID.get()
        return True
