#!/usr/bin/env python3
"""Connections of bad clients, and requests as bytes, signed or not."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import re
import socket
import struct
import time
from typing import Final

import trio

from smfs.crypto.identity import Identity
from smfs.protocol import canonical, requests, signing

ENDED: Final = 0
"""Stands for a connection that the service has ended, or an answer that nobody waited for."""

_ANSWER_S: Final = 60.0
_RESET: Final = struct.pack("ii", 1, 0)
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

# Counted from anywhere: by chance two of thousands would be the same, and the second a replay.
_nonces = itertools.count(random.randrange(signing.NONCE_LIMIT))


class Line:
    """One connection at a time from one address.

    Args:
        target: of the service.
        source: from where.

    Attributes:
        body: of the last answer.
    """

    body = b""

    def __init__(self, target: tuple[str, int], source: str) -> None:
        self._target, self._source = target, source
        self._stream: trio.SocketStream | None = None

    async def opened(self) -> trio.SocketStream:
        """The connection, a new one where there is none."""
        while self._stream is None:
            connection = trio.socket.socket(proto=socket.IPPROTO_TCP)
            try:
                await connection.bind((self._source, 0))
                await connection.connect(self._target)
            except OSError:  # no port is free, or the service takes no more
                connection.close()
                await trio.sleep(0.2)
            else:
                self._stream = trio.SocketStream(connection)
        return self._stream

    async def send(self, data: bytes) -> bool:
        """Sends bytes; whether anybody took them."""
        try:
            await (await self.opened()).send_all(data)
        except trio.BrokenResourceError:
            return False
        return True

    async def status(self) -> int:
        """The status of what is answered next; `ENDED` when nothing is."""
        stream, answer = await self.opened(), b""
        with trio.move_on_after(_ANSWER_S), contextlib.suppress(trio.BrokenResourceError):
            while b"\r\n\r\n" not in answer:
                part = await stream.receive_some(65536)
                if not part:
                    break
                answer += part
            else:
                await self._read_rest(stream, answer)
                return int(answer[9:12])
        await self.drop()
        return ENDED

    async def _read_rest(self, stream: trio.SocketStream, answer: bytes) -> None:
        head, _, body = answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        left = (int(length[1]) if length else 0) - len(body)
        while left > 0 and (part := await stream.receive_some(65536)):
            left -= len(part)
            body += part
        self.body = body
        if left > 0 or b"connection: close" in head.lower():
            await self.drop()

    async def drop(self, *, hard: bool = False) -> None:
        """Closes the connection; by a reset, where that is wanted."""
        stream, self._stream = self._stream, None
        if stream is not None:
            if hard:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            await stream.aclose()

    async def ask(self, request: bytes) -> int:
        """One request and the status of its answer."""
        await self.send(request)
        return await self.status()


def post(path: str, body: bytes, *more: str, length: int | None = None) -> bytes:
    """A request as bytes.

    Args:
        path: where to.
        body: what is sent of it.
        more: further headers.
        length: what is announced; None: what is sent.
    """
    announced = len(body) if length is None else length
    lines = [
        f"POST {path} HTTP/1.1",
        "host: service.test",
        "content-type: application/json",
        f"content-length: {announced}",
        *more,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def signed(identity: Identity, kind: type[requests.SignedRequest], **fields: object) -> bytes:
    """A request of a node as bytes, signed now."""
    who_and_when = {
        "public_key": identity.node_id,
        "timestamp": signing.frame(time.time_ns() // 1_000_000),
        "signature": signing.UNSIGNED,
        "nonce": next(_nonces) % signing.NONCE_LIMIT,
    }
    request = signing.sign(identity, kind(**who_and_when | fields))
    return post(request.path(), canonical.encode(request.to_wire()).encode())


def unsigned(**fields: object) -> bytes:
    """A request whose signature does not fit."""
    body = {
        "publicKey": Identity.generate().node_id,
        "secretId": "x",
        "timestamp": signing.frame(time.time_ns() // 1_000_000),
        "signature": random.randbytes(64).hex(),
        "nonce": 1,
    }
    return post("/getSecret", json.dumps(body | fields).encode())
