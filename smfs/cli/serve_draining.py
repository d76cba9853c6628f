"""The server of `smfs serve`, and how it ends: nothing that was accepted is cut."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import uvicorn

from smfs.cli.connections import BoundedProtocol, Policy, TlsListener

_LAST_LOOK_S: Final = 0.05  # for what had arrived before the listeners were closed


class Drains(Protocol):
    """An application that is told that its end is near."""

    def drain(self) -> None:
        """From now on it says that it is not ready for more."""


class DrainingServer(uvicorn.Server):
    """Ends in steps: not ready; the listeners close; who waits is answered; the rest is finished.

    Args:
        config: of the server.
        policy: of its connections.
        end_waiting: answers those who wait for something to happen.
        drains: what is told first; None: nothing.
        delay: seconds from the first step to the second.
        tls: of the connections; None for none.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        policy: Policy,
        *,
        end_waiting: Callable[[], None],
        drains: Drains | None = None,
        delay: float = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(config)
        self._policy = policy
        self._end_waiting = end_waiting
        self._drains = drains
        self._delay = delay
        self._tls = tls
        self._at_once = asyncio.Event()

    def end(self) -> None:
        """Begins the end."""
        self.should_exit = True

    def end_at_once(self) -> None:
        """Waits for nothing any more."""
        self.should_exit = self.force_exit = True
        self._at_once.set()
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn calls it: signals are not its business."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn calls it."""
        if self._tls is None:
            await super().startup(sockets)
            return
        self.servers = [self._tls_listener(self._tls, each) for each in sockets or []]
        self.started = True

    def _tls_listener(self, tls: ssl.SSLContext, listener: socket.socket) -> Any:
        def protocol() -> BoundedProtocol:
            return BoundedProtocol(
                self._policy,
                config=self.config,
                server_state=self.server_state,
                app_state=self.lifespan.state,
            )

        def is_full(handshakes: int) -> bool:
            return handshakes + len(self.server_state.connections) >= self._policy.most

        return TlsListener(listener, tls, protocol, is_full)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn calls it."""
        self._policy.is_ending = True
        if self._drains is not None:
            self._drains.drain()
        await self._pause(self._delay)
        for server in self.servers:
            server.close()
        self._end_waiting()
        # A connection that is closed with a request unread in it is a request lost.
        await asyncio.sleep(0)
        await self._pause(_LAST_LOOK_S)
        await super().shutdown(sockets)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._at_once.wait(), seconds)
