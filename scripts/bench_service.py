#!/usr/bin/env python3
"""The service without a mount: requests that were signed before, one after the other."""

from __future__ import annotations

import functools
import itertools
import random
import socket
from collections.abc import Callable

from bench_meter import Turn
from bench_requests import Signer, ask, connected
from bench_subjects import Subject
from bench_world import PATIENCE, World, content_of, file_name, resident_memory

from smfs.crypto.keyfile import load_key
from smfs.protocol import requests

PORTION = 150

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
        self._signer = Signer(load_key(self._key_file), nonces)
        # Both spaces are at one service: what differs is their size alone.
        self._socket = connected(("127.0.0.1", self.world.service("rate")), PATIENCE)

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
        return self._signer.message(request_type, secret_id=secret_id(number), **more)

    def envelope(self, number: int) -> str:
        """What a client stores; one is as good as another."""
        return self._signer.envelope(secret_id(number), content_of(number))

    def ask(self, message: bytes) -> None:
        """Sends a request and reads its answer, which must be a good one."""
        ask(self._socket, message)


def secret_id(number: int) -> str:
    """The id of a secret that is there from the beginning."""
    return f"many/{file_name(number)}"


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
