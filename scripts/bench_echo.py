#!/usr/bin/env python3
"""Answers every HTTP request with the same bytes; what is left then is sockets and the generator.

Says its port, and ends when its input does.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\n"
    b'content-length: 11\r\n\r\n{"ok":true}'
)


class Echo(asyncio.Protocol):
    """One connection, on which a request comes in one piece or ends with its last one."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio calls it."""
        self._transport = transport
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """As asyncio calls it."""
        self._rest += data
        head, mark, body = self._rest.partition(b"\r\n\r\n")
        if mark and len(body) >= int(head.rpartition(b"Content-Length: ")[2]):
            self._rest = b""
            self._transport.write(ANSWER)


async def serve() -> None:
    """Answers until the input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(serve())
