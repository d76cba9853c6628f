"""A listener for what services tell their hooks, which keeps when it heard what."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import trio

from tests.replicas.proxy import Ended, Line
from tests.replicas.replicas import Death

_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\nconnection: close\r\n\r\n" + b'{"ok":true}'
)


class Heard:
    """What was heard so far, by whose hook and of which request.

    Args:
        port: where it listens.
    """

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/"
        self._tokens: dict[str, set[str]] = collections.defaultdict(set)
        self._times: dict[tuple[str, int], list[float]] = collections.defaultdict(list)
        self._more = trio.Event()

    def url_for(self, node_id: str) -> str:
        """Where a node's hook is to post to."""
        return self._url + node_id

    def told(self, node_id: str) -> set[str]:
        """The tokens of the envelopes that a node's hook was told of."""
        return self._tokens[node_id]

    async def wait_for_more(self) -> None:
        """Returns once something more was heard."""
        await self._more.wait()

    def doubled(self, deaths: Iterable[Death]) -> int:
        """How often something was told again though nobody had died since."""
        killed = [death.at for death in deaths]
        return sum(
            not any(earlier <= at <= later for at in killed)
            for times in self._times.values()
            for earlier, later in itertools.pairwise(times)
        )

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection, on which one thing is told."""
        line = Line(stream)
        async with stream:
            with contextlib.suppress(Ended, trio.BrokenResourceError):
                head = await line.head()
                body = bytearray()
                while len(body) < _length(head):
                    part = await line.part(65536)
                    if not part:
                        return
                    body += part
                self._take(head.split(b" ", 2)[1][1:].decode(), json.loads(body))
                await stream.send_all(_ANSWER)

    def _take(self, node_id: str, message: dict[str, Any]) -> None:
        if "meta" not in message:
            return  # the check of a new hook
        asked = message["meta"]["body"]
        self._tokens[node_id].add(hashlib.sha256(asked["secret"].encode()).hexdigest()[:32])
        self._times[node_id, asked["nonce"]].append(time.monotonic())
        self._more.set()
        self._more = trio.Event()


def _length(head: bytes) -> int:
    for header in head.lower().split(b"\r\n"):
        name, _, value = header.partition(b":")
        if name == b"content-length":
            return int(value)
    return 0


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[Heard]:
    """A listener, as long as the block lasts."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    heard = Heard(listeners[0].socket.getsockname()[1])
    async with trio.open_nursery() as tasks:
        tasks.start_soon(trio.serve_listeners, heard.serve, listeners)
        yield heard
        tasks.cancel_scope.cancel()
