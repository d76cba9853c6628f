"""The bytes of an answer: as they come, and no more of them than an answer can have."""

from __future__ import annotations

from typing import Final

import anyio
import httpx

from smfs.errors import ServiceUnavailable
from smfs.protocol.limits import DEFAULT_CONTENT_BYTES, LARGEST_CONTENT_BYTES, body_limit

LISTING_BYTES: Final = 128 * 1024 * 1024
"""The largest listing that is read; it holds some 24 MB of content, each byte twice in hex."""


def answer_limit(content_bytes: int) -> int:
    """The bytes that the answer with one secret has at the most.

    Args:
        content_bytes: what the service says that it takes. What it took before may be larger, so
            it is at least the default; what it says may be nonsense, so there is an end to it.
    """
    content = min(max(content_bytes, DEFAULT_CONTENT_BYTES), LARGEST_CONTENT_BYTES)
    return 2 * body_limit(content)  # what the request brought comes back in hex


async def read_whole(incoming: httpx.Response, limit: int) -> httpx.Response:
    """The response with its whole body, byte for byte as it was sent.

    Raises:
        ServiceUnavailable: when it is encoded, which nobody asked for, or larger than `limit`.
        httpx.HTTPError: when it breaks off.
    """
    if incoming.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise ServiceUnavailable("the service answered with nonsense: an encoding nobody asked for")
    # Not `aiter_raw`: it refuses responses that a transport has made whole.
    assert isinstance(incoming.stream, httpx.AsyncByteStream)  # noqa: S101 - httpx promises it
    body = bytearray()
    # A cancellation ends all generators that the parts come through; an error here would not.
    with anyio.CancelScope() as scope:
        async for part in incoming.stream:
            if len(body) + len(part) > limit:
                scope.cancel()
            else:
                body += part
    if scope.cancel_called:
        raise ServiceUnavailable(f"the service answered with more than {limit} bytes")
    return httpx.Response(
        incoming.status_code,
        headers=incoming.headers,
        content=bytes(body),
        request=incoming.request,
    )
