"""The connections of `smfs serve`: so many, and none that keeps a place without asking."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import resource
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from smfs.cli.guards import GuardedProtocol
from smfs.service.meters import Limit, Meters, NoMeters

_log: Final = logging.getLogger(__name__)

_SILENT_S: Final = 15.0
_FAREWELL_S: Final = 2.0  # for the other side of TLS to say that it closes, too
_REST_S: Final = 0.1  # when accepting fails
_ACCEPTED_AT_ONCE: Final = 64  # before anything else has its turn
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


@dataclass
class Policy:
    """What holds for all connections of a server.

    Attributes:
        most: connections at a time.
        meters: counts those that are turned away.
        is_ending: whether each answer is to be the last one on its connection.
    """

    most: int
    meters: Meters = field(default_factory=NoMeters)
    is_ending: bool = False


class BoundedProtocol(GuardedProtocol):
    """Closes what is one connection too many, and what brings no whole header in time.

    Args:
        policy: of the server.
        of_uvicorn: what its own protocols are made of.

    Attributes:
        shook_hands: called once it is one of the server's connections.
    """

    def __init__(self, policy: Policy, **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self.policy = policy
        self.shook_hands: Callable[[], object] = bool
        self._is_in_header = False
        self._due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As asyncio calls it."""
        super().connection_made(transport)
        self.shook_hands()
        if len(self.connections) > self.policy.most:
            self.policy.meters.limited(Limit.CONNECTIONS)
            transport.abort()
        else:
            self._expect_header()

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio calls it."""
        self._stop_expecting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """As asyncio calls it."""
        super().data_received(data)
        if self._is_in_header and self._due is None:
            self._expect_header()

    def on_message_begin(self) -> None:
        """As the parser calls it."""
        super().on_message_begin()
        self._is_in_header = True

    def on_headers_complete(self) -> None:
        """As the parser calls it."""
        self._is_in_header = False
        self._stop_expecting()
        super().on_headers_complete()
        if self.policy.is_ending:
            # The answer says so: the client will not send another request that nobody reads.
            self.cycle.keep_alive = False

    def _expect_header(self) -> None:
        self._due = self.loop.call_later(_SILENT_S, self.transport.abort)

    def _stop_expecting(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None


class Listener:
    """Accepts connections, and bounds them from then on: how many, and how long a handshake takes.

    Left to the loop, handshakes are seen by nobody, and those that never end are without number;
    and uvloop accepts one connection a turn, so that those who come wait for those who are there.

    Args:
        listener: where.
        context: of the handshakes; None: there are none.
        protocol: makes what has a connection after its handshake.
        is_full: tells, given how many handshakes there are, whether one more is too many.
    """

    def __init__(
        self,
        listener: socket.socket,
        context: ssl.SSLContext | None,
        protocol: Callable[[], BoundedProtocol],
        is_full: Callable[[int], bool],
    ) -> None:
        listener.setblocking(False)  # noqa: FBT003 - it takes no keyword
        self._listener = listener
        self._handshake: dict[str, Any] = {}
        if context is not None:
            self._handshake = {
                "ssl": context,
                "ssl_handshake_timeout": _SILENT_S,
                "ssl_shutdown_timeout": _FAREWELL_S,
            }
        self._protocol = protocol
        self._is_full = is_full
        self._handshakes: set[asyncio.Task[None]] = set()
        self._coming: set[object] = set()
        self._loop = asyncio.get_running_loop()
        self._rest: asyncio.TimerHandle | None = None
        self._go_on()

    def close(self) -> None:
        """Accepts no more; as uvicorn calls it, more than once."""
        if self._listener.fileno() < 0:
            return
        self._loop.remove_reader(self._listener)
        if self._rest is not None:
            self._rest.cancel()
        self._listener.close()
        if self._handshake:
            for handshake in self._handshakes:
                handshake.cancel()  # nothing was asked yet

    async def wait_closed(self) -> None:
        """As uvicorn calls it."""
        if self._handshakes:
            await asyncio.wait(self._handshakes)

    def _go_on(self) -> None:
        self._rest = None
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:  # gone before it was accepted, or out of descriptors
                _log.warning("a connection was not accepted: %s", error.strerror)
                self._loop.remove_reader(self._listener)
                self._rest = self._loop.call_later(_REST_S, self._go_on)
                return
            task = self._loop.create_task(self._begin(connection))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _begin(self, connection: socket.socket) -> None:
        if self._is_full(len(self._coming)):
            connection.close()
            return
        connection.setblocking(False)  # noqa: FBT003 - it takes no keyword
        protocol, coming = self._protocol(), object()
        # From then on the server counts it, a turn before this task goes on.
        protocol.shook_hands = functools.partial(self._coming.discard, coming)
        self._coming.add(coming)
        # No TLS, too old a version, too late, or gone: all the same to this side.
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(
                lambda: protocol, connection, **self._handshake
            )
        self._coming.discard(coming)
