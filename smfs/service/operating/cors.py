"""Browser clients: which origins' pages may ask, and read what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from smfs.protocol import discovery
from smfs.service.http import Send
from smfs.service.operating import request_ids

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

_ID: Final = request_ids.HEADER.decode()
_VARY: Final = (b"vary", b"Origin")
_EXPOSED: Final = f"{discovery.REVISION_HEADER}, {discovery.RECEIPT_HEADER}, retry-after, {_ID}"
_PREFLIGHT: Final = [
    (b"access-control-allow-methods", b"GET, POST"),
    (b"access-control-allow-headers", b"content-type"),
    (b"access-control-max-age", b"7200"),  # no browser remembers it for longer
]


class Cors:
    """Adds to answers what browsers ask for; never `*`, and never credentials.

    Args:
        origins: the allowed ones; without any nothing is ever added.
    """

    def __init__(self, origins: frozenset[str]) -> None:
        self._allowed: dict[bytes | None, Headers] = {
            origin.encode(): (
                (b"access-control-allow-origin", origin.encode()),
                (b"access-control-expose-headers", _EXPOSED.encode()),
                _VARY,
            )
            for origin in origins
        }
        # A cache must not give the answer of one origin to another.
        self._others: Headers = (_VARY,) if origins else ()

    def headers(self, origin: bytes | None) -> Headers:
        """What is added to the answer for an origin."""
        return self._allowed.get(origin, self._others)

    def is_preflight(self, method: str, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a browser asks if a page of an allowed origin may ask."""
        return (
            method == "OPTIONS"
            and b"access-control-request-method" in headers
            and headers.get(b"origin") in self._allowed
        )


async def allow(send: Send) -> None:
    """Answers a preflight; the headers of every answer to that origin come on top."""
    await send({"type": "http.response.start", "status": 204, "headers": _PREFLIGHT})
    await send({"type": "http.response.body", "body": b""})
