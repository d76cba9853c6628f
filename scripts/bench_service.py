#!/usr/bin/env python3
"""The service without a mount: requests that were signed before, one after the other."""

from __future__ import annotations

import functools
import itertools
import random
import re
import socket
import time
from collections.abc import Callable

from bench_meter import Turn
from bench_subjects import Subject
from bench_world import PATIENCE, BrokenError, World, content_of, file_name, resident_memory

from smfs.crypto.envelope import Address, seal_envelope
from smfs.crypto.keyfile import load_key
from smfs.protocol import canonical, requests, signing

PORTION = 150
CHUNK = 1 << 16
HEAD = re.compile(
    rb"HTTP/1\.1 (\d+) .*?\r\ncontent-length: *(\d+)\r\n(?:.*?\r\n)?\r\n",
    re.IGNORECASE | re.DOTALL,
)

nonces = itertools.count(random.randrange(10**6))


class Space(Subject):
    """A space with so many secrets at a service of its own, and one connection to it.

    Args:
        world: where.
        profile: whose space.
        secrets: how many are in it.
    """

    def __init__(self, world: World, profile: str, secrets: int, *, is_baseline: bool) -> None:
        super().__init__(f"N = {secrets:,}", world)
        self.is_baseline = is_baseline
        self.secrets = secrets
        self._key_file = world.home / ".local" / "share" / "smfs" / "profiles" / profile / "key"
        self._socket: socket.socket | None = None

    def is_running(self) -> bool:
        return self._socket is not None

    def start(self) -> None:
        self._identity = load_key(self._key_file)
        # Both spaces are at one service: what differs is their size alone.
        self._socket = socket.create_connection(("127.0.0.1", self.world.service("rate")))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(PATIENCE)

    def stop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def resident(self) -> float:
        return resident_memory(self.world.service_process("rate"))

    def message(
        self, request_type: type[requests.SignedRequest], number: int, **more: str
    ) -> bytes:
        """A signed request about a secret, ready to be sent."""
        request = request_type(
            public_key=self._identity.node_id,
            secret_id=f"many/{file_name(number)}",
            timestamp=signing.frame(time.time_ns() // 10**6),
            signature=signing.UNSIGNED,
            nonce=next(nonces) % signing.NONCE_LIMIT,
            **more,
        )
        body = canonical.encode(signing.sign(self._identity, request).to_wire()).encode()
        head = (
            f"POST {request.path()} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        )
        return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body

    def envelope(self, number: int) -> str:
        """What a client stores; one is as good as another."""
        me = self._identity.node_id
        address = Address("own", me, me, f"many/{file_name(number)}")
        return seal_envelope(self._identity, address, content_of(number), time.time_ns() // 10**6)

    def ask(self, message: bytes) -> None:
        """Sends a request and reads its answer, which must be a good one."""
        self._socket.sendall(message)
        answer = b""
        while (head := HEAD.match(answer)) is None or len(answer) < head.end() + int(head[2]):
            part = self._socket.recv(CHUNK)
            if not part:
                raise BrokenError("the service closes the connection")
            answer += part
        if head[1] != b"200":
            raise BrokenError(f"the service answers {head[1].decode()}")


def ask_service(turn: Turn) -> None:
    """Sets and gets of secrets that are there, so that their number stays."""
    space: Space = turn.subject
    chosen = [random.randrange(space.secrets) for _ in range(PORTION)]
    envelope = space.envelope(chosen[0])
    sets = [space.message(requests.SetSecret, number, secret=envelope) for number in chosen]
    turn.batch("set", asking(space, sets))
    gets = [space.message(requests.GetSecret, number) for number in chosen]
    turn.batch("get", asking(space, gets))
    turn.note("service-memory", space.resident())


def asking(space: Space, messages: list[bytes]) -> list[Callable[[], None]]:
    """Operations that send these."""
    return [functools.partial(space.ask, message) for message in messages]
