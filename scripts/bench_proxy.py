#!/usr/bin/env python3
"""A way to a service that takes its time, and counts the requests that go over it.

Half of the delay lies on each direction. It says the port it listens on in its first line, answers
each line of its input with the paths that were asked for so far and how often, and ends with its
input.

    bench_proxy.py PORT SECONDS    to the service at this port of the loopback, so far away
"""

from __future__ import annotations

import collections
import json
import queue
import re
import socket
import sys
import threading
import time

REQUEST = re.compile(rb"(?:GET|POST) (/\S*) HTTP/1\.1\r\n")
LONGEST_LINE = 4096
CHUNK = 1 << 16


class Counts:
    """How often each path was asked for."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.paths: collections.Counter[str] = collections.Counter()

    def reader(self):
        """Takes what travels to the service on one connection, part by part."""
        rest = b""

        def take(part: bytes) -> None:
            nonlocal rest
            rest += part
            end = 0
            for found in REQUEST.finditer(rest):
                end = found.end()
                with self.lock:
                    self.paths[found[1].decode()] += 1
            rest = rest[max(end, len(rest) - LONGEST_LINE) :]

        return take


def send_late(target: socket.socket, parts: queue.SimpleQueue) -> None:
    """Sends each part when it is due, and closes that direction with the last one."""
    try:
        while (part := parts.get()) is not None:
            due, content = part
            time.sleep(max(0.0, due - time.monotonic()))
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        target.close()


def ignore(_part: bytes) -> None:
    """Takes what travels from the service."""


def carry(source: socket.socket, target: socket.socket, delay: float, take) -> None:
    """Carries one direction of a connection."""
    parts: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=send_late, args=(target, parts), daemon=True).start()
    try:
        while content := source.recv(CHUNK):
            parts.put((time.monotonic() + delay, content))
            take(content)
    except OSError:
        pass  # the other side is gone, which is the end of this direction
    parts.put(None)


def listen(listener: socket.socket, port: int, delay: float, counts: Counts) -> None:
    """Takes connections for ever."""
    while True:
        near, _ = listener.accept()
        far = socket.create_connection(("127.0.0.1", port))
        for each in (near, far):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        there = (near, far, delay / 2, counts.reader())
        back = (far, near, delay / 2, ignore)
        for way in (there, back):
            threading.Thread(target=carry, args=way, daemon=True).start()


def main() -> None:
    """Carries until the input ends."""
    port, delay = int(sys.argv[1]), float(sys.argv[2])
    counts = Counts()
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=listen, args=(listener, port, delay, counts), daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    for _ in sys.stdin:
        with counts.lock:
            print(json.dumps(counts.paths), flush=True)


if __name__ == "__main__":
    main()
