#!/usr/bin/env python3
"""Feeds that wait, each on a connection of its own, and how soon a change wakes them."""

from __future__ import annotations

import socket
import time
from contextlib import closing

from bench_drive import PATIENCE, is_whole
from bench_plans import Plans, follow, name
from bench_requests import CHUNK, ask, connected
from bench_world import BrokenError

from smfs.protocol.changes import LONGEST_WAIT_MS

SETTLE_S = 0.5
EACH_S = 0.001
"""So long it may take until one more request waits."""


def waiting_feeds(plans: Plans, wakes: int) -> tuple[list[bytes], list[tuple[int, bytes]]]:
    """A feed of each space that waits, and sets that wake some.

    Returns:
        the feeds, and the sets, each with the number of the feed that it wakes.
    """
    known = plans.known()
    feeds = [follow(signer, feed, since, LONGEST_WAIT_MS) for signer, feed, since in known]
    step = max(1, len(known) // wakes)
    chosen = range(0, len(known), step)[:wakes]
    return feeds, [(number, plans.set_secret(known[number][0], name(0))) for number in chosen]


class Parked:
    """Requests that wait.

    Args:
        address: host and port of the service.
        feeds: what is sent.
    """

    def __init__(self, address: tuple[str, int], feeds: list[bytes]) -> None:
        self._address = address
        self._sockets: list[socket.socket] = []
        for feed in feeds:
            self._sockets.append(connected(address, PATIENCE))
            self._sockets[-1].sendall(feed)
        time.sleep(SETTLE_S + EACH_S * len(feeds))

    def close(self) -> None:
        """Lets them go."""
        for each in self._sockets:
            each.close()

    def wake(self, sets: list[tuple[int, bytes]]) -> list[int]:
        """Wakes some, one after the other.

        Returns:
            the nanoseconds from the sending of each set to the answer of its feed.

        Raises:
            BrokenError: when one was awake already.
        """
        latencies = []
        with closing(connected(self._address, PATIENCE)) as connection:
            for number, message in sets:
                waiting = self._sockets[number]
                if is_readable(waiting):
                    raise BrokenError("a feed that should wait is answered already")
                began = time.perf_counter_ns()
                ask(connection, message)
                answer = waiting.recv(CHUNK)
                while not is_whole(answer):
                    answer += waiting.recv(CHUNK)
                latencies.append(time.perf_counter_ns() - began)
        return latencies


def is_readable(waiting: socket.socket) -> bool:
    """Whether something has come."""
    waiting.settimeout(0)
    try:
        waiting.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    finally:
        waiting.settimeout(PATIENCE)
    return True
