"""The connections of `smfs serve`: so many, and none that keeps a place without asking."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Callable
from typing import Final

import uvicorn

from smfs.cli.guards import GuardedProtocol

ACCEPTED_AT_ONCE: Final = 128
"""The most connections that the loop takes before it looks at anything else."""

_SILENT_S: Final = 15.0
_MOST: Final = 16_384
_OTHER_FILES: Final = 512  # the database, hooks, and those that were accepted but not yet counted


def most_connections() -> int:
    """How many connections leave enough file descriptors for all else; raises that limit first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY:
        return _MOST
    return min(_MOST, max(hard // 2, hard - _OTHER_FILES))


class BoundedProtocol(GuardedProtocol):
    """Closes what is one connection too many, and what brings no whole header in time.

    Attributes:
        most: connections at a time.
    """

    most = _MOST
    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As asyncio calls it."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.abort()
        else:
            self._expect_header()

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio calls it."""
        self._stop_expecting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """As the parser calls it."""
        super().on_message_begin()
        if self._due is None:
            self._expect_header()

    def on_headers_complete(self) -> None:
        """As the parser calls it."""
        self._stop_expecting()
        super().on_headers_complete()

    def _expect_header(self) -> None:
        self._due = self.loop.call_later(_SILENT_S, self.transport.abort)

    def _stop_expecting(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None


class DrainingServer(uvicorn.Server):
    """Has those answered who wait for something to happen, before it waits for them in the end.

    Args:
        config: of the server.
        end_waiting: has them answered.
    """

    def __init__(self, config: uvicorn.Config, end_waiting: Callable[[], None]) -> None:
        super().__init__(config)
        self._end_waiting = end_waiting

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn calls it."""
        self._end_waiting()
        await super().shutdown(sockets)
