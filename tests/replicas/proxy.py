"""A plain round-robin proxy: each request goes to the next replica, as with a usual load balancer.

A replica that refuses the connection is passed over. One that dies at a request has the client's
connection cut: what was asked may have been carried out, so nothing is ever sent twice.

`python -m tests.replicas.proxy HOST:PORT …` prints its port, answers each line of its standard
input with its counts as JSON, and ends with that input.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import json
import re
import resource
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import trio

_PART: Final = 65536
_HEAD_BYTES: Final = 65536
_IDLE_S: Final = 75.0  # for a request to begin
_CONNECT_S: Final = 5.0
_REST_S: Final = 5.0  # for the body of a request that was answered before it was here
_BACKLOG: Final = 1024
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+) *\r\n", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_CONNECTION: Final = re.compile(rb"\r\n(?:connection|keep-alive):[^\r]*", re.IGNORECASE)
_CLOSES: Final = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_LAST_CHUNK: Final = b"0\r\n\r\n"

Address = tuple[str, int]


class Ended(Exception):
    """A connection ended in the middle of something."""


class Line:
    """One connection, of which too much may have been read.

    Args:
        stream: the connection.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._held = bytearray()

    async def more(self) -> bool:
        """Reads some more; whether there was any."""
        part = await self.stream.receive_some(_PART)
        self._held += part
        return bool(part)

    async def head(self) -> bytes:
        """The head of a message, its last empty line included.

        Raises:
            Ended: when there is none.
        """
        while (end := self._held.find(b"\r\n\r\n")) < 0:
            if len(self._held) > _HEAD_BYTES or not await self.more():
                raise Ended
        return self.take(end + 4)

    async def part(self, most: int) -> bytes:
        """Some of what comes next; empty at the end."""
        if not self._held:
            await self.more()
        return self.take(most)

    def take(self, most: int) -> bytes:
        """What was read and not taken, but no more than this."""
        taken = bytes(self._held[:most])
        del self._held[:most]
        return taken

    async def wait_for_end(self) -> None:
        """Returns once the other side has gone, or has sent too much ahead."""
        while len(self._held) < _HEAD_BYTES and await self.more():
            pass


@dataclass(frozen=True)
class _Asked:
    """The head of a request."""

    head: bytes
    length: int
    is_last: bool

    @property
    def is_for_head(self) -> bool:
        return self.head.startswith(b"HEAD ")


class RoundRobin:
    """Passes requests on.

    Args:
        replicas: where they listen; they may come and go.

    Attributes:
        counts: `passed`, `refused` (by one replica), `unanswered` (refused by all), `cut`, and the
            number of answers of each replica under its number.
    """

    def __init__(self, replicas: Sequence[Address]) -> None:
        self._replicas = list(enumerate(replicas))
        self._turn = itertools.count()
        self.counts: collections.Counter[str] = collections.Counter()

    async def serve(self, client: trio.SocketStream) -> None:
        """One connection of a client, request after request."""
        line = Line(client)
        async with client:
            # trio tells a reset by either side in both ways.
            with contextlib.suppress(Ended, trio.BrokenResourceError, trio.ClosedResourceError):
                while await self._pass_on(line):
                    pass

    async def _pass_on(self, line: Line) -> bool:
        with trio.move_on_after(_IDLE_S) as idle:
            head = await line.head()
        if idle.cancelled_caught:
            return False
        if _CHUNKED.search(head):
            await line.stream.send_all(_answer(b"411 Length Required"))
            return False
        asked = _Asked(_forwarded(head, line), _length(head) or 0, _is_last(head))
        found = await self._connected()
        if found is None:
            self.counts["unanswered"] += 1
            await line.stream.send_all(_answer(b"502 Bad Gateway"))
            return False
        number, replica = found
        async with replica:
            return await self._exchange(line, Line(replica), asked, number)

    async def _exchange(self, line: Line, replica: Line, asked: _Asked, number: int) -> bool:
        """One request and its answer; whether the client's connection can take another one."""
        stays, is_answered = False, False
        is_sent = trio.Event()
        async with trio.open_nursery() as tasks:

            async def send_and_watch() -> None:
                await _send(line, replica, asked)
                is_sent.set()
                await line.wait_for_end()
                if not is_answered:
                    tasks.cancel_scope.cancel()

            tasks.start_soon(_quietly, send_and_watch, tasks.cancel_scope)
            try:
                stays = await _relay(replica, line, asked)
                is_answered = True
                self.counts["passed"] += 1
                self.counts[str(number)] += 1
                with trio.move_on_after(_REST_S):
                    await is_sent.wait()
            except (Ended, trio.BrokenResourceError, trio.ClosedResourceError):
                self.counts["cut"] += 1
            tasks.cancel_scope.cancel()
        return stays and is_answered and is_sent.is_set() and not asked.is_last

    async def _connected(self) -> tuple[int, trio.SocketStream] | None:
        """A connection to the next replica that takes one."""
        first = next(self._turn)
        for step in range(len(self._replicas)):
            number, address = self._replicas[(first + step) % len(self._replicas)]
            connection = trio.socket.socket(proto=socket.IPPROTO_TCP)
            with trio.move_on_after(_CONNECT_S):
                try:
                    await connection.connect(address)
                except OSError:
                    self.counts["refused"] += 1
                else:
                    return number, trio.SocketStream(connection)
            connection.close()
        return None


