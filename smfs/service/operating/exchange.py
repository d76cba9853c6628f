"""One request under way: its messages go through, and what is to be told of them is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from smfs.service.http import Message, Receive, Send


class WaitMeter(Protocol):
    """Hears how many requests wait."""

    def waiting(self, by: int) -> None:
        """So many more wait, or fewer."""


class Exchange:
    """Stands between the server and the application for one request.

    An application that goes on receiving after the body is whole listens for the other side to go
    away: so it waits for something to happen, and that time is not its work.

    Attributes:
        status: of the answer, once there is one.
        bytes_in, bytes_out: of the bodies so far.
        waited: seconds.
        is_served: whether the application is asked.
    """

    __slots__ = (
        *("_added", "_is_whole", "_meter", "_now", "_receive", "_send"),
        *("bytes_in", "bytes_out", "is_served", "status", "waited"),
    )

    def __init__(
        self,
        receive: Receive,
        send: Send,
        added: tuple[tuple[bytes, bytes], ...],
        meter: WaitMeter,
        now: Callable[[], float],
    ) -> None:
        self._receive = receive
        self._send = send
        self._added = added
        self._meter = meter
        self._now = now
        self._is_whole = False
        self.status: int | None = None
        self.bytes_in = 0
        self.bytes_out = 0
        self.waited = 0.0
        self.is_served = False

    async def receive(self) -> Message:
        """The next message from the client."""
        if self._is_whole:
            return await self._wait()
        message = await self._receive()
        self.bytes_in += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        return message

    async def _wait(self) -> Message:
        began = self._now()
        self._meter.waiting(1)
        try:
            return await self._receive()
        finally:
            self._meter.waiting(-1)
            self.waited += self._now() - began

    async def send(self, message: Message) -> None:
        """The next message to the client."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *self._added]}
        else:
            self.bytes_out += len(message.get("body", b""))
        await self._send(message)
