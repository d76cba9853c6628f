#!/usr/bin/env python3
"""Sends requests that were made before over many connections, each its next one once answered."""

from __future__ import annotations

import select
import socket
import time
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bench_requests import CHUNK, HEAD, REFUSED, connected, told
from bench_world import BrokenError

PATIENCE = 30.0
FOREVER = float("inf")


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        seconds: from the first request to the last answer.
        cpu: seconds of processor time that this process took meanwhile.
        latencies: of each request, in nanoseconds, in the order of the answers.
    """

    seconds: float = 0.0
    cpu: float = 0.0
    latencies: array[int] = field(default_factory=lambda: array("q"))


class Drive:
    """A closed loop over some connections.

    Args:
        address: host and port of the service.
        connections: how many.
    """

    def __init__(self, address: tuple[str, int], connections: int) -> None:
        self._sockets: dict[int, socket.socket] = {}
        self._poller = select.epoll()
        for _ in range(connections):
            connection = connected(address, PATIENCE)
            connection.settimeout(0)
            self._sockets[connection.fileno()] = connection
            self._poller.register(connection, select.EPOLLIN)

    def close(self) -> None:
        """Ends the connections."""
        self._poller.close()
        for connection in self._sockets.values():
            connection.close()

    def run(self, messages: Iterable[bytes], seconds: float = FOREVER) -> Outcome:
        """Sends messages until there are none left, or the time is up.

        Raises:
            BrokenError: when an answer is missing, or is not a good one.
        """
        outcome = Outcome()
        left = iter(messages)
        cpu = time.process_time()
        began = time.perf_counter_ns()
        ends = began + seconds * 1e9
        sent = self._start(left)
        parts: dict[int, bytes] = {}
        now, clock = began, time.perf_counter_ns
        while sent:
            events = self._poller.poll(PATIENCE)
            if not events:
                raise BrokenError(f"no answer within {PATIENCE:g} s")
            for number, _ in events:
                data = self._sockets[number].recv(CHUNK)
                answer = parts.pop(number, b"") + data
                if not is_whole(answer):
                    require(bool(data), "the service closes the connection")
                    parts[number] = answer
                    continue
                now = clock()
                outcome.latencies.append(now - sent.pop(number))
                message = next(left, None) if now < ends else None
                if message is not None:
                    sent[number] = clock()
                    self._send(number, message)
        outcome.seconds = (now - began) / 1e9
        outcome.cpu = time.process_time() - cpu
        return outcome

    def _start(self, left: Iterator[bytes]) -> dict[int, int]:
        sent = {}
        for number, message in zip(self._sockets, left, strict=False):
            sent[number] = time.perf_counter_ns()
            self._send(number, message)
        return sent

    def _send(self, number: int, message: bytes) -> None:
        connection = self._sockets[number]
        done = connection.send(message)
        if done < len(message):
            connection.settimeout(PATIENCE)
            connection.sendall(message[done:])
            connection.settimeout(0)


def is_whole(answer: bytes) -> bool:
    """Whether all of an answer has come; raises BrokenError when it is not a good one."""
    head = HEAD.match(answer)
    if head is None or len(answer) < head.end() + int(head[2]):
        return False
    if head[1] != b"200" or answer.startswith(REFUSED, head.end()):
        raise BrokenError(f"the service answers {head[1].decode()}: {told(answer[head.end() :])}")
    return True


def require(condition: bool, otherwise: str) -> None:  # noqa: FBT001
    """Raises BrokenError unless something holds."""
    if not condition:
        raise BrokenError(otherwise)