async def _quietly(work: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
    """Does something at a connection whose end is the end of the exchange."""
    try:
        await work()
    except (Ended, trio.BrokenResourceError, trio.ClosedResourceError):
        scope.cancel()


async def _send(line: Line, replica: Line, asked: _Asked) -> None:
    """Hands a request on; what the replica does not take any more is read nevertheless."""
    left, is_taken = asked.length, True
    part = asked.head
    while True:
        if is_taken:
            try:
                await replica.stream.send_all(part)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                is_taken = False  # it may have answered already
        if not left:
            return
        part = await line.part(min(left, _PART))
        if not part:
            raise Ended
        left -= len(part)


async def _relay(replica: Line, line: Line, asked: _Asked) -> bool:
    """Hands an answer back; whether the client's connection can take another one.

    Raises:
        Ended: when it is only a part of one.
    """
    head = await replica.head()
    while head[9:10] == b"1":  # 100 Continue, before the answer itself
        await line.stream.send_all(head)
        head = await replica.head()
    length = 0 if asked.is_for_head or head[9:12] in (b"204", b"304") else _length(head)
    closing = b"\r\nconnection: close" if length is None or asked.is_last else b""
    await line.stream.send_all(_CONNECTION.sub(b"", head)[:-4] + closing + b"\r\n\r\n")
    if length is None:
        await _relay_to_the_end(replica, line, is_chunked=_CHUNKED.search(head) is not None)
        return False
    while length:
        part = await replica.part(length)
        if not part:
            raise Ended
        await line.stream.send_all(part)
        length -= len(part)
    return True


async def _relay_to_the_end(replica: Line, line: Line, *, is_chunked: bool) -> None:
    last = b""
    while part := await replica.part(_PART):
        await line.stream.send_all(part)
        last = (last + part)[-len(_LAST_CHUNK) :]
    if is_chunked and last != _LAST_CHUNK:
        raise Ended


def _forwarded(head: bytes, line: Line) -> bytes:
    """The head of a request as a replica gets it: for one connection, and who it is from."""
    peer: str = line.stream.socket.getpeername()[0]
    more = f"\r\nconnection: close\r\nx-forwarded-for: {peer}\r\n\r\n"
    return _CONNECTION.sub(b"", head)[:-4] + more.encode()


def _length(head: bytes) -> int | None:
    found = _LENGTH.search(head)
    return None if found is None else int(found[1])


def _is_last(head: bytes) -> bool:
    return b" HTTP/1.1\r\n" not in head or _CLOSES.search(head) is not None


def _answer(status: bytes) -> bytes:
    return b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


async def _answer_lines(proxy: RoundRobin, scope: trio.CancelScope) -> None:
    """Prints the counts whenever that is asked for; ends all in the end."""
    while await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        sys.stdout.write(json.dumps(proxy.counts) + "\n")
        sys.stdout.flush()
    scope.cancel()


async def _main(replicas: list[Address]) -> None:
    proxy = RoundRobin(replicas)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=_BACKLOG)
    sys.stdout.write(f"{listeners[0].socket.getsockname()[1]}\n")
    sys.stdout.flush()
    async with trio.open_nursery() as tasks:
        tasks.start_soon(_answer_lines, proxy, tasks.cancel_scope)
        await trio.serve_listeners(proxy.serve, listeners)


def main() -> None:
    """The program."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    replicas = [
        (host, int(port)) for host, _, port in (each.partition(":") for each in sys.argv[1:])
    ]
    trio.run(_main, replicas)


if __name__ == "__main__":
    main()
