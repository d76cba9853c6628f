#!/usr/bin/env python3
"""Signed requests as the bytes that travel, and their answers."""

from __future__ import annotations

import hashlib
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

from bench_world import BrokenError

from smfs.crypto.box import box_from_json, open_box
from smfs.crypto.envelope import Address, seal_envelope
from smfs.crypto.identity import Identity
from smfs.protocol import canonical, requests, signing

CHUNK = 1 << 16
HEAD = re.compile(
    rb"HTTP/1\.1 (\d+) .*?\r\ncontent-length: *(\d+)\r\n(?:.*?\r\n)?\r\n",
    re.IGNORECASE | re.DOTALL,
)
REFUSED = b'{"error'
"""How an answer begins that has status 200 and says no (PROTOCOL.md section 8)."""


class Signer:
    """A node whose requests are signed here.

    Args:
        identity: its key pair.
        nonces: the nonces of its requests, which it may share with others.
    """

    def __init__(self, identity: Identity, nonces: Iterator[int]) -> None:
        self.identity = identity
        self.node_id = identity.node_id
        self._nonces = nonces

    @classmethod
    def numbered(cls, tag: str, number: int, nonces: Iterator[int]) -> Signer:
        """The same node for the same tag and number, in whichever process."""
        return cls(Identity(hashlib.sha256(f"{tag} {number}".encode()).digest()), nonces)

    def message(self, request_type: type[requests.SignedRequest], **fields: Any) -> bytes:
        """A signed request, ready to be sent within the next minutes."""
        request = request_type(
            public_key=self.node_id,
            timestamp=signing.frame(time.time_ns() // 10**6),
            signature=signing.UNSIGNED,
            nonce=next(self._nonces) % signing.NONCE_LIMIT,
            **fields,
        )
        body = canonical.encode(signing.sign(self.identity, request).to_wire()).encode()
        head = (
            f"POST {request.path()} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        )
        return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body

    def envelope(self, secret_id: str, content: bytes) -> str:
        """What a client stores in its own space."""
        address = Address("own", self.node_id, self.node_id, secret_id)
        return seal_envelope(self.identity, address, content, time.time_ns() // 10**6)

    def opened(self, answer: bytes) -> Any:
        """The JSON value of an answer that is encrypted to this node."""
        return canonical.decode(open_box(self.identity, box_from_json(canonical.decode(answer))))


def connected(address: tuple[str, int], patience: float) -> socket.socket:
    """A connection that sends at once.

    Args:
        address: host and port.
        patience: seconds for each operation.
    """
    connection = socket.create_connection(address, patience)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def ask(connection: socket.socket, message: bytes) -> bytes:
    """Sends a request and reads the body of its answer, which must be a good one."""
    connection.sendall(message)
    answer = b""
    while (head := HEAD.match(answer)) is None or len(answer) < head.end() + int(head[2]):
        part = connection.recv(CHUNK)
        if not part:
            raise BrokenError("the service closes the connection")
        answer += part
    body = answer[head.end() :]
    if head[1] != b"200" or body.startswith(REFUSED):
        raise BrokenError(f"the service answers {head[1].decode()}: {told(body)}")
    return body


def told(body: bytes) -> str:
    """The beginning of an answer, for people."""
    return body[:100].decode("utf-8", "replace")
